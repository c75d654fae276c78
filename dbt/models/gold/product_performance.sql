{{ config(materialized='table', tags=['full']) }}

-- An item is orphaned when its order is not in silver, or deleted.
with items as (

    select
        order_items.product_id,
        order_items.order_id,
        order_items.quantity,
        order_items.quantity * order_items.unit_price as value,
        orders.order_id is null as is_orphaned
    from {{ source('silver', 'order_items') }} as order_items
    left join {{ source('silver', 'orders') }} as orders
        on orders.order_id = order_items.order_id and orders._deleted_at is null
    where order_items._deleted_at is null

),

sold as (

    select
        product_id,
        count(distinct order_id) as orders,
        sum(quantity) as quantity,
        sum(value) as revenue,
        sum(case when is_orphaned then quantity end) as orphaned_quantity,
        sum(case when is_orphaned then value end) as orphaned_revenue
    from items
    group by product_id

)

-- A full join: a product without sales has zeros, and an item of no known product still counts.
select
    cast(coalesce(products.id, sold.product_id) as bigint) as product_id,
    cast(coalesce(products.name, 'unknown') as {{ lake_type('varchar') }}) as name,
    cast(case when products.id is null then 'unknown' else products.category end as {{ lake_type('varchar') }}) as category,
    cast(coalesce(sold.orders, 0) as bigint) as orders,
    cast(coalesce(sold.quantity, 0) as bigint) as quantity,
    cast(coalesce(sold.revenue, 0) as decimal(18, 2)) as revenue,
    cast(coalesce(sold.orphaned_quantity, 0) as bigint) as orphaned_quantity,
    cast(coalesce(sold.orphaned_revenue, 0) as decimal(18, 2)) as orphaned_revenue
from {{ source('silver', 'products') }} as products
full outer join sold on sold.product_id = products.id
