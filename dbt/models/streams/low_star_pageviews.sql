select
    cast(pageview_event_id as {{ lake_type('varchar') }}) as pageview_event_id,
    cast(star_event_id as {{ lake_type('varchar') }}) as star_event_id,
    cast(user_id as bigint) as user_id,
    cast(http_method as {{ lake_type('varchar') }}) as http_method,
    cast(uri as {{ lake_type('varchar') }}) as uri,
    cast(latency as bigint) as latency,
    cast(stars as bigint) as stars,
    cast(pageview_event_time as {{ lake_type('timestamp with time zone') }}) as pageview_event_time,
    cast(star_event_time as {{ lake_type('timestamp with time zone') }}) as star_event_time,
    cast(_time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ lake_hour_of('_time') }} as {{ lake_type('varchar') }}) as _lake_hour
from {{ pageviews_with_stars(var('low_star_minutes'), 'stars < ' ~ var('low_star_below')) }} as pairs
