{# Where SQL dialects differ; `default__` is Spark's and Databricks' spelling. #}

{# The instant that a snapshot's key, such as 2026-01-05T000000Z, names. #}
{% macro snapshot_instant(key) -%}
  {{ adapter.dispatch('snapshot_instant', 'dagster_lake')(key) }}
{%- endmacro %}

{# The pattern X reads the Z as UTC, whatever the session's time zone. #}
{% macro default__snapshot_instant(key) -%}
  to_timestamp(replace({{ key }}, 'T', ' '), 'yyyy-MM-dd HHmmssX')
{%- endmacro %}

{% macro duckdb__snapshot_instant(key) -%}
  cast(strptime({{ key }}, '%Y-%m-%dT%H%M%SZ') as timestamp with time zone)
{%- endmacro %}


{# How often one whole number, 0 or more, is contained in another: `/` gives doubles on every engine. #}
{% macro whole_quotient(dividend, divisor) -%}
  {{ adapter.dispatch('whole_quotient', 'dagster_lake')(dividend, divisor) }}
{%- endmacro %}

{% macro default__whole_quotient(dividend, divisor) -%}
  (({{ dividend }}) div ({{ divisor }}))
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}
  (({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}
