{# Session windows, in FROM: every row of `relation` with the `session_start` and `session_end` of its session. `keys`
   are SessionWindow's OVER (PARTITION BY ...); without them one session spans everything. `ts` and `keys` are columns.

   Events of a key follow one another in a chain as long as none comes more than `timeout` after the one before. A
   session opens at the first event of a chain, and ends `timeout` after its last event, or at the cut: the first
   multiple of `max` (counted from 1970-01-01T00:00Z) at which it has been open for `max` or longer. The chain goes on
   after the cut, in a session that opened at that instant; an event at the cut itself is of the session before.

   So only the first session of a chain begins anywhere; the others begin and end at multiples of `max`. That is why
   reading back 2 * max + timeout before a time is enough to know the sessions that end after it. #}
{% macro sessions(relation, ts, keys, timeout_ms, max_ms) -%}
  {%- set timeout, max = timeout_ms * 1000, max_ms * 1000 -%}
  {%- set micros = micros_of(ts) -%}
  {%- set in_order -%}
    over ({{ partitioned(keys) }}order by {{ micros }})
  {%- endset -%}
  (
    select
      {{ all_but(['_before', '_chain', '_opened']) }},
      {{ instant_of('_opened') }} as session_start,
      {{ instant_of(
          'least(max(' ~ micros ~ ') over (' ~ partitioned(keys + ['_opened']) ~ ') + ' ~ timeout ~ ', '
          ~ session_cut('_opened', max) ~ ')'
      ) }} as session_end
    from (
      select
        chained.*,
        case
          when {{ micros }} <= {{ session_cut('_chain', max) }} then _chain
          else {{ multiple_from(micros, max) }} - {{ max }}
        end as _opened
      from (
        select
          followed.*,
          max(
            case when _before is null or {{ micros }} - _before > {{ timeout }} then {{ micros }} end
          ) {{ in_order }} as _chain
        from (
          select events.*, lag({{ micros }}) {{ in_order }} as _before
          from {{ relation }} as events
        ) as followed
      ) as chained
    ) as opened
  )
{%- endmacro %}


{# When a session that opened then is cut, if it lasts that long. #}
{% macro session_cut(opened, max) -%}
  ({{ multiple_from(opened, max) }} + {{ max }})
{%- endmacro %}
