{# Written from the contracts by `python -m dagster_lake.resources.dbt_sources`; do not edit. #}

{% macro data_sets_of_events() %}
  {% do return([]) %}
{% endmacro %}
