{# The lake hours this run recomputes: a list, or `all`, which a full refresh and whoever calls dbt must say. None means
   that nobody said (dbt run by hand, a unit test): everything is read then, and no hourly table is written. #}
{% macro recomputed_hours() %}
  {% do refuse_hours_of_a_whole_table() %}
  {% do return('all' if flags.FULL_REFRESH else var('recomputed_hours', none)) %}
{% endmacro %}


{# A table that is written whole would hold the rows of the last run's hours, and lose all others. #}
{% macro refuse_hours_of_a_whole_table() %}
  {% if execute and model.resource_type == 'model' and model.config.materialized != 'incremental' %}
    {% do exceptions.raise_compiler_error(
        model.original_file_path ~ ': reads the hours of a run, and is materialized ' ~ model.config.materialized
        ~ ', which keeps nothing of the hours before; make it incremental, or read the whole table by source()') %}
  {% endif %}
{% endmacro %}


{# A condition that holds for rows of the recomputed hours. The hours are constants, so that files of other hours are
   never opened. #}
{% macro in_recomputed_hours(column='_lake_hour') -%}
  {{ is_one_of(column, recomputed_hours()) }}
{%- endmacro %}


{# In a test: a condition that holds for the rows of the tested model that this run replaced. #}
{% macro in_replaced_hours() -%}
  {%- set tested = graph.nodes.get(model.attached_node) if execute -%}
  {%- if tested and tested.config.replaces == 'stream_hours' -%}
    {{ is_one_of('_lake_hour', hours_told('stream_hours', tested)) }}
  {%- else -%}
    {{ in_recomputed_hours() }}
  {%- endif -%}
{%- endmacro %}


{# `column in (constants)`; `all` and none let everything through. #}
{% macro is_one_of(column, values) -%}
  {%- if is_everything(values) -%}
    true
  {%- elif values | length == 0 -%}
    false
  {%- else -%}
    {{ column }} in ('{{ values | join("', '") }}')
  {%- endif -%}
{%- endmacro %}


{# Whether these hours, days or snapshots are no list: `all`, or none, where nobody said which. #}
{% macro is_everything(values) %}
  {% do return(values is none or values == 'all') %}
{% endmacro %}
