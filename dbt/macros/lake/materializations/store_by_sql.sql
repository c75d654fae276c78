{# Spark and Databricks write by SQL alone: a SQL warehouse takes nothing else.

   Each statement that commits begins with a comment, `/* lake {...} */`: whoever called dbt hears of the statement
   before and after it runs, and knows by the comment that it is a commit, of which table, and which partitions it
   replaces (null for all). #}
{% macro default__store_in_lake(mode, partitions) %}
  {% set columns = columns_to_store() %}
  {% set widened = ensure_lake_table(columns) %}
  {% set before = unchanged_version() %}

  {% if mode == 'replace_partitions' and not partitions %}
    {% call noop_statement('main', 'no partition is out of date') %}{% endcall %}
  {% else %}
    {# The table's own columns, in its order: one that the model dropped is null from now on. #}
    {% set rows = [] %}
    {% for column in lake_columns(this) %}
      {% set name = adapter.quote(column.name) %}
      {% do rows.append(name if column.name in columns | map(attribute='name') | list else 'cast(null as ' ~ column.type ~ ') as ' ~ name) %}
    {% endfor %}
    {% set rows = 'select ' ~ rows | join(', ') ~ ' from (\n' ~ compiled_code ~ '\n) as model_rows' %}

    {% if mode == 'merge' %}
      {# Delta's MERGE does not resolve a source that reads the target by way of a CTE; a view it does. #}
      {% set view = adapter.quote('lake_rows_of_' ~ this.identifier) %}
      {% do run_query('create or replace temporary view ' ~ view ~ ' as ' ~ rows) %}
    {% endif %}
    {% set replaced = partitions if mode == 'replace_partitions' else none %}
    {% call statement('main', fetch_result=True) %}
      {{ lake_commit(this, replaced) }}
      {% if mode == 'merge' %}
        {%- set key = adapter.quote(config.require('unique_key')) %}
        merge into {{ this }} as t using {{ view }} as s on t.{{ key }} = s.{{ key }}
        when matched then update set * when not matched then insert *
      {% else %}
        insert into {{ this }}
        replace where {{ 'true' if mode == 'overwrite' else is_one_of(config.get('partition_by'), partitions) }}
        {{ rows }}
      {% endif %}
    {% endcall %}
    {% do note_what_was_read(before, widened, replaced, nothing_merged=(mode == 'merge' and merged_rows() == 0)) %}
  {% endif %}
{% endmacro %}


{% macro lake_commit(relation, partitions=none, suffix='') -%}
  /* lake {{ tojson({'commit': relation.schema ~ '.' ~ relation.identifier ~ suffix, 'partitions': partitions}) }} */
{%- endmacro %}


{# A merge without source rows commits nothing. #}
{% macro merged_rows() %}
  {% set counts = load_result('main').table %}
  {% do return((counts.columns['num_affected_rows'].values() | first | int) if 'num_affected_rows' in counts.column_names else none) %}
{% endmacro %}


{# The columns and types that a query gives, as Spark names them. #}
{% macro columns_of_query(sql) %}
  {% set found = [] %}
  {% for row in run_query('describe query ' ~ sql).rows %}
    {% do found.append({'name': row[0], 'type': row[1]}) %}
  {% endfor %}
  {% do return(found) %}
{% endmacro %}


{% macro lake_columns(relation) %}
  {% do return(columns_of_query('select * from ' ~ relation)) %}
{% endmacro %}


{# The columns that the model's table gets, each with name, type (as Spark names it), description and constraints: those
   that its YAML declares, and where that gives no type, what the query gives. With no type declared there is no
   contract. As dbt_runner/column_types.py for DuckDB. #}
{% macro columns_to_store() %}
  {% set files, table = files_of(model), this.schema ~ '.' ~ this.identifier %}
  {% set found = {} %}
  {% for column in columns_of_query(compiled_code) %}{% do found.update({column.name: column.type}) %}{% endfor %}
  {% set typed = model.columns.values() | selectattr('data_type') | list %}
  {% set told, stored = [], [] %}
  {% for column in model.columns.values() if column not in typed and column.name not in found %}
    {% do exceptions.raise_compiler_error(files ~ ': ' ~ table ~ ' has no column ' ~ column.name
        ~ ', which its YAML describes; select it, or remove it from the YAML') %}
  {% endfor %}
  {% if typed %}
    {% set wanted = {} %}
    {% for column in model.columns.values() %}
      {% do wanted.update({column.name: lake_type(column.data_type) if column in typed else found[column.name]}) %}
    {% endfor %}
    {% for name in (wanted.keys() | list + found.keys() | list) | unique | sort if wanted.get(name) != found.get(name) %}
      {% do told.append(name ~ ': declared ' ~ wanted.get(name, 'not') ~ ', selected ' ~ found.get(name, 'not')) %}
    {% endfor %}
    {% if told %}
      {% do exceptions.raise_compiler_error(files ~ ': ' ~ table ~ ' differs from the columns declared in its YAML: '
          ~ told | join('; ') ~ '; cast the column in the SELECT, or correct the YAML') %}
    {% endif %}
  {% endif %}
  {% for name in (model.columns if typed else found) %}
    {% set declared = model.columns.get(name, {}) %}
    {% set type = lake_type(declared.data_type) if declared.get('data_type') else found[name] %}
    {% if type.split('<')[0].split(' ')[0] in ('void', 'interval', 'map', 'variant', 'time') %}
      {% do exceptions.raise_compiler_error(files ~ ': ' ~ table ~ '.' ~ name ~ ' is of type ' ~ type
          ~ ', which no table of the lake has; cast it to another, such as bigint, double or varchar') %}
    {% endif %}
    {% do stored.append({'name': name, 'type': type, 'description': declared.get('description', ''),
                         'constraints': declared.get('constraints', [])}) %}
  {% endfor %}
  {% do return(stored) %}
{% endmacro %}


{# The table as it stands, created or widened when need be; returns whether it was widened. #}
{% macro ensure_lake_table(columns) %}
  {% set versions = var('lake_versions', none) %}
  {% set there = (load_relation(this) is not none) if versions is none else ((this.schema ~ '.' ~ this.identifier) in versions) %}
  {% do run_query(create_lake_table(columns, there)) %}
  {% do return(widen_lake_table(columns) if there else false) %}
{% endmacro %}


{# For a table that lies in the lake already, this only makes its name known. #}
{% macro create_lake_table(columns, there) %}
  {% if there %}
    {% do return('create table if not exists ' ~ this ~ ' using delta ' ~ lake_location()) %}
  {% endif %}
  {% do return(lake_commit(this, suffix='.create') ~ ' create table if not exists ' ~ lake_table_ddl(columns)) %}
{% endmacro %}


{% macro lake_location() %}
  {% do return("location " ~ spark_text(var('lake_root', env_var('LAKE_ROOT', '')) ~ '/' ~ this.schema ~ '/' ~ this.identifier)) %}
{% endmacro %}


{% macro lake_table_ddl(columns) %}
  {% set declared, statistics = [], [] %}
  {% for column in columns %}
    {% set required = column.constraints | selectattr('type', 'equalto', 'not_null') | list %}
    {% do declared.append(lake_column(column) ~ (' not null' if required) ~ lake_comment(column)) %}
    {# As storage/delta/spec.py chooses them. #}
    {% if not column.name.startswith('_') and '<' not in column.type and column.type != 'boolean' %}
      {# A name with other than plain letters is refused unless it is quoted. #}
      {% set plain = modules.re.fullmatch('[A-Za-z0-9_]+', column.name) %}
      {% do statistics.append(column.name if plain else adapter.quote(column.name)) %}
    {% endif %}
  {% endfor %}
  {# Without deletion vectors and column mapping, so that delta-rs and DuckDB can read it. #}
  {% do return(this ~ ' (' ~ declared | join(', ') ~ ') using delta'
      ~ (' partitioned by (' ~ adapter.quote(config.get('partition_by')) ~ ')' if config.get('partition_by') else '')
      ~ ' ' ~ lake_location() ~ ' comment ' ~ spark_text(model.description)
      ~ " tblproperties ('delta.enableDeletionVectors' = 'false', 'delta.columnMapping.mode' = 'none',"
      ~ " 'delta.dataSkippingStatsColumns' = " ~ spark_text(statistics | join(',')) ~ ')') %}
{% endmacro %}


{% macro widen_lake_table(columns) %}
  {% set found = {} %}
  {% for column in lake_columns(this) %}{% do found.update({column.name: column.type}) %}{% endfor %}
  {% set added = [] %}
  {% for column in columns %}
    {% set wanted = column.type %}
    {% if column.name not in found %}
      {# Nullable whatever the model says: the rows before have no value. #}
      {% do added.append(lake_column(column) ~ lake_comment(column)) %}
    {% elif found[column.name] != wanted and not run_query('select 1 as one from ' ~ this ~ ' limit 1').rows %}
      {# What a run that failed left, or one that found nothing, is no reason to keep a type. #}
      {% do run_query(lake_commit(this, suffix='.recreate') ~ ' create or replace table ' ~ lake_table_ddl(columns)) %}
      {% do return(true) %}
    {% elif found[column.name] != wanted %}
      {% do exceptions.raise_compiler_error(
          this.schema ~ '.' ~ this.identifier ~ '.' ~ column.name ~ ' is ' ~ found[column.name] ~ ' in the lake and '
          ~ wanted ~ ' in the model; a type cannot change in place: remove the table and materialise it again') %}
    {% endif %}
  {% endfor %}
  {% if added %}
    {# Said before it is true: see storage/delta/write.py. #}
    {% do run_query(lake_commit(this, suffix='.evolved') ~ ' alter table ' ~ this ~ " set tblproperties ('lake.evolved' = 'true')") %}
    {% do run_query(lake_commit(this, suffix='.columns') ~ ' alter table ' ~ this ~ ' add columns (' ~ added | join(', ') ~ ')') %}
  {% endif %}
  {% do return(added | length > 0) %}
{% endmacro %}


{% macro lake_column(column) %}
  {% do return(adapter.quote(column.name) ~ ' ' ~ column.type) %}
{% endmacro %}


{% macro lake_comment(column) %}
  {% do return(' comment ' ~ spark_text(column.description)) %}
{% endmacro %}
