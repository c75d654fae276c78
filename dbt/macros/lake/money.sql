{# The mean of an exact amount, 0 or more, over a count above 0: rounded half up to the cent, in whole numbers. A quotient
   of doubles would make 32810.14 of 65620.29 / 2. #}
{% macro mean_amount(total, count) -%}
  {%- set halves = "(cast(" ~ total ~ " * 100 as bigint) * 2 + " ~ count ~ ")" -%}
  cast((({{ halves }} - {{ halves }} % ({{ count }} * 2)) / ({{ count }} * 2)) / 100 as decimal(18, 2))
{%- endmacro %}
