{# Lists of doubles, and of records {at, value} in order of time: what functions over the events before one are made of. #}

{# In FROM: every row of `relation` with expressions, by name, each computed once a row. Spark would put an expression over
   lists into each place that names it, into lambdas and conditions too, where it is computed once an element: work that
   doubles with every stage. It does not do so with what a generator gives. #}
{% macro computed_once(relation, values) -%}
  {{ adapter.dispatch('computed_once', 'dagster_lake')(relation, values) }}
{%- endmacro %}

{% macro default__computed_once(relation, values) -%}
  (
    select *
    from {{ relation }} as given
    lateral view inline({{ list_of([record(values)]) }}) computed as {{ values.keys() | join(', ') }}
  )
{%- endmacro %}

{% macro duckdb__computed_once(relation, values) -%}
  (
    select
      given.*
      {%- for name, expr in values.items() %},
      {{ expr }} as {{ name }}
      {%- endfor %}
    from {{ relation }} as given
  )
{%- endmacro %}


{# An expression over the rows of a window, as a list; empty where the window is. #}
{% macro listed(expr, over) -%}
  {{ adapter.dispatch('listed', 'dagster_lake')(expr, over) }}
{%- endmacro %}

{% macro default__listed(expr, over) -%}
  collect_list({{ expr }}) {{ over }}
{%- endmacro %}

{% macro duckdb__listed(expr, over) -%}
  coalesce(list({{ expr }}) {{ over }}, [])
{%- endmacro %}


{# The values of those records that are later than a number of microseconds. #}
{% macro values_after(records, micros) -%}
  {{ adapter.dispatch('values_after', 'dagster_lake')(records, micros) }}
{%- endmacro %}

{% macro default__values_after(records, micros) -%}
  transform(filter({{ records }}, _r -> _r.at > {{ micros }}), _r -> _r.value)
{%- endmacro %}

{% macro duckdb__values_after(records, micros) -%}
  [_r.value for _r in {{ records }} if _r.at > {{ micros }}]
{%- endmacro %}


{# `expr` of each element, which it calls `name`. #}
{% macro mapped(list, name, expr) -%}
  {{ adapter.dispatch('mapped', 'dagster_lake')(list, name, expr) }}
{%- endmacro %}

{% macro default__mapped(list, name, expr) -%}
  transform({{ list }}, {{ name }} -> {{ expr }})
{%- endmacro %}

{% macro duckdb__mapped(list, name, expr) -%}
  list_transform({{ list }}, lambda {{ name }}: {{ expr }})
{%- endmacro %}


{% macro sorted_list(list) -%}
  {{ adapter.dispatch('sorted_list', 'dagster_lake')(list) }}
{%- endmacro %}

{% macro default__sorted_list(list) -%}
  array_sort({{ list }})
{%- endmacro %}

{% macro duckdb__sorted_list(list) -%}
  list_sort({{ list }})
{%- endmacro %}


{# The mean of a list; null of an empty one. #}
{% macro mean_of(list) -%}
  {{ adapter.dispatch('mean_of', 'dagster_lake')(list) }}
{%- endmacro %}

{% macro default__mean_of(list) -%}
  (aggregate({{ list }}, 0D, (_sum, _z) -> _sum + _z) / nullif(size({{ list }}), 0))
{%- endmacro %}

{% macro duckdb__mean_of(list) -%}
  list_avg({{ list }})
{%- endmacro %}


{# The greatest sum of the last elements, however many, of a list. #}
{% macro greatest_sum_to_the_end(list) -%}
  {{ adapter.dispatch('greatest_sum_to_the_end', 'dagster_lake')(list) }}
{%- endmacro %}

{% macro default__greatest_sum_to_the_end(list) -%}
  aggregate({{ list }}, 0D, (_sum, _z) -> greatest(_sum, 0D) + _z)
{%- endmacro %}

{% macro duckdb__greatest_sum_to_the_end(list) -%}
  list_reduce({{ list }}, lambda _sum, _z: greatest(_sum, 0) + _z, cast(0 as double))
{%- endmacro %}
