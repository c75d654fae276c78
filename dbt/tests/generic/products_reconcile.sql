{# Fails for every total of product_performance that differs from silver's, counted without joins or grouping: all items,
   and of these the orphaned. #}
{% test products_reconcile(model) %}

with items as (

    select
        quantity,
        quantity * unit_price as value,
        order_id in (select order_id from {{ source('silver', 'orders') }} where _deleted_at is null) as has_order
    from {{ source('silver', 'order_items') }}
    where _deleted_at is null

),

silver as (

    select
        cast(coalesce(sum(quantity), 0) as decimal(38, 2)) as quantity,
        cast(coalesce(sum(value), 0) as decimal(38, 2)) as revenue,
        cast(coalesce(sum(case when has_order then 0 else quantity end), 0) as decimal(38, 2)) as orphaned_quantity,
        cast(coalesce(sum(case when has_order then 0 else value end), 0) as decimal(38, 2)) as orphaned_revenue
    from items

),

gold as (

    select
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(revenue), 0) as revenue,
        coalesce(sum(orphaned_quantity), 0) as orphaned_quantity,
        coalesce(sum(orphaned_revenue), 0) as orphaned_revenue
    from {{ model }}

)

{{ differing_totals(['quantity', 'revenue', 'orphaned_quantity', 'orphaned_revenue']) }}

{% endtest %}
