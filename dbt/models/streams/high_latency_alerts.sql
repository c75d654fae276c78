select
    cast(event_id as {{ lake_type('varchar') }}) as event_id,
    cast(user_id as bigint) as user_id,
    cast(http_method as {{ lake_type('varchar') }}) as http_method,
    cast(uri as {{ lake_type('varchar') }}) as uri,
    cast(latency as bigint) as latency,
    cast(event_time as {{ lake_type('timestamp with time zone') }}) as event_time,
    cast(_time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ lake_hour_of('_time') }} as {{ lake_type('varchar') }}) as _lake_hour
from {{ stream('pageviews') }} as views
where latency > {{ var('high_latency_ms') }}
    and {{ in_output_hours('_time') }}
