{# Several windows in one query, in FROM: GROUP BY keys, Windows(...). `of` lists windows, each a dictionary:
     {'kind': 'tumbling', 'size_ms': 300000, 'offset_ms': 0}
     {'kind': 'hopping', 'size_ms': 300000, 'hop_ms': 60000, 'offset_ms': 0}
     {'kind': 'sliding', 'size_ms': 300000}
     {'kind': 'session', 'timeout_ms': 60000, 'max_ms': 600000, 'over': ['user_id']}
   offset_ms is 0 and `over` nothing when not given; each may have an `id`, all or none. The result has `window_id`
   (null when they have none), the keys, `window_start`, `window_end`, and the aggregates. #}
{% macro windows(relation, ts, keys, aggregates, of) -%}
  {%- do refuse_wrong_ids(of) -%}
  (
    {%- for window in of %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
      cast({{ "'" ~ window.id ~ "'" if window.id is defined else 'null' }} as {{ lake_type('varchar') }}) as window_id,
      windows_of_kind.*
    from {{ windows_of(relation, ts, keys, aggregates, window) }} as windows_of_kind
    {%- endfor %}
  )
{%- endmacro %}


{% macro windows_of(relation, ts, keys, aggregates, window) -%}
  {%- set offset = window.offset_ms or 0 -%}
  {%- if window.kind == 'tumbling' -%}
    {%- set ends = tumbling_end(ts, window.size_ms, offset) -%}
  {%- elif window.kind == 'hopping' -%}
    {%- set ends = unnested(hopping_ends(ts, window.size_ms, window.hop_ms, offset)) -%}
  {%- elif window.kind not in ('sliding', 'session') -%}
    {%- do exceptions.raise_compiler_error(
        'windows: kind ' ~ window.kind ~ ' is unknown; use tumbling, hopping, sliding or session') -%}
  {%- endif -%}
  {%- if window.kind == 'session' -%}
    {%- set rows = sessions(relation, ts, window.over or [], window.timeout_ms, window.max_ms) -%}
    {%- set start, end = 'session_start', 'session_end' -%}
  {%- else -%}
    {%- set start, end = shifted('window_end', -window.size_ms), 'window_end' -%}
  {%- endif -%}
  {%- set named = keys + [start ~ ' as window_start', end ~ ' as window_end'] -%}
  {%- if window.kind == 'sliding' -%}
    (
      select {{ (named + [all_but(keys + ['window_end'])]) | join(', ') }}
      from {{ sliding(relation, ts, window.size_ms, keys, aggregates) }} as slid
    )
  {%- else -%}
    (
      select {{ (named + aggregates) | join(', ') }}
      from {{ rows or '(select events.*, ' ~ ends ~ ' as window_end from ' ~ relation ~ ' as events)' }} as placed
      group by {{ (keys + ([start, end] if window.kind == 'session' else [end])) | join(', ') }}
    )
  {%- endif -%}
{%- endmacro %}


{% macro refuse_wrong_ids(of) %}
  {% set ids = of | selectattr('id', 'defined') | map(attribute='id') | list %}
  {% if ids and (ids | map('lower') | unique | list | length < of | length) %}
    {% do exceptions.raise_compiler_error(
        'windows: all have an id or none has, and ids differ in more than case: ' ~ ids | join(', ')) %}
  {% endif %}
{% endmacro %}
