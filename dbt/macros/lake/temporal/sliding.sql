{# Sliding windows (t - size, t], in FROM: for every key, a row at each instant t at which an event enters or leaves and
   any is left, with the keys (names of columns), `window_end` (which is t) and the aggregates (a list such as
   ['count(*) as pageviews'], over the columns of `relation`).

   An event is in windows that end less than `size` after it, and thus in at most two of the spans of length `size`
   into which all of time is cut: events and windows meet by span, not each with each. #}
{% macro sliding(relation, ts, size_ms, keys, aggregates) -%}
  {%- set size = size_ms * 1000 -%}
  {%- set micros = micros_of(ts) -%}
  {%- set names, same = [], [] -%}
  {%- for key in keys -%}
    {%- do names.append(key ~ ' as _key_' ~ loop.index) -%}
    {%- do same.append('events.' ~ key ~ ' is not distinct from changes._key_' ~ loop.index) -%}
  {%- endfor -%}
  {%- set changed = (names + ['']) | join(', ') -%}
  (
    select
      {% for key in keys %}changes._key_{{ loop.index }} as {{ key }}, {% endfor -%}
      {{ instant_of('changes._changed') }} as window_end,
      {{ aggregates | join(', ') }}
    from (
      select {{ changed }}{{ micros }} as _changed from {{ relation }}
      union
      select {{ changed }}{{ micros }} + {{ size }} as _changed from {{ relation }}
    ) as changes
    inner join (
      select
        placed.*,
        {{ unnested(list_of(['_span', '_span + 1'])) }} as _met
      from (
        select events.*, {{ micros }} as _at, {{ floor_quotient(micros, size) }} as _span
        from {{ relation }} as events
      ) as placed
    ) as events
      on events._met = {{ floor_quotient('changes._changed', size) }}
      and events._at <= changes._changed
      and events._at > changes._changed - {{ size }}
      {%- for condition in same %}
      and {{ condition }}
      {%- endfor %}
    group by {% for key in keys %}changes._key_{{ loop.index }}, {% endfor %}changes._changed
  )
{%- endmacro %}
