{# CROSS APPLY GetArrayElements(array), in FROM: every row of `relation` once for each element of `array`, an expression
   over its columns, with `array_index`, from 0, and `array_value`. A row whose array is empty or null is left out;
   `outer_apply` keeps it, with nulls. A value that is no array is refused by the engine. #}
{% macro cross_apply(relation, array) -%}
  {{ applied(relation, array, none_as=list_of([])) }}
{%- endmacro %}


{% macro outer_apply(relation, array) -%}
  {{ applied(relation, array, none_as=list_of(['cast(null as bigint)'])) }}
{%- endmacro %}


{% macro applied(relation, array, none_as) -%}
  (
    select placed.*, {{ element_at(array, 'array_index') }} as array_value
    from (
      select
        arrays.*,
        {{ unnested('case when ' ~ length_of(array) ~ ' > 0 then ' ~ positions_of(array) ~ ' else ' ~ none_as ~ ' end') }}
          as array_index
      from {{ relation }} as arrays
    ) as placed
  )
{%- endmacro %}


{# GetArrayElement: the element at a position, from 0; null when there is none. #}
{% macro element_at(array, position) -%}
  {{ adapter.dispatch('element_at', 'dagster_lake')(array, position) }}
{%- endmacro %}

{% macro default__element_at(array, position) -%}
  get({{ array }}, cast({{ position }} as int))
{%- endmacro %}

{# DuckDB counts from 1, and from the end below 0. #}
{% macro duckdb__element_at(array, position) -%}
  case when {{ position }} >= 0 then ({{ array }})[{{ position }} + 1] end
{%- endmacro %}


{% macro length_of(array) -%}
  {{ adapter.dispatch('length_of', 'dagster_lake')(array) }}
{%- endmacro %}

{% macro default__length_of(array) -%}
  size({{ array }})
{%- endmacro %}

{% macro duckdb__length_of(array) -%}
  len({{ array }})
{%- endmacro %}


{# The positions of an array that has elements, from 0. #}
{% macro positions_of(array) -%}
  {{ adapter.dispatch('positions_of', 'dagster_lake')(array) }}
{%- endmacro %}

{% macro default__positions_of(array) -%}
  sequence(0L, cast(size({{ array }}) as bigint) - 1L)
{%- endmacro %}

{% macro duckdb__positions_of(array) -%}
  range(len({{ array }}))
{%- endmacro %}
