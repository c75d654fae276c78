{{ config(meta={'dagster': {'ref': {'name': 'engagements'}}}) }}
-- Each total of engagements is the sum over all days, of the customers that silver knows.
with days as (

    select
        sum(pageviews) as pageviews, sum(orders) as orders, sum(orders_value) as orders_value, sum(items) as items
    from {{ ref('engagement_daily') }}
    where user_id in (select id from {{ ref('engagements') }})

),

totals as (

    select
        sum(pageviews) as pageviews, sum(orders) as orders, sum(total_orders_value) as orders_value,
        sum(total_items) as items
    from {{ ref('engagements') }}

)

select days.*, totals.*
from days
cross join totals
where coalesce(days.pageviews, 0) <> coalesce(totals.pageviews, 0)
    or coalesce(days.orders, 0) <> coalesce(totals.orders, 0)
    or coalesce(days.orders_value, 0) <> coalesce(totals.orders_value, 0)
    or coalesce(days.items, 0) <> coalesce(totals.items, 0)
