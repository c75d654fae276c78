{# The mean of an exact amount, 0 or more, over a count above 0: rounded half up to the cent, in whole numbers. A quotient
   of doubles would make 32810.14 of 65620.29 / 2. #}
{% macro mean_amount(total, count) -%}
  {%- set halves = "cast(" ~ total ~ " * 100 as bigint) * 2 + " ~ count -%}
  {%- set cents = whole_quotient(halves, count ~ " * 2") -%}
  cast(cast({{ cents }} as decimal(18, 0)) * cast(0.01 as decimal(3, 2)) as decimal(18, 2))
{%- endmacro %}
