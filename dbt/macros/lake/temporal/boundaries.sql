{# DATEDIFF(part, a, b): how many boundaries of `part` lie between a and b, negative when b is earlier. This is not the
   time elapsed: from 10:00:59 to 10:01:00 one minute boundary is crossed. Parts are named as Stream Analytics does. #}
{% macro boundaries_crossed(part, a, b) -%}
  {%- set names = {
      'year': ['year', 'yy', 'yyyy'], 'quarter': ['quarter', 'qq', 'q'], 'month': ['month', 'mm', 'm'],
      'week': ['week', 'wk', 'ww'], 'day': ['day', 'dd', 'd', 'dayofyear', 'dy', 'y', 'weekday', 'dw', 'w'],
      'hour': ['hour', 'hh'], 'minute': ['minute', 'mi', 'n'], 'second': ['second', 'ss', 's'],
      'millisecond': ['millisecond', 'ms'], 'microsecond': ['microsecond', 'mcs'],
  } -%}
  {%- set found = [] -%}
  {%- for name, spellings in names.items() if part | lower in spellings -%}{%- do found.append(name) -%}{%- endfor -%}
  {%- if not found -%}
    {%- do exceptions.raise_compiler_error(
        'boundaries_crossed: part ' ~ part ~ ' is unknown; use one of ' ~ names | join(', ')) -%}
  {%- endif -%}
  cast({{ boundaries_until(found[0], b) }} - {{ boundaries_until(found[0], a) }} as bigint)
{%- endmacro %}


{# Boundaries of `part` up to an instant, the instant itself included, counted from an arbitrary one. Weeks begin on
   Sunday, as they do for T-SQL's DATEDIFF; 1970-01-04 was one. #}
{% macro boundaries_until(part, instant) -%}
  {%- set lengths = {
      'week': 604800000000, 'day': 86400000000, 'hour': 3600000000, 'minute': 60000000, 'second': 1000000,
      'millisecond': 1000, 'microsecond': 1,
  } -%}
  {%- if part in lengths -%}
    {{ floor_quotient(micros_of(instant) ~ (' - 259200000000' if part == 'week' else ''), lengths[part]) }}
  {%- elif part == 'year' -%}
    year({{ utc_day(micros_of(instant)) }})
  {%- elif part == 'quarter' -%}
    (year({{ utc_day(micros_of(instant)) }}) * 4 + quarter({{ utc_day(micros_of(instant)) }}))
  {%- else -%}
    (year({{ utc_day(micros_of(instant)) }}) * 12 + month({{ utc_day(micros_of(instant)) }}))
  {%- endif -%}
{%- endmacro %}
