{{ config(materialized='table', tags=['full']) }}

select
    meters.street,
    cast(count(*) as bigint) as readings,
    {{ units.litres('readings.cubic_metres') }} as litres
from {{ source('silver', 'readings') }} as readings
inner join {{ source('silver', 'meters') }} as meters on meters.meter_id = readings.meter_id
where readings._deleted_at is null
group by meters.street
