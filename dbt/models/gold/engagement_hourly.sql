{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    partition_by='_lake_hour',
    replaces='recomputed_hours',
    on_schema_change='fail',
    tags=['hourly'],
) }}

-- Each source is aggregated on its own before the rows meet, so that no count is multiplied by another's rows.
with views_of_user as (

    select _lake_hour, user_id, count(*) as pageviews
    from {{ source_hours('silver', 'pageviews') }}
    group by _lake_hour, user_id

),

stars_of_user as (

    select _lake_hour, user_id, count(*) as stars_count, sum(stars) as stars_sum
    from {{ source_hours('silver', 'stars') }}
    group by _lake_hour, user_id

),

-- An order counts in the hour of its latest version, until its source deletes it.
placed as (

    select _lake_hour, user_id, order_id, order_value
    from {{ source_hours('silver', 'orders') }}
    where _deleted_at is null

),

items_of_order as (

    select order_id, sum(quantity) as items
    from {{ source_hours('silver', 'order_items', of='orders') }}
    where _deleted_at is null
    group by order_id

),

orders_of_user as (

    select
        placed._lake_hour,
        placed.user_id,
        count(*) as orders,
        sum(placed.order_value) as orders_value,
        sum(coalesce(items_of_order.items, 0)) as items
    from placed
    left join items_of_order on items_of_order.order_id = placed.order_id
    group by placed._lake_hour, placed.user_id

),

partials as (

    select _lake_hour, user_id, pageviews, 0 as stars_count, 0 as stars_sum, 0 as orders, 0 as orders_value, 0 as items
    from views_of_user
    union all
    select _lake_hour, user_id, 0, stars_count, stars_sum, 0, 0, 0 from stars_of_user
    union all
    select _lake_hour, user_id, 0, 0, 0, orders, orders_value, items from orders_of_user

)

select
    cast(_lake_hour as {{ lake_type('varchar') }}) as _lake_hour,
    cast(user_id as bigint) as user_id,
    cast(sum(pageviews) as bigint) as pageviews,
    cast(sum(stars_count) as bigint) as stars_count,
    cast(sum(stars_sum) as bigint) as stars_sum,
    cast(sum(orders) as bigint) as orders,
    cast(sum(orders_value) as decimal(18, 2)) as orders_value,
    cast(sum(items) as bigint) as items
from partials
group by _lake_hour, user_id
