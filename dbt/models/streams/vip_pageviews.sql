select
    cast(views.event_id as {{ lake_type('varchar') }}) as event_id,
    cast(views.user_id as bigint) as user_id,
    cast(views.http_method as {{ lake_type('varchar') }}) as http_method,
    cast(views.uri as {{ lake_type('varchar') }}) as uri,
    cast(views.latency as bigint) as latency,
    cast(views.event_time as {{ lake_type('timestamp with time zone') }}) as event_time,
    cast(views._time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ lake_hour_of('views._time') }} as {{ lake_type('varchar') }}) as _lake_hour
from {{ stream('pageviews') }} as views
-- Who was a VIP when the page was shown, not who is one now.
inner join {{ reference('vip_users') }} as vips
    on vips.id = views.user_id
    and views._time >= vips._valid_from
    and views._time < vips._valid_to
where {{ in_output_hours('views._time') }}
