{# The lake hours this run recomputes, as a list; none means all of them (dbt run by hand, or a full refresh). #}
{% macro recomputed_hours() %}
  {% do return(none if flags.FULL_REFRESH else var('recomputed_hours', none)) %}
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
    {%- set told = none if flags.FULL_REFRESH else var('stream_hours', none) -%}
    {{ is_one_of('_lake_hour', none if told is none else told[tested.config.meta.look_back_hours | string]) }}
  {%- else -%}
    {{ in_recomputed_hours() }}
  {%- endif -%}
{%- endmacro %}


{# `column in (constants)`; none lets everything through. #}
{% macro is_one_of(column, values) -%}
  {%- if values is none -%}
    true
  {%- elif values | length == 0 -%}
    false
  {%- else -%}
    {{ column }} in ('{{ values | join("', '") }}')
  {%- endif -%}
{%- endmacro %}
