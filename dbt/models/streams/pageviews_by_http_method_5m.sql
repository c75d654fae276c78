{#- `if execute`: dbt reads the model of a unit test once without variables. -#}
{%- set window_ms = var('pageviews_window_minutes') * 60000 if execute else 0 -%}

with views as (

    select
        http_method,
        latency,
        {{ tumbling_end('_time', window_ms) }} as window_end
    from {{ stream('pageviews') }} as events

),

results as (

    select
        http_method,
        window_end,
        count(*) as pageviews,
        sum(latency) as total_latency,
        {{ percentile_cont(0.5, 'latency') }} as p50_latency,
        {{ percentile_cont(0.95, 'latency') }} as p95_latency,
        {{ percentile_cont(0.99, 'latency') }} as p99_latency
    from views
    where {{ in_output_hours('window_end') }}
    group by http_method, window_end

)

select
    cast(http_method as {{ lake_type('varchar') }}) as http_method,
    cast({{ shifted('window_end', -window_ms) }} as {{ lake_type('timestamp with time zone') }}) as window_start,
    cast(pageviews as bigint) as pageviews,
    cast(cast(total_latency as double) / pageviews as double) as mean_latency,
    cast(p50_latency as double) as p50_latency,
    cast(p95_latency as double) as p95_latency,
    cast(p99_latency as double) as p99_latency,
    cast(window_end as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ is_final('window_end') }} as boolean) as _is_final,
    cast({{ lake_hour_of('window_end') }} as {{ lake_type('varchar') }}) as _lake_hour
from results
