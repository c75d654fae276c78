{# What a gold table was computed from, on engines that cannot say so in the commit itself.

   After a write, the table gets two properties:
     lake.note     {"at": version written, "reads": {"gold.<table>": version, "silver.<table>": version, ...}}
     lake.written  {"at": the same, "run": dbt's invocation, "comparable": whether rows can be compared with those before,
                    "replaced": the partitions in which rows may differ from those before; null when any may}
   The note counts only as long as no other write follows version `at`: see storage/delta/reads.py, which reads it. A run
   that dies between write and note thus leaves a table of which nothing is known, and whose next run reads everything.

   SQL shows no property whose text looks as if it held a secret or an address: "hourly" holds "url". The note names
   tables and is thus read from the log alone; what is read by SQL, lake.written, holds no name. #}

{# Notes the write after version `before`. Raises when another run wrote too: its rows may have been computed from
   newer input than ours, which may just have replaced them; the caller of dbt then runs the model again. #}
{% macro note_what_was_read(before, widened, partitions, nothing_merged) %}
  {% set written = lake_writes(lake_history(), before) %}
  {% if written | length > (0 if nothing_merged else 1) %}
    {% do raise_another_run_wrote(this.schema ~ '.' ~ this.identifier) %}
  {% endif %}
  {% if written %}
    {% set reads = {} %}
    {% for id in model.depends_on.nodes if id in graph.nodes and id != model.unique_id %}
      {% set version = lake_version_read(graph.nodes[id]) %}
      {% if version is not none %}
        {% do reads.update({graph.nodes[id].schema ~ '.' ~ graph.nodes[id].alias: version}) %}
      {% endif %}
    {% endfor %}
    {# Of silver, what the caller of dbt says that this run catches up with: see dbt_runner/silver_reads.py. #}
    {% do reads.update(var('lake_notes', {}).get(this.schema ~ '.' ~ this.identifier, {})) %}
    {% set note = {'at': written[0], 'reads': reads} %}
    {# A backfill's list would make every later version of the log longer. #}
    {% set replaced = partitions if partitions is not none and partitions | length <= 100 else none %}
    {% set told = {'at': written[0], 'run': invocation_id, 'comparable': not widened, 'replaced': replaced} %}
    {% do run_query(lake_commit(this, suffix='.noted') ~ ' alter table ' ~ this ~ " set tblproperties ('lake.note' = "
        ~ spark_text(tojson(note)) ~ ", 'lake.written' = " ~ spark_text(tojson(told)) ~ ')') %}
  {% endif %}
{% endmacro %}


{# What this run wrote of a model's table: its lake.written; none when it wrote nothing. However often it is asked, the
   answer is the same, or an error when another run wrote after us: the partitions that a model replaces and the rows
   that it selects for them must follow from one answer. #}
{% macro lake_written_by_this_run(node) %}
  {% if node.unique_id not in selected_resources %}
    {% do return(none) %}
  {% endif %}
  {% for row in run_query('show tblproperties ' ~ lake_relation(node)).rows if row[0] == 'lake.written' %}
    {% set told = fromjson(row[1]) %}
    {% if not told %}
      {% do exceptions.raise_compiler_error(
          'lake.written of ' ~ node.schema ~ '.' ~ node.alias ~ ' cannot be read: ' ~ row[1]
          ~ '; let spark.redaction.regex and spark.sql.redaction.options.regex spare it') %}
    {% endif %}
    {% if told.run == invocation_id %}
      {% do return(told) %}
    {% endif %}
    {% if told.at > var('lake_versions', {}).get(node.schema ~ '.' ~ node.alias, told.at) %}
      {% do raise_another_run_wrote(node.schema ~ '.' ~ node.alias) %}
    {% endif %}
  {% endfor %}
  {% do return(none) %}
{% endmacro %}


{# The version of a gold table that this run's models read, or an older one; none when it has none. #}
{% macro lake_version_read(node) %}
  {% set own = lake_written_by_this_run(node) %}
  {% if own is not none %}
    {% do return(own.at) %}
  {% endif %}
  {% do return(var('lake_versions', {}).get(node.schema ~ '.' ~ node.alias)) %}
{% endmacro %}


{% macro lake_model(name) %}
  {% do return(graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
      | selectattr('name', 'equalto', name) | first) %}
{% endmacro %}


{% macro lake_relation(node) %}
  {% do return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) %}
{% endmacro %}


{# The newest commits of the model's table, newest first. #}
{% macro lake_history() %}
  {% set history = run_query('describe history ' ~ this ~ ' limit 20') %}
  {% set commits = [] %}
  {% for row in history.rows %}
    {% do commits.append({'version': row['version'] | int, 'operation': row['operation']}) %}
  {% endfor %}
  {% do return(commits) %}
{% endmacro %}


{# The versions after `since` that changed rows, newest first. What is not known to leave them alone counts. #}
{% macro lake_writes(history, since) %}
  {% set housekeeping = [
      'CREATE TABLE', 'CREATE OR REPLACE TABLE', 'SET TBLPROPERTIES', 'UNSET TBLPROPERTIES', 'ADD COLUMNS', 'ADD COLUMN',
      'CHANGE COLUMN',
      'ADD CONSTRAINT', 'DROP CONSTRAINT', 'UPGRADE PROTOCOL', 'OPTIMIZE', 'VACUUM START', 'VACUUM END', 'FSCK',
      'COMPUTE STATS', 'CLUSTER BY',
  ] %}
  {% set found = [] %}
  {% for commit in history if commit.version > since and commit.operation not in housekeeping %}
    {% do found.append(commit.version) %}
  {% endfor %}
  {% do return(found) %}
{% endmacro %}


{# The table's newest version. Raises when another run wrote since the caller of dbt pinned the tables: what we read
   may then be older than what it read. #}
{% macro unchanged_version() %}
  {% set history = lake_history() %}
  {% set versions = var('lake_versions', none) %}
  {% if versions is not none and lake_writes(history, versions.get(this.schema ~ '.' ~ this.identifier, -1)) %}
    {% do raise_another_run_wrote(this.schema ~ '.' ~ this.identifier) %}
  {% endif %}
  {% do return(history[0].version) %}
{% endmacro %}


{% macro raise_another_run_wrote(table) %}
  {% do exceptions.raise_compiler_error('another run wrote ' ~ table ~ ' meanwhile') %}
{% endmacro %}
