{# The target's name of a type that YAML and models name as DuckDB does: varchar, bigint, decimal(18, 2), double,
   boolean, date, timestamp with time zone, timestamp, and lists of these such as varchar[]. #}
{% macro lake_type(name) -%}
  {{ return(adapter.dispatch('lake_type', 'dagster_lake')(name | lower)) }}
{%- endmacro %}

{% macro duckdb__lake_type(name) %}
  {% do return(name) %}
{% endmacro %}

{% macro default__lake_type(name) %}
  {% if name.endswith('[]') %}
    {% do return('array<' ~ lake_type(name[:-2]) ~ '>') %}
  {% endif %}
  {% set spelled = {
      'varchar': 'string', 'integer': 'int', 'timestamp with time zone': 'timestamp', 'timestamp': 'timestamp_ntz',
  } %}
  {% do return(spelled.get(name, name | replace(' ', ''))) %}
{% endmacro %}


{# A SELECT of these columns (as YAML declares them) and no rows. #}
{% macro empty_select(columns) %}
  {% set casts = [] %}
  {% for column in columns %}
    {% do casts.append('cast(null as ' ~ lake_type(column.data_type) ~ ') as ' ~ adapter.quote(column.name)) %}
  {% endfor %}
  {% do return('select ' ~ casts | join(', ') ~ ' where false') %}
{% endmacro %}


{# Text as a SQL string of Spark and Databricks, on one line. #}
{% macro spark_text(text) %}
  {% do return("'" ~ text.split() | join(' ') | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") %}
{% endmacro %}
