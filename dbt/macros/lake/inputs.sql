{# What a model reads. The caller of dbt pins each table's version once a run (var lake_versions), so that a model and
   its tests see one lake, and a table that is not there yet reads as empty. dbt run by hand reads what is newest.

   source() is the whole table; source_hours() its rows in the hours of the run. DuckDB has views of the pinned versions,
   each made when it is first asked for: listing the files of a long history takes time. See dbt_runner/duckdb_session.py. #}

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
  {# Of dbt run by hand, everything is shown already. #}
  {% if var('lake_session', '') %}
    {% set node = graph[kind].values() | selectattr('schema', 'equalto', relation.schema)
        | selectattr('name', 'equalto', name) | first %}
    {% do show_to_model(relation, {
        'show': node.schema ~ '.' ~ relation.identifier, 'columns': node.columns.values() | list, 'files': files_of(node),
    }) %}
  {% endif %}
  {% do return(relation) %}
{% endmacro %}


{# Has the session make the view `relation` of what is asked for: see dbt_runner/delta_plugin.py. #}
{% macro show_to_model(relation, asked) %}
  {# dbt that only compiles has no connection to the session yet. #}
  {% if flags.WHICH == 'compile' %}
    {% do run_query('select 1') %}
  {% endif %}
  {% do adapter.store_relation('delta', relation, [], '', 'delta', asked) %}
{% endmacro %}

{# The model's own table as it stands, for a query while it is compiled; in its SQL, {{ this }} will do. #}
{% macro lake_this() %}
  {% do return(lake_input(this, 'nodes', model.name)) %}
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
    {% do return('(' ~ empty_select(node) ~ ')') %}
  {% endif %}
  {% do return(relation ~ ' version as of ' ~ version) %}
{% endmacro %}
