{# The rows of gold table `feed` that were added, changed or removed since `reader` (a gold table) last read it, as a
   subquery; none when that is unknown and everything must be read.

   This is what makes a chain of tables safe to kill anywhere: each reader catches up from what it has really read,
   not from what a run said it would write. #}
{% macro unread(reader, feed) %}
  {% do return(adapter.dispatch('unread', 'dagster_lake')(reader, feed)) %}
{% endmacro %}

{% macro default__unread(reader, feed) %}
  {% do return(none) %}
{% endmacro %}

{% macro duckdb__unread(reader, feed) %}
  {% if not is_incremental() %}
    {% do return(none) %}
  {% endif %}
  {% set found = run_query("select select_sql from lake.unread where reader = '" ~ reader ~ "' and feed = '" ~ feed ~ "'") %}
  {% do return('(' ~ found.rows[0][0] ~ ')' if found.rows | length else none) %}
{% endmacro %}


{# The days of engagement_daily that are out of date, as a list; none means all of them. #}
{% macro stale_days() %}
  {% set rows = unread('engagement_daily', 'engagement_hourly') %}
  {% if rows is none %}
    {% do return(none) %}
  {% endif %}
  {% set days = run_query('select distinct substr(_lake_hour, 1, 10) as lake_day from ' ~ rows ~ ' as unread_rows order by 1') %}
  {% do return(days.columns[0].values() | list) %}
{% endmacro %}


{# Every lake table can be read, empty before its first write, so only a full refresh starts over. #}
{% macro is_incremental() %}
  {% do return(execute and model.config.materialized == 'incremental' and not should_full_refresh()) %}
{% endmacro %}
