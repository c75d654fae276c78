{{ config(materialized='table', tags=['full']) }}
{%- set attributes = [
    'name', 'city', 'street_address', 'phone_number', 'birth_number', 'user_name', 'administrative_unit',
    'description', 'jobs', 'sex', 'age_band',
] %}

-- A pure function of the snapshots: a version lasts from the first snapshot that holds it to the first that does not.
with snapshots as (

    select
        _snapshot,
        row_number() over (order by _snapshot) as position,
        lead(_snapshot) over (order by _snapshot) as next_snapshot
    from (
        select _snapshot from {{ source('silver', 'users_snapshots') }}
        union
        select _snapshot from {{ source('silver', 'users_accepted') }}
    ) as keys

),

-- Whom a snapshot holds, valid or in quarantine; the latter are as they were when they were valid last.
held as (

    select id, _snapshot, _snapshot as valid_snapshot
    from {{ source('silver', 'users_snapshots') }}
    union all
    select id, _snapshot, null as valid_snapshot
    from {{ source('silver', 'users_accepted') }}
    where id is not null

),

held_once as (

    select id, _snapshot, max(valid_snapshot) as valid_snapshot
    from held
    group by id, _snapshot

),

dated as (

    select
        id,
        _snapshot,
        max(valid_snapshot) over (
            partition by id order by _snapshot rows between unbounded preceding and current row
        ) as last_valid_snapshot
    from held_once

),

seen as (

    select
        users.id,
        {%- for attribute in attributes %}
        users.{{ attribute }},
        {%- endfor %}
        snapshots._snapshot,
        snapshots.position,
        snapshots.next_snapshot
    from dated
    inner join {{ source('silver', 'users_snapshots') }} as users
        on users.id = dated.id and users._snapshot = dated.last_valid_snapshot
    inner join snapshots on snapshots._snapshot = dated._snapshot

),

compared as (

    select
        seen.*,
        case
            when lag(position) over (partition by id order by position) = position - 1
            {%- for attribute in attributes %}
                and {{ attribute }} is not distinct from lag({{ attribute }}) over (partition by id order by position)
            {%- endfor %}
            then 0
            else 1
        end as is_new
    from seen

),

versioned as (

    select compared.*, sum(is_new) over (partition by id order by position) as version
    from compared

),

lasting as (

    select
        id,
        version,
        min(_snapshot) as first_snapshot,
        max(position) as last_position
    from versioned
    group by id, version

)

select
    cast(versioned.id as bigint) as id,
    cast(versioned.version as bigint) as version,
    {%- for attribute in attributes if attribute != 'jobs' %}
    cast(versioned.{{ attribute }} as {{ lake_type('varchar') }}) as {{ attribute }},
    {%- endfor %}
    versioned.jobs,
    {{ snapshot_instant('lasting.first_snapshot') }} as valid_from,
    {{ snapshot_instant('versioned.next_snapshot') }} as valid_to,
    cast(versioned.next_snapshot is null as boolean) as is_current
from lasting
inner join versioned
    on versioned.id = lasting.id and versioned.version = lasting.version and versioned.position = lasting.last_position
