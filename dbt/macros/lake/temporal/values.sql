{# Expressions, by name, as one value with fields of these names. #}
{% macro record(fields) -%}
  {{ adapter.dispatch('record', 'dagster_lake')(fields) }}
{%- endmacro %}

{% macro default__record(fields) -%}
  {%- set listed = [] -%}
  {%- for name, expr in fields.items() -%}{%- do listed.append("'" ~ name ~ "', " ~ expr) -%}{%- endfor -%}
  named_struct({{ listed | join(', ') }})
{%- endmacro %}

{% macro duckdb__record(fields) -%}
  {%- set listed = [] -%}
  {%- for name, expr in fields.items() -%}{%- do listed.append("'" ~ name ~ "': " ~ expr) -%}{%- endfor -%}
  {{ '{' ~ listed | join(', ') ~ '}' }}
{%- endmacro %}


{# Every column but these. #}
{% macro all_but(columns) -%}
  * {{ adapter.dispatch('all_but', 'dagster_lake')() }} ({{ columns | join(', ') }})
{%- endmacro %}

{% macro default__all_but() -%}
  except
{%- endmacro %}

{% macro duckdb__all_but() -%}
  exclude
{%- endmacro %}


{# Expressions as a list. #}
{% macro list_of(values) -%}
  {{ adapter.dispatch('list_of', 'dagster_lake')(values | join(', ')) }}
{%- endmacro %}

{% macro default__list_of(values) -%}
  array({{ values }})
{%- endmacro %}

{% macro duckdb__list_of(values) -%}
  [{{ values }}]
{%- endmacro %}
