{# Written from the contracts by `python -m dagster_lake.dbt_runner.sources`; do not edit. #}

{% macro data_sets_of_events() %}
  {% do return(['pageviews', 'stars']) %}
{% endmacro %}
