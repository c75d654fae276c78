{# Every pageview with every rating that its user gave from 0 to `minutes` minutes later, as DATEDIFF counts minutes; a
   subquery, with `_time`, the later time of the two. `when` is a condition on `stars`. #}
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
      greatest(views._time, stars._time) as _time
    from {{ stream('pageviews') }} as views
    inner join {{ stream('stars') }} as stars
      on stars.user_id = views.user_id
      and {{ boundaries_crossed('minute', 'views._time', 'stars._time') }} between 0 and {{ minutes }}
    where {{ when }}
      and {{ in_output_hours('greatest(views._time, stars._time)') }}
  )
{%- endmacro %}
