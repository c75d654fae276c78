{# Locally a model's rows are computed by DuckDB and written as Delta by the plugin; the model's SQL is passed on. #}
{% macro store_in_lake(mode, partitions=none) %}
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
      'description': model.description,
      'inputs': inputs,
  }) %}
{% endmacro %}


{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
  {{ run_hooks(pre_hooks) }}
  {% do store_in_lake('overwrite') %}
  {{ run_hooks(post_hooks) }}
  {{ return({'relations': [this]}) }}
{% endmaterialization %}


{# insert_overwrite replaces exactly the partitions that the macro named by the config `replaces` lists, even those
   that have no rows any more; merge updates by unique_key. Without a list, or on a full refresh, all is replaced. #}
{% materialization incremental, adapter='duckdb', supported_languages=['sql'] %}
  {{ run_hooks(pre_hooks) }}
  {% set strategy = config.get('incremental_strategy') %}
  {% if should_full_refresh() %}
    {% do store_in_lake('overwrite') %}
  {% elif strategy == 'merge' %}
    {% do store_in_lake('merge') %}
  {% elif strategy == 'insert_overwrite' %}
    {% set partitions = context[config.require('replaces')]() %}
    {% do store_in_lake('overwrite' if partitions is none else 'replace_partitions', partitions) %}
  {% else %}
    {% do exceptions.raise_compiler_error("incremental_strategy " ~ strategy ~ " is unknown; use insert_overwrite or merge") %}
  {% endif %}
  {{ run_hooks(post_hooks) }}
  {{ return({'relations': [this]}) }}
{% endmaterialization %}
