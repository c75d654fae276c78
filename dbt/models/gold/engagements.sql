{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='id',
    starts_over_when='customers_gone',
    on_schema_change='fail',
    tags=['hourly'],
) }}
{%- set unread_days = none if customers_gone() else unread('engagements', 'engagement_daily') %}

with customers as (

    select
        users.id,
        users.user_name,
        users.city,
        vip_users.id is not null as is_vip
    from {{ source('silver', 'users') }} as users
    left join {{ source('silver', 'vip_users') }} as vip_users
        on vip_users.id = users.id and vip_users._missing_since is null

),

{% if unread_days is not none -%}
-- Whose row may differ from what it must be: the totals moved, an attribute changed, or there is no row yet.
touched as (

    select user_id as id from {{ unread_days }} as unread_days
    union
    select customers.id
    from customers
    left join {{ this }} as present on present.id = customers.id
    where present.id is null
        or present.user_name is distinct from customers.user_name
        or present.city is distinct from customers.city
        or present.is_vip is distinct from customers.is_vip

),
{%- else -%}
touched as (

    select id from customers

),
{%- endif %}

totals as (

    select
        user_id,
        sum(pageviews) as pageviews,
        sum(stars_count) as stars_count,
        sum(stars_sum) as stars_sum,
        sum(orders) as orders,
        sum(orders_value) as orders_value,
        sum(items) as items
    from {{ ref('engagement_daily') }}
    where user_id in (select id from touched)
    group by user_id

)

select
    cast(customers.id as bigint) as id,
    cast(customers.user_name as {{ lake_type('varchar') }}) as user_name,
    cast(customers.city as {{ lake_type('varchar') }}) as city,
    cast(coalesce(totals.pageviews, 0) as bigint) as pageviews,
    cast(coalesce(totals.orders, 0) as bigint) as orders,
    cast(coalesce(totals.orders_value, 0) as decimal(18, 2)) as total_orders_value,
    case
        when totals.orders > 0 then {{ mean_amount('totals.orders_value', 'totals.orders') }}
    end as avg_order_value,
    cast(coalesce(totals.items, 0) as bigint) as total_items,
    cast(
        case when totals.stars_count > 0 then cast(totals.stars_sum as double) / totals.stars_count end as double
    ) as avg_stars,
    cast(customers.is_vip as boolean) as is_vip
from customers
left join totals on totals.user_id = customers.id
where customers.id in (select id from touched)
