{#- Every data set of events that a contract tells of, so that none is left out unseen. -#}
{%- for data_set in data_sets_of_events() %}
select
    cast(data_set as {{ lake_type('varchar') }}) as data_set,
    cast(events as bigint) as events,
    cast(early as bigint) as early,
    cast(late as bigint) as late,
    cast(out_of_order as bigint) as out_of_order,
    cast(dropped as bigint) as dropped,
    cast(_time as {{ lake_type('timestamp with time zone') }}) as _time,
    cast(_lake_hour as {{ lake_type('varchar') }}) as _lake_hour
from {{ ingest_counts(data_set) }} as {{ data_set }}
{% if not loop.last %}union all{% endif %}
{%- endfor %}
