{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    partition_by='_lake_day',
    replaces='stale_days',
    on_schema_change='fail',
    tags=['hourly'],
) }}

select
    cast(substr(_lake_hour, 1, 10) as {{ lake_type('varchar') }}) as _lake_day,
    cast(user_id as bigint) as user_id,
    cast(sum(pageviews) as bigint) as pageviews,
    cast(sum(stars_count) as bigint) as stars_count,
    cast(sum(stars_sum) as bigint) as stars_sum,
    cast(sum(orders) as bigint) as orders,
    cast(sum(orders_value) as decimal(18, 2)) as orders_value,
    cast(sum(items) as bigint) as items
from {{ ref('engagement_hourly') }}
where {{ is_one_of('substr(_lake_hour, 1, 10)', stale_days()) }}
group by substr(_lake_hour, 1, 10), user_id
