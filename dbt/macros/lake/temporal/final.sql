{# Whether a row of that time can no longer change, since all events are known that may have a time up to it: true or
   false, for a column or a WHERE. Windows that have not ended are not final, nor is what events that are `late_ms` late
   may still change. Whoever calls dbt says what is known (var final_runs, see dbt_runner/final_hours.py); told nothing, as
   in unit tests and by hand, all events are there and every row is final. #}
{% macro is_final(instant, late_ms=none) -%}
  {%- set runs = final_runs_of_model() if execute else none -%}
  {%- if runs is none -%}
    true
  {%- else -%}
    {%- set late = (var('late_arrival_ms') if late_ms is none else late_ms) * 1000 -%}
    {%- set micros, everywhere = micros_of(instant), [] -%}
    {%- for of_data_set in runs -%}
      {%- set somewhere = [] -%}
      {%- for start, end, known in of_data_set if known - late > start -%}
        {%- do somewhere.append(micros ~ ' > ' ~ start ~ ' and ' ~ micros ~ ' <= ' ~ [end, known - late] | min) -%}
      {%- endfor -%}
      {%- do everywhere.append('(' ~ (somewhere | join(' or ') or 'false') ~ ')') -%}
    {%- endfor -%}
    coalesce({{ everywhere | join(' and ') or 'true' }}, false)
  {%- endif -%}
{%- endmacro %}


{# What is known of each data set of events that the model reads itself; of all of them when it reads none itself. #}
{% macro final_runs_of_model() %}
  {% set told = var('final_runs', none) %}
  {% if told is none %}
    {% do return(none) %}
  {% endif %}
  {% set by_name = told.get(model.config.meta.get('look_back_hours') | string, {}) %}
  {% set read = [] %}
  {% for id in model.depends_on.nodes if id.split('.')[-1] in by_name %}
    {% do read.append(by_name[id.split('.')[-1]]) %}
  {% endfor %}
  {% do return(read or by_name.values() | list) %}
{% endmacro %}
