{# TopOne() OVER (ORDER BY ...): an aggregate that gives the first of its rows in an order. `value` is an expression, or
   a list of columns, which gives a record. `order_by` lists numbers or instants, each an expression that may end in asc
   or desc; null is the smallest. What descends on Spark is negated: give an instant as micros_of(...) there. Rows equal
   in all of these are taken in the order of their arrival; rows that are no events give other columns as `ties`. #}
{% macro top_one(value, order_by, ties=arrival_order()) -%}
  {{ adapter.dispatch('top_one', 'dagster_lake')(value_or_record(value), order_terms(order_by + ties)) }}
{%- endmacro %}


{# An expression as it is; names of columns as a record of them. #}
{% macro value_or_record(value) -%}
  {%- set fields = {} -%}
  {%- for name in ([] if value is string else value) -%}{%- do fields.update({name: name}) -%}{%- endfor -%}
  {{ value if value is string else record(fields) }}
{%- endmacro %}


{# What to order by, each as its expression and whether it descends. #}
{% macro order_terms(order_by) %}
  {% set terms = [] %}
  {% for term in order_by %}
    {% set words = (term | trim).split() %}
    {% set direction = words[-1] | lower %}
    {% set said = words | length > 1 and direction in ('asc', 'desc') %}
    {% do terms.append({
        'expr': words[:-1] | join(' ') if said else term,
        'descends': said and direction == 'desc',
    }) %}
  {% endfor %}
  {% do return(terms) %}
{% endmacro %}

{# Nulls of a record come first in Spark's order, false before true. #}
{% macro default__top_one(value, terms) -%}
  min_by({{ value }}, struct({{ ascending(terms) }}))
{%- endmacro %}

{% macro ascending(terms) -%}
  {%- set listed = [] -%}
  {%- for term in terms -%}
    {%- do listed.append('(' ~ term.expr ~ ') is null, -(' ~ term.expr ~ ')' if term.descends else term.expr) -%}
  {%- endfor -%}
  {{ listed | join(', ') }}
{%- endmacro %}

{% macro duckdb__top_one(value, terms) -%}
  first({{ value }} order by {{ nulls_smallest(terms) }})
{%- endmacro %}

{% macro nulls_smallest(terms) -%}
  {%- set listed = [] -%}
  {%- for term in terms -%}
    {%- do listed.append(term.expr ~ (' desc nulls last' if term.descends else ' asc nulls first')) -%}
  {%- endfor -%}
  {{ listed | join(', ') }}
{%- endmacro %}


{# CollectTop(n) OVER (ORDER BY ...): an aggregate that gives the first `n` of its rows in an order, as a list of records
   of `rank`, from 1, and `value`. Everything else is as in top_one. A group's values are held in memory, all of them. #}
{% macro collect_top(n, value, order_by, ties=arrival_order()) -%}
  {{ adapter.dispatch('collect_top', 'dagster_lake')(n, value_or_record(value), order_terms(order_by + ties)) }}
{%- endmacro %}

{% macro default__collect_top(n, value, terms) -%}
  transform(
    slice(array_sort(collect_list(struct({{ ascending(terms) }}, {{ value }} as _value))), 1, {{ n }}),
    (_top, _place) -> named_struct('rank', cast(_place + 1 as bigint), 'value', _top._value)
  )
{%- endmacro %}

{% macro duckdb__collect_top(n, value, terms) -%}
  list_transform(
    list({{ value }} order by {{ nulls_smallest(terms) }})[1:{{ n }}],
    lambda _top, _place: {'rank': cast(_place as bigint), 'value': _top}
  )
{%- endmacro %}
