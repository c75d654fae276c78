{# What a model reads. The caller of dbt pins each table's version once a run (var lake_versions), so that a model and
   its tests see one lake, and a table that is not there yet reads as empty. dbt run by hand reads what is newest.

   DuckDB has views of the pinned versions instead; see engines/dbt_session.py. #}

{% macro source() %}
  {% set relation = builtins.source(*varargs) %}
  {% do return(lake_input(relation, 'sources', varargs[-1]) if execute else relation) %}
{% endmacro %}

{% macro ref() %}
  {% set relation = builtins.ref(*varargs, **kwargs) %}
  {% do return(lake_input(relation, 'nodes', varargs[-1]) if execute else relation) %}
{% endmacro %}

{% macro lake_input(relation, kind, name) %}
  {% do return(adapter.dispatch('lake_input', 'dagster_lake')(relation, kind, name)) %}
{% endmacro %}

{% macro duckdb__lake_input(relation, kind, name) %}
  {% do return(relation) %}
{% endmacro %}

{% macro default__lake_input(relation, kind, name) %}
  {% set versions = var('lake_versions', none) %}
  {# What this run builds is there by the time it is read, in the version just written. #}
  {% if versions is none %}
    {% do return(relation) %}
  {% endif %}
  {% set node = graph[kind].values() | selectattr('schema', 'equalto', relation.schema)
      | selectattr('name', 'equalto', name) | first %}
  {% if node.unique_id in selected_resources %}
    {% do return(relation) %}
  {% endif %}
  {% set version = versions.get(node.schema ~ '.' ~ relation.identifier) %}
  {% if version is none %}
    {% do return('(' ~ empty_select(node.columns.values()) ~ ')') %}
  {% endif %}
  {% do return(relation ~ ' version as of ' ~ version) %}
{% endmacro %}
