{# The rows of gold table `feed` that were added, changed or removed since `reader` (a gold table) last read it, as a
   subquery; none when that is unknown and everything must be read.

   This is what makes a chain of tables safe to kill anywhere: each reader catches up from what it has really read,
   not from what a run said it would write. #}
{% macro unread(reader, feed) %}
  {% do return(adapter.dispatch('unread', 'dagster_lake')(reader, feed) if is_incremental() else none) %}
{% endmacro %}

{% macro duckdb__unread(reader, feed) %}
  {% set found = run_query("select select_sql from lake.unread where reader = '" ~ reader ~ "' and feed = '" ~ feed ~ "'") %}
  {% do return('(' ~ found.rows[0][0] ~ ')' if found.rows | length else none) %}
{% endmacro %}

{# The caller of dbt says from the logs what the reader had read, and which partitions of the feed differ between that
   version and the pinned one (var lake_reads); what this run wrote itself comes on top. #}
{% macro default__unread(reader, feed) %}
  {% set since = var('lake_reads', {}).get('gold.' ~ reader, {}).get('gold.' ~ feed) %}
  {% if since is none %}
    {% do return(none) %}
  {% endif %}
  {% set node = lake_model(feed) %}
  {% set table = lake_relation(node) %}
  {% set own = lake_written_by_this_run(node) %}
  {% set partitions = since.partitions %}
  {% if own is not none and not own.comparable %}
    {% do return(none) %}
  {% elif own is not none %}
    {% set partitions = none if partitions is none or own.replaced is none else partitions + own.replaced %}
  {% endif %}
  {% set differing = ' where ' ~ is_one_of(node.config.get('partition_by') or 'none', partitions) %}
  {% set names = [] %}
  {% for name in node.columns %}{% do names.append(adapter.quote(name)) %}{% endfor %}
  {% set columns = names | join(', ') %}
  {# Each version is read once; two EXCEPT ALL, as DuckDB has it, would read each twice. #}
  {% do return(
      '(select ' ~ columns ~ ' from ('
      ~ 'select ' ~ columns ~ ', 1 as _copies from ' ~ table ~ ' version as of ' ~ lake_version_read(node) ~ differing
      ~ ' union all '
      ~ 'select ' ~ columns ~ ', -1 as _copies from ' ~ table ~ ' version as of ' ~ since.version ~ differing
      ~ ') as copies group by ' ~ columns ~ ' having sum(_copies) <> 0)'
  ) %}
{% endmacro %}


{# Whether a row of engagements is of no customer that silver knows: his every version breaks a rule by now. Before its
   first write, when nothing is known of what it read, it has no such row. #}
{% macro customers_gone() %}
  {% if unread('engagements', 'engagement_daily') is none %}
    {% do return(false) %}
  {% endif %}
  {% set users = source('silver', 'users') %}
  {% set gone = run_query(
      'select 1 as gone from ' ~ lake_this() ~ ' as present anti join ' ~ users ~ ' as users on users.id = present.id limit 1'
  ) %}
  {% do return(gone.rows | length > 0) %}
{% endmacro %}


{# The days of engagement_daily that are out of date: a list, or `all` when that is unknown. #}
{% macro stale_days() %}
  {% set rows = unread('engagement_daily', 'engagement_hourly') %}
  {% if rows is none %}
    {% do return('all') %}
  {% endif %}
  {% set days = run_query('select distinct substr(_lake_hour, 1, 10) as lake_day from ' ~ rows ~ ' as unread_rows order by 1') %}
  {% do return(days.columns[0].values() | list) %}
{% endmacro %}


{# Every lake table can be read, empty before its first write, so only a full refresh starts over. #}
{% macro is_incremental() %}
  {% do return(execute and model.config.materialized == 'incremental' and not should_full_refresh()) %}
{% endmacro %}
