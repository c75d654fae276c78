{# Analytic functions: they look at other rows of their query and keep each row. As in Stream Analytics they do not see
   the query's own WHERE: filter in an earlier step, or by `when`, a condition that is false where it is null. Events of
   one time are taken in the order of their arrival; rows that are no events give other columns as `ties`. #}

{# 1 for the first event of each interval (start, end] of `size_ms` and of each key, else 0. Events that fail `when`
   get 0, and the others are counted without them. #}
{% macro is_first(ts, size_ms, keys=[], when=none, ties=arrival_order()) -%}
  {%- set met = [] if when is none else [holds(when)] -%}
  {%- set groups = keys + [tumbling_end(ts, size_ms)] + met -%}
  case
    when {% if met %}{{ met[0] }} and {% endif -%}
      row_number() over ({{ partitioned(groups) }}order by {{ ([ts] + ties) | join(', ') }}) = 1
    then 1
    else 0
  end
{%- endmacro %}


{% macro arrival_order() %}
  {% do return(['_enqueued_time', '_partition', '_sequence_number']) %}
{% endmacro %}


{% macro partitioned(keys) -%}
  {%- if keys %}partition by {{ keys | join(', ') }} {% endif -%}
{%- endmacro %}


{# A condition in two values: comparisons with null are false. #}
{% macro holds(condition) -%}
  coalesce({{ condition }}, false)
{%- endmacro %}
