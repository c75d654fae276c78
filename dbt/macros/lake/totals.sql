{# Silver's row of totals, when it differs from gold's in any of them: from relations `silver` and `gold` of one row each. #}
{% macro differing_totals(names) -%}
  select silver.*
  from silver
  cross join gold
  where {% for name in names %}{{ 'or ' if not loop.first }}silver.{{ name }} <> gold.{{ name }}
    {% endfor %}
{%- endmacro %}
