{# The events of a data set as a stream, in FROM: silver's rows of the hours that the model reads, without those that
   came early, and with `_time`, the event's System.Timestamp() after TIMESTAMP BY event_time.

   In canonical order (_enqueued_time, _partition, _sequence_number):
     early         more than 5 minutes ahead of its arrival: dropped
     late          more than `late_ms` before its arrival: adjust gives it arrival - late_ms, drop drops it
     out of order  below the watermark, the greatest time of the events before it less `out_of_order_ms`: adjust gives
                   it the watermark, drop drops it
   An event without event_time or arrival has no time and is dropped; silver has none.

   The watermark needs the order of arrival, and sorting all events for it would cost more than everything that is
   computed from them. But only few events can be below it, and which ones is known roughly from the greatest time of
   every second of arrival. Only in the seconds that hold such events, and there only among them and those that raise
   the watermark, is the order looked at. #}
{% macro stream(name, late_ms=none, out_of_order_ms=none, policy=none) -%}
  {%- set late = (var('late_arrival_ms', 60000) if late_ms is none else late_ms) * 1000 -%}
  {%- set tolerance = (var('out_of_order_ms', 50000) if out_of_order_ms is none else out_of_order_ms) * 1000 -%}
  {%- set policy = policy or var('event_order_policy', 'adjust') -%}
  {%- if policy not in ('adjust', 'drop') -%}
    {%- do exceptions.raise_compiler_error("stream('" ~ name ~ "'): policy " ~ policy ~ " is unknown; use adjust or drop") -%}
  {%- endif -%}
  {%- set event, arrival = micros_of('event_time'), micros_of('_enqueued_time') -%}
  {%- set adjusted = 'greatest(' ~ event ~ ', ' ~ arrival ~ ' - ' ~ late ~ ')' -%}
  {%- set second = whole_quotient(arrival, 1000000) -%}
  {%- set kept -%}
    {{ is_one_of('_lake_hour', stream_reads()) }} and {{ event }} <= {{ arrival }} + 300000000
    {%- if policy == 'drop' %} and {{ event }} >= {{ arrival }} - {{ late }}{% endif %}
  {%- endset -%}
  (
    select
      events.*,
      {{ instant_of('coalesce(below.watermark, ' ~ adjusted ~ ')') }} as _time
    from {{ source('silver', name) }} as events
    left join (
      select arrived, of_partition, number, watermark
      from (
        select
          arrived,
          of_partition,
          number,
          adjusted,
          greatest(
            seconds.before,
            max(adjusted) over (
              partition by seconds.arrival_second
              order by arrived, of_partition, number
              rows between unbounded preceding and 1 preceding
            )
          ) - {{ tolerance }} as watermark
        from (
          select
            _enqueued_time as arrived,
            _partition as of_partition,
            _sequence_number as number,
            {{ second }} as arrival_second,
            {{ adjusted }} as adjusted
          from {{ source('silver', name) }}
          where {{ kept }}
        ) as events
        inner join (
          select arrival_second, before, greatest(before, newest) - {{ tolerance }} as bound
          from (
            select
              arrival_second,
              oldest,
              newest,
              max(newest) over (order by arrival_second rows between unbounded preceding and 1 preceding) as before
            from (
              select {{ second }} as arrival_second, min({{ adjusted }}) as oldest, max({{ adjusted }}) as newest
              from {{ source('silver', name) }}
              where {{ kept }}
              group by 1
            ) as of_second
          ) as of_seconds
          where oldest < greatest(before, newest) - {{ tolerance }}
        ) as seconds on seconds.arrival_second = events.arrival_second
        where adjusted < bound or before is null or adjusted > before
      ) as ordered
      where adjusted < watermark
    ) as below
      on below.arrived = events._enqueued_time
      and below.of_partition = events._partition
      and below.number = events._sequence_number
    where {{ kept }}
    {%- if policy == 'drop' %} and below.watermark is null{% endif %}
  )
{%- endmacro %}
