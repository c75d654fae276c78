{#- `if execute`: dbt reads the model of a unit test once without variables. -#}
{%- set window_ms = var('anomaly_window_minutes') * 60000 if execute else 0 -%}
{#- Windows end a whole `window_ms` apart: half of one between the oldest that counts and the one before it, so that it
    does not matter on which side a window exactly as old as the limit would fall. -#}
{%- set limit_ms = var('anomaly_baseline_minutes') * 60000 + window_ms // 2 if execute else 0 -%}
{%- set sigmas_squared = var('anomaly_sigmas') ** 2 if execute else 0 -%}
{%- set by = ['http_method'] -%}

-- A mean of few views says more about the views than about the site: such windows are left out altogether.
with windows as (

    select
        http_method,
        {{ tumbling_end('_time', window_ms) }} as window_end,
        count(*) as pageviews,
        cast(sum(latency) as bigint) as total_latency
    from {{ stream('pageviews') }} as events
    group by http_method, {{ tumbling_end('_time', window_ms) }}
    having count(*) >= {{ var('anomaly_least_pageviews') }}

),

-- The mean in whole tenths of a millisecond, so that every sum below is exact.
means as (

    select
        windows.*,
        {{ whole_quotient('total_latency * 20 + pageviews', 'pageviews * 2') }} as tenths
    from windows

),

baselines as (

    select
        means.*,
        {{ over_limit('count(*)', 'window_end', limit_ms, by) }} - 1 as others,
        {{ over_limit('sum(tenths)', 'window_end', limit_ms, by) }} - tenths as total,
        {{ over_limit('sum(tenths * tenths)', 'window_end', limit_ms, by) }} - tenths * tenths as squares
    from means

),

-- others * (mean - mean of the others), and others^2 * variance of the others
compared as (

    select
        http_method,
        window_end,
        pageviews,
        total_latency,
        cast(others as bigint) as others,
        cast(total as bigint) as total,
        cast(others as bigint) * tenths - cast(total as bigint) as excess,
        cast(others as bigint) * cast(squares as bigint) - cast(total as bigint) * cast(total as bigint) as spread
    from baselines
    where {{ in_output_hours('window_end') }}

)

select
    cast(http_method as {{ lake_type('varchar') }}) as http_method,
    cast({{ shifted('window_end', -window_ms) }} as {{ lake_type('timestamp with time zone') }}) as window_start,
    cast(pageviews as bigint) as pageviews,
    cast(cast(total_latency as double) / pageviews as double) as mean_latency,
    cast(others as bigint) as baseline_windows,
    cast(cast(total as double) / (others * 10) as double) as baseline_mean,
    cast(sqrt(cast(spread as double)) / (others * 10) as double) as baseline_stddev,
    cast(window_end as {{ lake_type('timestamp with time zone') }}) as _time,
    cast({{ is_final('window_end') }} as boolean) as _is_final,
    cast({{ lake_hour_of('window_end') }} as {{ lake_type('varchar') }}) as _lake_hour
from compared
where others >= {{ var('anomaly_least_windows') }}
    and excess > 0
    and excess * excess > {{ sigmas_squared }} * spread
