{# How a model's rows get into its Delta table; the same three modes on every engine. #}

{# mode is overwrite, merge (by unique_key), or replace_partitions (exactly the listed ones). #}
{% macro store_in_lake(mode, partitions=none) %}
  {% do adapter.dispatch('store_in_lake', 'dagster_lake')(mode, partitions) %}
{% endmacro %}

{# Locally DuckDB computes the rows and a plugin writes them; the model's SQL is passed on. #}
{% macro duckdb__store_in_lake(mode, partitions) %}
  {% set inputs = [] %}
  {% for id in model.depends_on.nodes %}
    {% set input = graph.sources.get(id) or graph.nodes.get(id) %}
    {% do inputs.append(input.schema ~ '.' ~ (input.identifier or input.alias)) %}
  {% endfor %}
  {% call noop_statement('main', 'stored as Delta') %}{{ compiled_code }}{% endcall %}
  {% do adapter.store_relation('delta', this, [], '', 'delta', {
      'sql': compiled_code,
      'mode': mode,
      'partitions': partitions,
      'partition_by': config.get('partition_by'),
      'unique_key': config.get('unique_key'),
      'columns': model.columns.values() | list,
      'files': files_of(model),
      'description': model.description,
      'inputs': inputs,
  }) %}
{% endmacro %}


{% macro lake_table() %}
  {{ run_hooks(pre_hooks) }}
  {% do store_in_lake('overwrite') %}
  {{ run_hooks(post_hooks) }}
  {% do return({'relations': [this]}) %}
{% endmacro %}

{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
  {{ return(lake_table()) }}
{% endmaterialization %}

{% materialization table, adapter='spark', supported_languages=['sql'] %}
  {{ return(lake_table()) }}
{% endmaterialization %}

{% materialization table, adapter='databricks', supported_languages=['sql'] %}
  {{ return(lake_table()) }}
{% endmaterialization %}


{# insert_overwrite replaces exactly the partitions that the macro named by the config `replaces` lists, even those
   that have no rows any more; merge updates by unique_key, and deletes nothing, so where the macro named by the config
   `starts_over_when` is true, all is replaced. It is when that macro says `all`, and on a full refresh, too; a list that
   is missing replaces nothing. #}
{% macro lake_incremental() %}
  {{ run_hooks(pre_hooks) }}
  {% set strategy = config.get('incremental_strategy') %}
  {% if should_full_refresh() %}
    {% do store_in_lake('overwrite') %}
  {% elif strategy == 'merge' %}
    {% set over = config.get('starts_over_when') %}
    {% do store_in_lake('overwrite' if over and context[over]() else 'merge') %}
  {% elif strategy == 'insert_overwrite' %}
    {% do config.require('partition_by') %}
    {% set partitions = context[config.require('replaces')]() %}
    {% if partitions is none %}
      {% do exceptions.raise_compiler_error(
          model.original_file_path ~ ': nobody said which partitions of ' ~ this.schema ~ '.' ~ this.identifier
          ~ ' to replace; run it as an asset, or compute all of it with --full-refresh') %}
    {% endif %}
    {% do store_in_lake('overwrite' if partitions == 'all' else 'replace_partitions', partitions) %}
  {% else %}
    {% do exceptions.raise_compiler_error("incremental_strategy " ~ strategy ~ " is unknown; use insert_overwrite or merge") %}
  {% endif %}
  {{ run_hooks(post_hooks) }}
  {% do return({'relations': [this]}) %}
{% endmacro %}

{% materialization incremental, adapter='duckdb', supported_languages=['sql'] %}
  {{ return(lake_incremental()) }}
{% endmaterialization %}

{% materialization incremental, adapter='spark', supported_languages=['sql'] %}
  {{ return(lake_incremental()) }}
{% endmaterialization %}

{% materialization incremental, adapter='databricks', supported_languages=['sql'] %}
  {{ return(lake_incremental()) }}
{% endmaterialization %}
