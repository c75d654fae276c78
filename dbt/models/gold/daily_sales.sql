{{ config(materialized='table', tags=['full']) }}

with items_of_order as (

    select order_id, sum(quantity) as items, sum(quantity * unit_price) as items_value
    from {{ source('silver', 'order_items') }}
    where _deleted_at is null
    group by order_id

)

select
    cast(orders.order_date as date) as day,
    cast(count(*) as bigint) as orders,
    cast(count(distinct orders.user_id) as bigint) as buyers,
    cast(coalesce(sum(items_of_order.items), 0) as bigint) as items,
    cast(sum(orders.order_value) as decimal(18, 2)) as revenue,
    cast(sum(orders.order_value) - coalesce(sum(items_of_order.items_value), 0) as decimal(18, 2)) as value_without_items,
    {{ mean_amount('sum(orders.order_value)', 'count(*)') }} as avg_order_value
from {{ source('silver', 'orders') }} as orders
left join items_of_order on items_of_order.order_id = orders.order_id
where orders._deleted_at is null
group by cast(orders.order_date as date)
