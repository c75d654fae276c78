{# A data set of snapshots as reference data, in FROM: the rows of each snapshot with `_valid_from` and `_valid_to`, to
   be joined on a key and `_time >= _valid_from and _time < _valid_to`. A snapshot counts from the instant that names it
   until the next one, an empty one too; an event before the first snapshot sees the first.

   Whoever calls dbt may say which snapshots there are (var reference_snapshots: {name: [keys]}); then only those that
   the model's hours can see are read. #}
{% macro reference(name) -%}
  {%- set rows = source('silver', name ~ '_snapshots') -%}
  {%- set seen = is_one_of('_snapshot', snapshots_seen(name)) -%}
  (
    select
      snapshots.*,
      validity._valid_from,
      validity._valid_to
    from {{ rows }} as snapshots
    inner join (
      select
        _snapshot as of_snapshot,
        case
          when lag(_snapshot) over (order by _snapshot) is null then {{ instant_of(-62135596800000000) }}
          else {{ snapshot_instant('_snapshot') }}
        end as _valid_from,
        coalesce(
          {{ snapshot_instant('lead(_snapshot) over (order by _snapshot)') }}, {{ instant_of(253402300799999999) }}
        ) as _valid_to
      from (
        select _snapshot from {{ rows }} where {{ seen }}
        union
        select _snapshot from {{ source('silver', name ~ '_accepted') }} where {{ seen }}
      ) as keys
    ) as validity on validity.of_snapshot = snapshots._snapshot
    where {{ seen }}
  )
{%- endmacro %}


{# The keys of the snapshots that events of the model's hours can see, as a list; none means all. An event's time is not
   before the hour before its arrival's, and not after the hour after it. #}
{% macro snapshots_seen(name) %}
  {% set hours, keys = stream_reads(), var('reference_snapshots', {}).get(name) %}
  {% if is_everything(hours) or keys is none %}
    {% do return(none) %}
  {% elif hours | length == 0 %}
    {% do return([]) %}
  {% endif %}
  {% set hour = modules.datetime.timedelta(hours=1) %}
  {% set begin = modules.datetime.datetime.strptime(hours | min, '%Y-%m-%dT%H') - hour %}
  {% set end = modules.datetime.datetime.strptime(hours | max, '%Y-%m-%dT%H') + 2 * hour %}
  {% set begin, end = begin.strftime('%Y-%m-%dT%H%M%SZ'), end.strftime('%Y-%m-%dT%H%M%SZ') %}
  {% set until = keys | select('le', end) | list or [keys | min] if keys else [] %}
  {% set before = until | select('le', begin) | list %}
  {% set first = before | max if before else '' %}
  {% do return(until | select('ge', first) | sort | list) %}
{% endmacro %}
