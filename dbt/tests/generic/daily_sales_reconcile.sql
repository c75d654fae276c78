{# Fails for every total of daily_sales that differs from silver's, counted without grouping by order or day. #}
{% test daily_sales_reconcile(model) %}

with counted as (

    select quantity, quantity * unit_price as value
    from {{ source('silver', 'order_items') }}
    where _deleted_at is null
        and order_id in (select order_id from {{ source('silver', 'orders') }} where _deleted_at is null)

),

silver as (

    select
        (select cast(coalesce(sum(quantity), 0) as decimal(38, 2)) from counted) as items,
        (select cast(coalesce(sum(value), 0) as decimal(38, 2)) from counted) as items_value,
        cast(coalesce(sum(order_value), 0) as decimal(38, 2)) as revenue,
        cast(count(*) as decimal(38, 2)) as orders
    from {{ source('silver', 'orders') }}
    where _deleted_at is null

),

gold as (

    select
        coalesce(sum(items), 0) as items,
        coalesce(sum(revenue - value_without_items), 0) as items_value,
        coalesce(sum(revenue), 0) as revenue,
        coalesce(sum(orders), 0) as orders
    from {{ model }}

)

{{ differing_totals(['items', 'items_value', 'revenue', 'orders']) }}

{% endtest %}
