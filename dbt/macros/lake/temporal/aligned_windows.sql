{# Windows that every engine can name by an event's time alone. They are (start, end] and aligned to 1970-01-01T00:00Z,
   moved by the offset; a row of a window is stamped with its end. Durations are whole milliseconds. #}

{# The end of the tumbling window that holds an instant. #}
{% macro tumbling_end(ts, size_ms, offset_ms=0) -%}
  {{ instant_of(multiple_from(micros_of(ts), size_ms * 1000, offset_ms * 1000)) }}
{%- endmacro %}


{# The ends of the hopping windows that hold an instant, as a list: `select unnested(hopping_ends(...)) as window_end`
   gives an event once for each of them. With a hop above the size some instants are in no window. #}
{% macro hopping_ends(ts, size_ms, hop_ms, offset_ms=0) -%}
  {%- set micros = micros_of(ts) -%}
  {%- set first = multiple_from(micros, hop_ms * 1000, offset_ms * 1000) -%}
  {{ adapter.dispatch('hopping_ends', 'dagster_lake')(first, micros ~ ' + ' ~ size_ms * 1000, hop_ms * 1000) }}
{%- endmacro %}

{# `until` is excluded; sequence() includes its end, and would count down to one below its start. #}
{% macro default__hopping_ends(first, until, hop) -%}
  case
    when {{ first }} < {{ until }}
    then transform(sequence({{ first }}, {{ until }} - 1, {{ hop }}L), _window_end -> timestamp_micros(_window_end))
    else array()
  end
{%- endmacro %}

{% macro duckdb__hopping_ends(first, until, hop) -%}
  [make_timestamptz(_window_end) for _window_end in range({{ first }}, {{ until }}, {{ hop }})]
{%- endmacro %}


{# One row for each element of a list; in the SELECT list, once. #}
{% macro unnested(list) -%}
  {{ adapter.dispatch('unnested', 'dagster_lake')(list) }}
{%- endmacro %}

{% macro default__unnested(list) -%}
  explode({{ list }})
{%- endmacro %}

{% macro duckdb__unnested(list) -%}
  unnest({{ list }})
{%- endmacro %}
