{# Instants as whole microseconds since 1970 and back. All arithmetic on time is done on these: it is exact, equal on
   every engine, and depends on no session's time zone. #}

{% macro micros_of(instant) -%}
  {{ adapter.dispatch('micros_of', 'dagster_lake')(instant) }}
{%- endmacro %}

{% macro default__micros_of(instant) -%}
  unix_micros({{ instant }})
{%- endmacro %}

{% macro duckdb__micros_of(instant) -%}
  epoch_us({{ instant }})
{%- endmacro %}


{% macro instant_of(micros) -%}
  {{ adapter.dispatch('instant_of', 'dagster_lake')(micros) }}
{%- endmacro %}

{% macro default__instant_of(micros) -%}
  timestamp_micros({{ micros }})
{%- endmacro %}

{% macro duckdb__instant_of(micros) -%}
  make_timestamptz({{ micros }})
{%- endmacro %}


{# The instant `ms` milliseconds after another, or before it. #}
{% macro shifted(instant, ms) -%}
  {{ instant_of(micros_of(instant) ~ ' + (' ~ ms * 1000 ~ ')') }}
{%- endmacro %}


{# A whole number's distance to the multiple of `divisor` below it, 0 or more; `%` alone takes the number's sign. #}
{% macro past_multiple(number, divisor) -%}
  ((({{ number }}) % {{ divisor }} + {{ divisor }}) % {{ divisor }})
{%- endmacro %}


{# The smallest multiple of `divisor`, moved by `offset`, that is not below a whole number. #}
{% macro multiple_from(number, divisor, offset=0) -%}
  ({{ number }} + {{ past_multiple(offset ~ ' - (' ~ number ~ ')', divisor) }})
{%- endmacro %}


{# How often `divisor` goes into a whole number, rounded down below 0 too. #}
{% macro floor_quotient(number, divisor) -%}
  {{ whole_quotient(number ~ ' - ' ~ past_multiple(number, divisor), divisor) }}
{%- endmacro %}


{# The day, UTC, of an instant given in microseconds. #}
{% macro utc_day(micros) -%}
  {{ adapter.dispatch('utc_day', 'dagster_lake')(micros) }}
{%- endmacro %}

{% macro default__utc_day(micros) -%}
  date_add(date '1970-01-01', cast({{ floor_quotient(micros, 86400000000) }} as int))
{%- endmacro %}

{% macro duckdb__utc_day(micros) -%}
  cast(make_timestamp({{ micros }}) as date)
{%- endmacro %}


{# The key, such as 2026-01-05T12, of the lake hour (start, end] that holds an instant. #}
{% macro lake_hour_of(instant) -%}
  {%- set hour = 3600000000 -%}
  {%- set start = multiple_from(micros_of(instant), hour) ~ ' - ' ~ hour -%}
  {{ adapter.dispatch('lake_hour_of', 'dagster_lake')(start) }}
{%- endmacro %}

{% macro default__lake_hour_of(start) -%}
  concat(
    cast({{ utc_day(start) }} as string),
    'T',
    lpad(cast({{ whole_quotient(past_multiple(start, 86400000000), 3600000000) }} as string), 2, '0')
  )
{%- endmacro %}

{% macro duckdb__lake_hour_of(start) -%}
  strftime(make_timestamp({{ start }}), '%Y-%m-%dT%H')
{%- endmacro %}
