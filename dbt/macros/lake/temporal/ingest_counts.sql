{# How many events of a data set came in time, by the lake hour of their arrival, in FROM: for streams that read them by
   stream() without arguments. Of all `events` of silver,

     early         came more than 5 minutes before their own time, and are in no stream
     late          came more than late_arrival_ms after it; of an event that is also out of order, this counts
     out_of_order  were below the watermark
     dropped       are in no stream: the early ones, and with the policy drop the late and the unordered ones, too

   and `_time` is the end of the hour. #}
{% macro ingest_counts(name) -%}
  {%- set late = var('late_arrival_ms') * 1000 if execute else 0 -%}
  {%- set event, arrival = micros_of('event_time'), micros_of('_enqueued_time') -%}
  (
    select
      '{{ name }}' as data_set,
      there._lake_hour,
      {{ instant_of(multiple_from(micros_of('there.newest'), 3600000000)) }} as _time,
      there.events,
      there.early,
      there.late,
      {% if var('event_order_policy') == 'drop' -%}
      there.events - there.early - there.late - coalesce(taken.events, 0) as out_of_order,
      {%- else -%}
      coalesce(taken.moved, 0) as out_of_order,
      {%- endif %}
      there.events - coalesce(taken.events, 0) as dropped
    from (
      select
        _lake_hour,
        max(_enqueued_time) as newest,
        count(*) as events,
        sum(case when {{ event }} > {{ arrival }} + 300000000 then 1 else 0 end) as early,
        sum(case when {{ event }} < {{ arrival }} - {{ late }} then 1 else 0 end) as late
      from {{ source_hours('silver', name) }}
      where {{ output_hours() }}
      group by _lake_hour
    ) as there
    left join (
      select
        _lake_hour,
        count(*) as events,
        sum(
          case when {{ micros_of('_time') }} > {{ event }} and {{ event }} >= {{ arrival }} - {{ late }} then 1 else 0 end
        ) as moved
      from {{ stream(name) }} as in_stream
      where {{ output_hours() }}
      group by _lake_hour
    ) as taken on taken._lake_hour = there._lake_hour
  )
{%- endmacro %}
