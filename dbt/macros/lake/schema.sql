{# A layer of the lake is a schema: gold is gold, not <target schema>_gold. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}


{# Of dbt run by hand: views without rows for the tables that are declared in YAML and are not in the lake yet. #}
{% macro declare_missing_tables() -%}
  {{ adapter.dispatch('declare_missing_tables', 'dagster_lake')() }}
{%- endmacro %}

{% macro default__declare_missing_tables() %}{% endmacro %}

{% macro duckdb__declare_missing_tables() -%}
  {%- if execute and not var('lake_session', '') -%}
    {%- set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | list -%}
    {%- for table in (graph.sources.values() | list) + models if has_all_types(table) %}
      create view if not exists {{ adapter.quote(table.schema) }}.{{ adapter.quote(table.identifier or table.alias) }} as
      {{ empty_select(table) }};
    {%- endfor -%}
  {%- endif -%}
{%- endmacro %}
