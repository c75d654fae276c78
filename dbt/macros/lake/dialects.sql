{# Where SQL dialects differ; `default__` is Spark's and Databricks' spelling. #}

{# The instant that a snapshot's key, such as 2026-01-05T000000Z, names. #}
{% macro snapshot_instant(key) -%}
  {{ adapter.dispatch('snapshot_instant', 'dagster_lake')(key) }}
{%- endmacro %}

{% macro default__snapshot_instant(key) -%}
  to_timestamp({{ key }}, "yyyy-MM-dd'T'HHmmss'Z'")
{%- endmacro %}

{% macro duckdb__snapshot_instant(key) -%}
  cast(strptime({{ key }}, '%Y-%m-%dT%H%M%SZ') as timestamp with time zone)
{%- endmacro %}
