{# TopOne() OVER (ORDER BY ...): an aggregate that gives the first of its rows in an order. `value` is an expression, or
   a list of columns, which gives a record. `order_by` lists numbers or instants, each an expression that may end in asc
   or desc; null is the smallest. What descends on Spark is negated: give an instant as micros_of(...) there. Rows equal
   in all of these are taken in the order of their arrival; rows that are no events give other columns as `ties`. #}
{% macro top_one(value, order_by, ties=arrival_order()) -%}
  {%- set fields = {} -%}
  {%- for name in ([] if value is string else value) -%}{%- do fields.update({name: name}) -%}{%- endfor -%}
  {%- set terms = [] -%}
  {%- for term in order_by + ties -%}
    {%- set words = (term | trim).split() -%}
    {%- set direction = words[-1] | lower -%}
    {%- set said = words | length > 1 and direction in ('asc', 'desc') -%}
    {%- do terms.append({
        'expr': words[:-1] | join(' ') if said else term,
        'descends': said and direction == 'desc',
    }) -%}
  {%- endfor -%}
  {{ adapter.dispatch('top_one', 'dagster_lake')(value if value is string else record(fields), terms) }}
{%- endmacro %}

{# Nulls of a record come first in Spark's order, false before true. #}
{% macro default__top_one(value, terms) -%}
  {%- set ascending = [] -%}
  {%- for term in terms -%}
    {%- do ascending.append('(' ~ term.expr ~ ') is null, -(' ~ term.expr ~ ')' if term.descends else term.expr) -%}
  {%- endfor -%}
  min_by({{ value }}, struct({{ ascending | join(', ') }}))
{%- endmacro %}

{% macro duckdb__top_one(value, terms) -%}
  {%- set ordered = [] -%}
  {%- for term in terms -%}
    {%- do ordered.append(term.expr ~ (' desc nulls last' if term.descends else ' asc nulls first')) -%}
  {%- endfor -%}
  first({{ value }} order by {{ ordered | join(', ') }})
{%- endmacro %}
