{# Lists of doubles, and of records {at, value} in order of time: what functions over the events before one are made of.
   In DuckDB's spelling alone, for what is made of them is refused on Spark (anomalies.sql). #}

{# An expression over the rows of a window, as a list; empty where the window is. #}
{% macro listed(expr, over) -%}
  coalesce(list({{ expr }}) {{ over }}, [])
{%- endmacro %}


{# The values of those records that are later than a number of microseconds. #}
{% macro values_after(records, micros) -%}
  [_r.value for _r in {{ records }} if _r.at > {{ micros }}]
{%- endmacro %}


{# `expr` of each element, which it calls `name`. #}
{% macro mapped(list, name, expr) -%}
  list_transform({{ list }}, lambda {{ name }}: {{ expr }})
{%- endmacro %}


{% macro sorted_list(list) -%}
  list_sort({{ list }})
{%- endmacro %}


{# The mean of a list; null of an empty one. #}
{% macro mean_of(list) -%}
  list_avg({{ list }})
{%- endmacro %}


{# The greatest sum of the last elements, however many, of a list. #}
{% macro greatest_sum_to_the_end(list) -%}
  list_reduce({{ list }}, lambda _sum, _z: greatest(_sum, 0) + _z, cast(0 as double))
{%- endmacro %}
