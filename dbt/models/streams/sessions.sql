{#- `if execute`: dbt reads the model of a unit test once without variables. -#}
{%- set timeout_ms = var('session_timeout_minutes') * 60000 if execute else 0 -%}
{%- set max_ms = var('session_max_minutes') * 60000 if execute else 0 -%}
{%- set time, arrival = micros_of('_time'), micros_of('_enqueued_time') -%}
{%- set last_first = [time ~ ' desc', arrival ~ ' desc', '_partition', '_sequence_number desc'] -%}
{%- set epoch = instant_of(0) -%}

with views as (

    select user_id, uri, _time, _enqueued_time, _partition, _sequence_number
    from {{ stream('pageviews') }} as events

),

visits as (

    select
        user_id,
        session_start,
        session_end,
        min(_time) as first_view_at,
        max(_time) as last_view_at,
        count(*) as pageviews,
        count(distinct uri) as pages,
        {{ top_one('uri', [time]) }} as entry_uri,
        {{ top_one('uri', last_first, ties=[]) }} as exit_uri
    from {{ sessions('views', '_time', ['user_id'], timeout_ms, max_ms) }} as in_sessions
    where {{ in_output_hours('session_end') }}
    group by user_id, session_start, session_end

)

select
    -- Two sessions of a user never begin with the same view, and a view is never in two.
    cast(
        concat(
            cast(user_id as {{ lake_type('varchar') }}),
            '-',
            cast({{ boundaries_crossed('millisecond', epoch, 'first_view_at') }} as {{ lake_type('varchar') }})
        ) as {{ lake_type('varchar') }}
    ) as session_id,
    cast(user_id as bigint) as user_id,
    cast(session_start as {{ lake_type('timestamp with time zone') }}) as started_at,
    cast(first_view_at as {{ lake_type('timestamp with time zone') }}) as first_view_at,
    cast(last_view_at as {{ lake_type('timestamp with time zone') }}) as last_view_at,
    cast({{ boundaries_crossed('millisecond', 'first_view_at', 'last_view_at') }} as bigint) as duration_ms,
    cast(pageviews as bigint) as pageviews,
    cast(pages as bigint) as pages,
    cast(entry_uri as {{ lake_type('varchar') }}) as entry_uri,
    cast(exit_uri as {{ lake_type('varchar') }}) as exit_uri,
    cast(session_end as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ is_final('session_end') }} as boolean) as _is_final,
    cast({{ lake_hour_of('session_end') }} as {{ lake_type('varchar') }}) as _lake_hour
from visits
