{# Every pageview with every rating that its user gave from 0 to `minutes` minutes later, as DATEDIFF counts minutes; a
   subquery, with `_time`, the later time of the two. `when` is a condition on `stars`.

   Time is cut into spans one minute longer than that, so that the ratings of a pageview are of its span or the next. A
   user of many pages, such as a robot, is then not joined with all ratings it ever gave. #}
{% macro pageviews_with_stars(minutes, when='true') -%}
  (
    select
      views.event_id as pageview_event_id,
      stars.event_id as star_event_id,
      views.user_id,
      views.http_method,
      views.uri,
      views.latency,
      stars.stars,
      views.event_time as pageview_event_time,
      stars.event_time as star_event_time,
      {{ join_time('views._time', 'stars._time') }} as _time
    from (
      select events.*, {{ span_of('_time', minutes) }} as span
      from {{ stream('pageviews') }} as events
    ) as views
    inner join (
      select events.*, {{ span_of('_time', minutes) }} - spans.back as span
      from {{ stream('stars') }} as events
      cross join (select 0 as back union all select 1 as back) as spans
      where {{ when }}
    ) as stars
      on stars.user_id = views.user_id
      and stars.span = views.span
      and {{ boundaries_crossed('minute', 'views._time', 'stars._time') }} between 0 and {{ minutes }}
    where {{ in_output_hours(join_time('views._time', 'stars._time')) }}
  )
{%- endmacro %}


{% macro span_of(instant, minutes) -%}
  {{ floor_quotient(boundaries_until('minute', instant), minutes + 1) }}
{%- endmacro %}
