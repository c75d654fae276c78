{# The time of a result of a stream join: that of the later event. In a LEFT JOIN, `miss_after_ms` is the upper bound of
   its DATEDIFF: a miss, where the right time is null, is known that long after the left event. #}
{% macro join_time(left, right, miss_after_ms=none) -%}
  {%- if miss_after_ms is none -%}
    greatest({{ left }}, {{ right }})
  {%- else -%}
    case when {{ right }} is null then {{ shifted(left, miss_after_ms) }} else greatest({{ left }}, {{ right }}) end
  {%- endif -%}
{%- endmacro %}
