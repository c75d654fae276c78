{# Aggregates. Nulls do not count, and none but nulls give null. #}

{# The value at rank p * (n - 1), counted from 0, between its neighbours in proportion; a double. #}
{% macro percentile_cont(p, expr) -%}
  percentile_cont({{ p }}) within group (order by cast({{ expr }} as double))
{%- endmacro %}


{# The first value, in order, up to which at least the share p of the values lies; of the values' type. p is written as
   a decimal, such as 0.95. #}
{% macro percentile_disc(p, expr) -%}
  {{ adapter.dispatch('percentile_disc', 'dagster_lake')(p, expr) }}
{%- endmacro %}

{# Spark's own gives a double, and multiplies p as one: 0.07 * 100 is more than 7 then. Here the rank is a quotient of
   whole numbers. #}
{% macro default__percentile_disc(p, expr) -%}
  {%- set decimals = (p | string).partition('.')[2] -%}
  {%- set parts = 10 ** (decimals | length) -%}
  {%- set share = (p | string).replace('.', '') | int -%}
  {%- set rank = whole_quotient('count(' ~ expr ~ ') * ' ~ share ~ ' + ' ~ (parts - 1), parts) -%}
  get(array_sort(collect_list({{ expr }})), cast(greatest({{ rank }}, 1) - 1 as int))
{%- endmacro %}

{% macro duckdb__percentile_disc(p, expr) -%}
  percentile_disc({{ p }}) within group (order by {{ expr }})
{%- endmacro %}
