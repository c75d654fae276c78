{# Analytic functions: they look at other rows of their query and keep each row. As in Stream Analytics they do not see
   the query's own WHERE: filter in an earlier step, or by `when`, a condition that null does not meet. Events of
   one time are taken in the order of their arrival; rows that are no events give other columns as `ties`. #}

{# 1 for the first event of each interval (start, end] of `size_ms` and of each key, else 0. Events that fail `when`
   get 0, and the others are counted without them. #}
{% macro is_first(ts, size_ms, keys=[], when=none, ties=arrival_order()) -%}
  {%- set met = [] if when is none else ['(' ~ when ~ ')'] -%}
  {%- set groups = keys + [tumbling_end(ts, size_ms)] + met -%}
  case
    when {% if met %}{{ met[0] }} and {% endif -%}
      row_number() over ({{ partitioned(groups) }}order by {{ ([ts] + ties) | join(', ') }}) = 1
    then 1
    else 0
  end
{%- endmacro %}


{# The events for which is_first is 1, in FROM: the keys, and these columns of the first event of each interval and key.
   It holds one event an interval, where a query that filters by is_first sorts them all with everything they carry. #}
{% macro first_events(relation, ts, size_ms, keys, columns, ties=arrival_order()) -%}
  {%- set found = [] -%}
  {%- for column in columns -%}{%- do found.append('_first_event.' ~ column ~ ' as ' ~ column) -%}{%- endfor -%}
  (
    select {{ (keys + found) | join(', ') }}
    from (
      select {{ (keys + [top_one(columns, [micros_of(ts)], ties) ~ ' as _first_event']) | join(', ') }}
      from {{ relation }} as events
      group by {{ (keys + [tumbling_end(ts, size_ms)]) | join(', ') }}
    ) as firsts
  )
{%- endmacro %}


{% macro arrival_order() %}
  {% do return(['_enqueued_time', '_partition', '_sequence_number']) %}
{% endmacro %}


{% macro partitioned(keys) -%}
  {%- if keys %}partition by {{ keys | join(', ') }} {% endif -%}
{%- endmacro %}


{# The value that `expr` had `offset` events ago, among the events of the same key that meet `when`, if that event is
   younger than `limit_ms`; else `default`, or null. An event that is there with a null value gives null. #}
{% macro lag_within(expr, ts, limit_ms, keys=[], offset=1, default=none, when=none, ties=arrival_order()) -%}
  {%- set over -%}
    over ({{ partitioned(keys) }}order by {{ ([ts] + ties) | join(', ') }})
  {%- endset -%}
  {{ young_value(over_known('lag', [seen_event(expr, ts, when), offset], over), ts, limit_ms, default) }}
{%- endmacro %}


{# As lag_within, with the current event as the first that counts: the newest value that is not too old. #}
{% macro last_within(expr, ts, limit_ms, keys=[], default=none, when=none, ties=arrival_order()) -%}
  {%- set over -%}
    over (
      {{ partitioned(keys) }}order by {{ ([ts] + ties) | join(', ') }}
      rows between unbounded preceding and current row
    )
  {%- endset -%}
  {{ young_value(over_known('last_value', [seen_event(expr, ts, when)], over), ts, limit_ms, default) }}
{%- endmacro %}


{# A candidate: its time and value together, so that a null value is told from no event. #}
{% macro seen_event(expr, ts, when) -%}
  {%- set event = record({'seen_at': micros_of(ts), 'value': expr}) -%}
  {%- if when is none -%}
    {{ event }}
  {%- else -%}
    case when {{ when }} then {{ event }} end
  {%- endif -%}
{%- endmacro %}


{% macro young_value(candidate, ts, limit_ms, default) -%}
  case
    when ({{ candidate }}).seen_at > {{ micros_of(ts) }} - {{ limit_ms * 1000 }} then ({{ candidate }}).value
    else {{ 'null' if default is none else default }}
  end
{%- endmacro %}


{# A window function that passes over nulls. #}
{% macro over_known(name, arguments, over) -%}
  {{ adapter.dispatch('over_known', 'dagster_lake')(name, arguments | join(', '), over) }}
{%- endmacro %}

{% macro default__over_known(name, arguments, over) -%}
  {{ name }}({{ arguments }}) ignore nulls {{ over }}
{%- endmacro %}

{% macro duckdb__over_known(name, arguments, over) -%}
  {{ name }}({{ arguments }} ignore nulls) {{ over }}
{%- endmacro %}


{# An aggregate over the events of the same key in (t - limit, t], t being the event's time: SUM(...) OVER (LIMIT
   DURATION). It includes the event itself and all others of its instant, whichever arrived first. #}
{% macro over_limit(aggregate_sql, ts, limit_ms, keys=[]) -%}
  {{ aggregate_sql }} over (
    {{ partitioned(keys) }}order by {{ micros_of(ts) }}
    range between cast({{ limit_ms * 1000 - 1 }} as bigint) preceding and current row
  )
{%- endmacro %}
