{% macro litres(cubic_metres) %}
  cast(sum({{ cubic_metres }}) * 1000 as bigint)
{% endmacro %}
