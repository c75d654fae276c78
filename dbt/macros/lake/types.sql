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


{# Where a model or source is written, for errors: its SQL and its YAML. #}
{% macro files_of(node) %}
  {% set yaml = (node.get('patch_path') or '').split('://')[-1] %}
  {% do return(node.original_file_path ~ (', ' ~ yaml if yaml else '')) %}
{% endmacro %}


{# A SELECT of the columns that the YAML of a table declares, and no rows. #}
{% macro empty_select(node) %}
  {% set columns = node.columns.values() | list %}
  {% if not has_all_types(node) %}
    {% do exceptions.raise_compiler_error(
        node.schema ~ '.' ~ (node.identifier or node.alias) ~ ' is not in the lake yet, and what it will look like is not'
        ~ ' declared; build it first, or give all its columns a data_type (' ~ files_of(node) ~ ')') %}
  {% endif %}
  {% set casts = [] %}
  {% for column in columns %}
    {% do casts.append('cast(null as ' ~ lake_type(column.data_type) ~ ') as ' ~ adapter.quote(column.name)) %}
  {% endfor %}
  {% do return('select ' ~ casts | join(', ') ~ ' where false') %}
{% endmacro %}


{% macro has_all_types(node) %}
  {% set typed = node.columns.values() | selectattr('data_type') | list %}
  {% do return(typed | length > 0 and typed | length == node.columns | length) %}
{% endmacro %}


{# Text as a SQL string of Spark and Databricks, on one line. #}
{% macro spark_text(text) %}
  {% do return("'" ~ text.split() | join(' ') | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") %}
{% endmacro %}
