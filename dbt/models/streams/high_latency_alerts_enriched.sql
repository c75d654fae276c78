{%- set details = [
    'name', 'city', 'street_address', 'phone_number', 'birth_number', 'user_name', 'administrative_unit', 'description',
    'sex', 'age_band',
] -%}

select
    cast(alerts.event_id as {{ lake_type('varchar') }}) as event_id,
    cast(alerts.user_id as bigint) as user_id,
    cast(alerts.http_method as {{ lake_type('varchar') }}) as http_method,
    cast(alerts.uri as {{ lake_type('varchar') }}) as uri,
    cast(alerts.latency as bigint) as latency,
    cast(alerts.event_time as {{ lake_type('timestamp with time zone') }}) as event_time,
    {%- for detail in details %}
    cast(users.{{ detail }} as {{ lake_type('varchar') }}) as {{ detail }},
    {%- endfor %}
    cast(alerts._time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast(alerts._lake_hour as {{ lake_type('varchar') }}) as _lake_hour
from {{ ref('high_latency_alerts') }} as alerts
-- The customer as known when the page was shown.
inner join {{ reference('users') }} as users
    on users.id = alerts.user_id
    and alerts._time >= users._valid_from
    and alerts._time < users._valid_to
where {{ output_hours('alerts._lake_hour') }}
