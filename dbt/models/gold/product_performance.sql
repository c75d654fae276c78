{{ config(materialized='table', tags=['full']) }}

with sold as (

    select
        product_id,
        count(distinct order_id) as orders,
        sum(quantity) as quantity,
        sum(quantity * unit_price) as revenue
    from {{ source('silver', 'order_items') }}
    where _deleted_at is null
    group by product_id

)

-- A full join: a product without sales has zeros, and an item of no known product still counts.
select
    cast(coalesce(products.id, sold.product_id) as bigint) as product_id,
    cast(coalesce(products.name, 'unknown') as {{ lake_type('varchar') }}) as name,
    cast(case when products.id is null then 'unknown' else products.category end as {{ lake_type('varchar') }}) as category,
    cast(coalesce(sold.orders, 0) as bigint) as orders,
    cast(coalesce(sold.quantity, 0) as bigint) as quantity,
    cast(coalesce(sold.revenue, 0) as decimal(18, 2)) as revenue
from {{ source('silver', 'products') }} as products
full outer join sold on sold.product_id = products.id
