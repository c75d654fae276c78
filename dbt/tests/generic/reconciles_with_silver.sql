{# Fails for every measure whose sum over the recomputed hours differs from silver's. Counted anew and without joins,
   so that it cannot repeat a mistake of the model. #}
{% test reconciles_with_silver(model) %}

with silver as (

    select 'pageviews' as measure, cast(count(*) as decimal(38, 2)) as total
    from {{ source_hours('silver', 'pageviews') }}
    union all
    select 'stars', cast(coalesce(sum(stars), 0) as decimal(38, 2))
    from {{ source_hours('silver', 'stars') }}
    union all
    select 'orders', cast(count(*) as decimal(38, 2))
    from {{ source_hours('silver', 'orders') }} where _deleted_at is null
    union all
    select 'orders_value', cast(coalesce(sum(order_value), 0) as decimal(38, 2))
    from {{ source_hours('silver', 'orders') }} where _deleted_at is null

),

gold as (

    select
        sum(pageviews) as pageviews, sum(stars_sum) as stars, sum(orders) as orders, sum(orders_value) as orders_value
    from {{ model }}
    where {{ in_recomputed_hours() }}

),

compared as (

    select
        silver.measure,
        silver.total as in_silver,
        cast(coalesce(case silver.measure
            when 'pageviews' then gold.pageviews
            when 'stars' then gold.stars
            when 'orders' then gold.orders
            when 'orders_value' then gold.orders_value
        end, 0) as decimal(38, 2)) as in_gold
    from silver
    cross join gold

)

select * from compared where in_silver <> in_gold

{% endtest %}
