"""Which models may be told early: those whose rows follow from one event alone, whatever their declaration says."""

import pytest

from dagster_lake.live.single_events import of_single_events

EVENTS = "(select e.*, make_timestamptz(1) as _time from silver.views as e join x on true)"
STREAM = f"select * from {EVENTS}\n"


@pytest.mark.parametrize(
    "model",
    [
        "select event_id, latency from {} as views where latency > 2000 and true",
        "select cast(a as varchar) as a, strftime(make_timestamp(epoch_us(_time) % 7), '%Y') as h from {} as v",
        "select *, case when latency between 1 and 2 then 'a' else lower(uri) end as c from {} where uri in ('a', 'b')",
    ],
)
def test_a_plain_select_of_events_is_told_early(model: str) -> None:
    assert of_single_events(model.format(EVENTS), STREAM)


@pytest.mark.parametrize(
    "model",
    [
        "select event_id, lag(latency) over (order by _time) as before from {} as v",
        "select event_id from {} as v qualify row_number() over (partition by user_id order by _time) = 1",
        "select user_id, count(*) as n from {} as v group by user_id having count(*) > 3",
        "select max(latency) as latency from {} as v",
        "select any_value(latency) as latency from {} as v",
        "select distinct user_id from {} as v",
        "select event_id from {} as v order by latency limit 3",
        "select v.event_id from {} as v join silver.users on true",
        "select v.event_id from {} as v, silver.users",
        "select event_id from {} as v where latency > (select avg(latency) from silver.views)",
        "select event_id from {} as v where exists (select 1 from silver.users)",
        "with w as (select * from {} as v) select event_id from w",
        "select event_id from {} as v union all select event_id from other",
        "select unnest([1, 2]) as n from {} as v",
        "select event_id from {} as v where random() < 0.5",
        "select event_id from {} as v where _time > now()",
        "select event_id from {} as v using sample 10%",
        "select event_id from silver.views",
        "select event_id from {} as v where not a sentence of SQL",
    ],
)
def test_what_looks_at_other_rows_waits_for_the_table(model: str) -> None:
    assert not of_single_events(model.format(EVENTS), STREAM)
