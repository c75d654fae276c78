{# The rows of a table of silver in the hours of this run, in FROM; source() is the whole table. An hourly model reads by
   this what it counts by the hour, so that its cost follows the run and not the history.

   The hours are those of `recomputed_hours`: the run's, and those where a row that changed in them counted before, as the
   keys and references of the contracts tell (dbt_runner/recompute.py). Of a model with the meta look_back_hours they are
   those of `stream_reads`. A run that computes everything, and dbt by hand, read every hour.

   `of` names another hourly table of silver, which this one's contract references: then these are the rows that belong to
   its rows of these hours, whatever hour they are of themselves. So source_hours('silver', 'order_items', of='orders') are
   the items of the orders of these hours. #}
{% macro source_hours(source_name, table_name, of=none) %}
  {% set relation = builtins.source(source_name, table_name) %}
  {% set parent = builtins.source(source_name, of) if of is not none else none %}
  {# A unit test knows no other nodes: it is given the rows, and reads all of them. #}
  {% if not execute or 'sources' not in graph %}
    {% do return(relation) %}
  {% endif %}
  {% set node = lake_source(source_name, table_name) %}
  {% set on = reference_to(node, of) if of is not none else none %}
  {% if '_lake_hour' not in (lake_source(source_name, of) if of is not none else node).columns %}
    {% do exceptions.raise_compiler_error(
        model.original_file_path ~ ': ' ~ source_name ~ '.' ~ (of or table_name) ~ ' has no hours; read it by source()') %}
  {% endif %}
  {% set hours = hours_to_read() %}
  {% if is_everything(hours) %}
    {% set rows = source(source_name, table_name) %}
    {% do return(rows if of is none else rows_that_belong(rows, on, source(source_name, of))) %}
  {% endif %}
  {% do return(adapter.dispatch('lake_hours', 'dagster_lake')(relation, node, hours, parent, on)) %}
{% endmacro %}


{# DuckDB gets a view of the files of these hours alone: even to skip the others, it would have to look at each. #}
{% macro duckdb__lake_hours(relation, node, hours, parent, on) %}
  {% set name = node.schema ~ '.' ~ node.identifier %}
  {% set of = none if parent is none else {'table': parent.schema ~ '.' ~ parent.identifier, 'on': on} %}
  {% set which = local_md5(tojson([name, hours, of]))[:12] %}
  {% set view = api.Relation.create(database=relation.database, schema='lake', identifier=node.identifier ~ '_' ~ which) %}
  {% do show_to_model(view, {
      'show': name, 'columns': node.columns.values() | list, 'files': files_of(node), 'hours': hours, 'of': of,
  }) %}
  {% do return(view) %}
{% endmacro %}


{% macro default__lake_hours(relation, node, hours, parent, on) %}
  {% set rows = lake_input(relation, 'sources', node.name) %}
  {% if parent is none %}
    {% do return(rows_of_hours(rows, hours)) %}
  {% endif %}
  {% set parents = rows_of_hours(lake_input(parent, 'sources', parent.identifier), hours) %}
  {% do return(rows_that_belong(rows, on, parents)) %}
{% endmacro %}


{% macro rows_of_hours(rows, hours) -%}
  (select * from {{ rows }} where {{ is_one_of('_lake_hour', hours) }})
{%- endmacro %}


{% macro rows_that_belong(rows, on, parents) -%}
  (select * from {{ rows }} where {{ on[0] }} in (select {{ on[1] }} from {{ parents }}))
{%- endmacro %}


{# The hours of silver that the model (or the model that is tested) reads: a list, `all`, or none when nobody said. #}
{% macro hours_to_read() %}
  {% set node = graph.nodes.get(model.attached_node) or model %}
  {% if node.config.meta.get('look_back_hours') is not none %}
    {% do return(hours_told('stream_reads', node)) %}
  {% endif %}
  {% do return(recomputed_hours()) %}
{% endmacro %}


{% macro lake_source(source_name, table_name) %}
  {% do return(graph.sources.values() | selectattr('source_name', 'equalto', source_name)
      | selectattr('name', 'equalto', table_name) | first) %}
{% endmacro %}


{# The field of this table that names the key of another, and that key, quoted, as their contracts say. #}
{% macro reference_to(node, other) %}
  {% for field, target in node.config.meta.get('references', {}).items() if target.split('.')[0] == other %}
    {% do return([adapter.quote(field), adapter.quote(target.split('.')[1])]) %}
  {% endfor %}
  {% do exceptions.raise_compiler_error(
      model.original_file_path ~ ': the contract of ' ~ node.name ~ ' references no field of ' ~ other
      ~ "; give the field a relationship there, or join with source('" ~ node.source_name ~ "', '" ~ node.name ~ "')") %}
{% endmacro %}
