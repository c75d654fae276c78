{#- `if execute`: dbt reads the model of a unit test once without variables. -#}
{%- set interval_ms = var('first_pageview_minutes') * 60000 if execute else 0 -%}
{%- set shown = ['event_id', 'client_ip', 'uri', 'event_time', '_time'] -%}

select
    cast(user_id as bigint) as user_id,
    cast(event_id as {{ lake_type('varchar') }}) as event_id,
    cast(client_ip as {{ lake_type('varchar') }}) as client_ip,
    cast(uri as {{ lake_type('varchar') }}) as uri,
    cast(event_time as {{ lake_type('timestamp with time zone') }}) as event_time,
    cast(_time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ lake_hour_of('_time') }} as {{ lake_type('varchar') }}) as _lake_hour
from {{ first_events(stream('pageviews'), '_time', interval_ms, ['user_id'], shown) }} as views
where {{ in_output_hours('_time') }}
