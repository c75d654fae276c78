{# Which hours of a stream model are computed, and which hours of silver it reads for them. Whoever calls dbt says so by
   look-back (see dbt_runner/stream_hours.py), and a model says its look-back by the config `meta: {look_back_hours: N}`.
   Told `all`, as by a full refresh, everything is read and computed. Told nothing (dbt run by hand, unit tests)
   everything is read, and no table is written. #}

{# The output hours that the model replaces: a list, `all`, or none when nobody said. #}
{% macro stream_hours() %}
  {% do return(hours_of_look_back('stream_hours')) %}
{% endmacro %}


{# The hours of silver that the model reads: a list, `all`, or none when nobody said. #}
{% macro stream_reads() %}
  {% do return(hours_of_look_back('stream_reads')) %}
{% endmacro %}


{# A condition that holds for rows of the output hours that the model replaces. No result is later than the newest hour
   of events: that time has not come, and the run of that hour will say what happened in it. #}
{% macro output_hours(column='_lake_hour') -%}
  {%- set hours, newest = stream_hours(), var('newest_hour', none) -%}
  {%- if is_everything(hours) and newest is not none -%}
    {{ column }} <= '{{ newest }}'
  {%- else -%}
    {{ is_one_of(column, hours) }}
  {%- endif -%}
{%- endmacro %}


{# The same for the time of a result: a comparison of instants costs less than naming the hour of every row. #}
{% macro in_output_hours(instant) -%}
  {%- set hours, newest = stream_hours(), var('newest_hour', none) -%}
  {%- if is_everything(hours) and newest is none -%}
    true
  {%- elif is_everything(hours) -%}
    {{ instant }} <= {{ end_of_hour(newest) }}
  {%- elif hours | length == 0 -%}
    false
  {%- else -%}
    {%- set conditions = [] -%}
    {%- for first, last in consecutive_hours(hours) -%}
      {%- set after = instant ~ ' > ' ~ start_of_hour(first) -%}
      {%- do conditions.append(after ~ ' and ' ~ instant ~ ' <= ' ~ end_of_hour(last)) -%}
    {%- endfor -%}
    ({{ conditions | join(' or ') }})
  {%- endif -%}
{%- endmacro %}


{% macro hours_of_look_back(variable) %}
  {% do refuse_hours_of_a_whole_table() %}
  {% do return(hours_told(variable, model) if execute else none) %}
{% endmacro %}


{# What the variable says of the look-back of `node`, a model. #}
{% macro hours_told(variable, node) %}
  {% set by_look_back = 'all' if flags.FULL_REFRESH else var(variable, none) %}
  {% if is_everything(by_look_back) %}
    {% do return(by_look_back) %}
  {% endif %}
  {% set look_back = node.config.meta.get('look_back_hours') %}
  {% if look_back is none or look_back | string not in by_look_back %}
    {% do exceptions.raise_compiler_error(
        node.name ~ ': ' ~ variable ~ ' has no hours for look_back_hours ' ~ look_back
        ~ '; give the model the config meta={"look_back_hours": N}, N whole hours of silver before an output hour') %}
  {% endif %}
  {% do return(by_look_back[look_back | string]) %}
{% endmacro %}


{# Runs of hours without a gap, each as [first, last]. #}
{% macro consecutive_hours(hours) %}
  {% set runs = [] %}
  {% for hour in hours | sort %}
    {% if runs and micros_of_hour(runs[-1][1]) + 3600000000 == micros_of_hour(hour) %}
      {% do runs[-1].pop() %}
      {% do runs[-1].append(hour) %}
    {% else %}
      {% do runs.append([hour, hour]) %}
    {% endif %}
  {% endfor %}
  {% do return(runs) %}
{% endmacro %}


{% macro micros_of_hour(key) %}
  {% set datetime = modules.datetime.datetime %}
  {% set since = datetime.strptime(key, '%Y-%m-%dT%H') - datetime(1970, 1, 1) %}
  {% do return((since.days * 86400 + since.seconds) * 1000000) %}
{% endmacro %}


{% macro start_of_hour(key) -%}
  {{ instant_of(micros_of_hour(key)) }}
{%- endmacro %}


{% macro end_of_hour(key) -%}
  {{ instant_of(micros_of_hour(key) + 3600000000) }}
{%- endmacro %}
