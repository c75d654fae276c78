{# Aggregates. Nulls do not count, and none but nulls give null. #}

{# The value at rank p * (n - 1), counted from 0, between its neighbours in proportion; a double. #}
{% macro percentile_cont(p, expr) -%}
  percentile_cont({{ p }}) within group (order by cast({{ expr }} as double))
{%- endmacro %}


{# The first value, in order, up to which at least the share p of the values lies. #}
{% macro percentile_disc(p, expr) -%}
  percentile_disc({{ p }}) within group (order by {{ expr }})
{%- endmacro %}
