{# The events of a data set as a stream, in FROM: silver's rows of the hours that the model reads, without those that
   came early, and with `_time`, the event's System.Timestamp() after TIMESTAMP BY event_time.

   In canonical order (_enqueued_time, _partition, _sequence_number):
     early         more than 5 minutes ahead of its arrival: dropped
     late          more than `late_ms` before its arrival: adjust gives it arrival - late_ms, drop drops it
     out of order  below the watermark, the greatest time of the events before it less `out_of_order_ms`: adjust gives
                   it the watermark, drop drops it
   An event without event_time or arrival has no time and is dropped; silver has none.

   With `over`, columns such as ['device_id'], it is TIMESTAMP BY ... OVER: each of their values (null is one) has a
   watermark of its own, so that a clock that is fast moves no other's events. Late and early stay the arrival's matter.
   Events are in order within a substream only: group, join and partition by these columns.

   What is not told is a variable's, whose value is in dbt_project.yml and nowhere else. `if execute`: dbt reads the
   model of a unit test once without variables. #}
{% macro stream(name, late_ms=none, out_of_order_ms=none, policy=none, over=[]) -%}
  {%- set late = (var('late_arrival_ms') if late_ms is none else late_ms) * 1000 if execute else 0 -%}
  {%- set tolerance = (var('out_of_order_ms') if out_of_order_ms is none else out_of_order_ms) * 1000 if execute else 0 -%}
  {%- set policy = policy or var('event_order_policy') -%}
  {%- if execute and policy not in ('adjust', 'drop') -%}
    {%- do exceptions.raise_compiler_error(
        "stream('" ~ name ~ "'): policy " ~ policy ~ ' is unknown; use adjust or drop') -%}
  {%- endif -%}
  {%- set early = 300000000 -%}
  {%- set event, arrival = micros_of('event_time'), micros_of('_enqueued_time') -%}
  {%- set silver = source_hours('silver', name) -%}
  {%- set reach, slice = early + late - tolerance, arrival_slice(name) -%}
  {%- set adjusted = 'greatest(' ~ event ~ ', ' ~ arrival ~ ' - ' ~ late ~ ')' -%}
  {%- set kept -%}
    {{ event }} <= {{ arrival }} + {{ early }}
    {%- if policy == 'drop' %} and {{ event }} >= {{ arrival }} - {{ late }}{% endif %}
  {%- endset -%}
  (
    select
      events.*,
      {{ instant_of('coalesce(below.watermark, ' ~ adjusted ~ ')') }} as _time
    from {{ silver }} as events
    left join
      {%- if over %} {{ below_own_watermark(silver, kept, adjusted, tolerance, over) }}
      {%- else %} {{ below_watermark(silver, kept, adjusted, reach, tolerance, slice) }}
      {%- endif %} as below
      on below.arrived = events._enqueued_time
      and below.of_partition = events._partition
      and below.number = events._sequence_number
    where {{ kept }}
    {%- if policy == 'drop' %} and below.watermark is null{% endif %}
  )
{%- endmacro %}


{# As below_watermark, with a watermark for each value of the columns `over`. Each substream is put in order by itself: they
   are many and short, where all events are one that is long. #}
{% macro below_own_watermark(events, kept, adjusted, tolerance, over) -%}
  (
    select arrived, of_partition, number, watermark
    from (
      select
        _enqueued_time as arrived,
        _partition as of_partition,
        _sequence_number as number,
        {{ adjusted }} as adjusted,
        max({{ adjusted }}) over (
          {{ partitioned(over) }}order by {{ arrival_order() | join(', ') }}
          rows between unbounded preceding and 1 preceding
        ) - {{ tolerance }} as watermark
      from {{ events }} as events
      where {{ kept }}
    ) as ordered
    where adjusted < watermark
  )
{%- endmacro %}


{# The events below the watermark, in FROM, by `arrived`, `of_partition` and `number`, each with its `watermark`.

   Sorting all events by arrival would cost more than most of what is computed from them. But few can be below the
   watermark, and roughly which is known from the least and the greatest time of every slice of arrival. Only in slices
   that hold such an event, and there only among these and the events that raise the watermark, is the order looked at.

   An event raises the watermark for those that arrive less than `reach` after it; the others are later than that
   anyway. So slices are put in order by spans, each with those of the span before that reach into it, and no step looks
   at everything at once. #}
{% macro below_watermark(events, kept, adjusted, reach, tolerance, slice) -%}
  {%- set reach_slices = [reach, 0] | max // slice + 2 -%}
  {%- set span_slices = [reach_slices, 3600000000 // slice] | max -%}
  {%- set slice_of = whole_quotient(micros_of('_enqueued_time'), slice) -%}
  (
    select arrived, of_partition, number, watermark
    from (
      select
        arrived,
        of_partition,
        number,
        adjusted,
        greatest(
          before,
          max(adjusted) over (
            partition by slices.slice
            order by arrived, of_partition, number
            rows between unbounded preceding and 1 preceding
          )
        ) - {{ tolerance }} as watermark
      from (
        select
          _enqueued_time as arrived,
          _partition as of_partition,
          _sequence_number as number,
          {{ slice_of }} as slice,
          {{ adjusted }} as adjusted
        from {{ events }}
        where {{ kept }}
      ) as events
      inner join (
        select slice, before, greatest(before, newest) - {{ tolerance }} as bound
        from (
          select
            slice,
            own_span,
            in_span,
            oldest,
            newest,
            max(newest) over (
              partition by in_span order by slice rows between unbounded preceding and 1 preceding
            ) as before
          from (
            select spans.*, {{ unnested(list_of(['own_span', 'own_span + 1'])) }} as in_span
            from (
              select slice, {{ floor_quotient('slice', span_slices) }} as own_span, oldest, newest
              from (
                select {{ slice_of }} as slice, min({{ adjusted }}) as oldest, max({{ adjusted }}) as newest
                from {{ events }}
                where {{ kept }}
                group by 1
              ) as grouped
            ) as spans
          ) as placed
          where in_span = own_span or slice >= in_span * {{ span_slices }} - {{ reach_slices }}
        ) as followed
        where in_span = own_span and oldest < greatest(before, newest) - {{ tolerance }}
      ) as slices on slices.slice = events.slice
      where adjusted < bound or before is null or adjusted > before
    ) as ordered
    where adjusted < watermark
  )
{%- endmacro %}


{# How long a slice of arrival is, in microseconds. Slices are put in order, so they should be few; but every event in a
   slice with one below the watermark is looked at. Measured: best is about 4 s at one event a second, 1 s at ten and a
   quarter of a second at a hundred. Whoever calls dbt may say the rates (var arrival_rates: {name: events a second});
   the rows are the same whatever they are. #}
{% macro arrival_slice(name) %}
  {% set rate = var('arrival_rates', {}).get(name, 256) %}
  {% do return([[(4000000 / rate ** 0.5) | int, 100000] | max, 60000000] | min) %}
{% endmacro %}
