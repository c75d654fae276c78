"""A plain consumer that parses every event finds exactly what the dirt manifest lists, and the clean truth beneath."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import pageviews, stars
from generators.dirt import MANIFEST_SCHEMA, Dirt, manifest
from generators.events import HUB_SCHEMA, hub_batches
from generators.world import World

WORLD = World(users=100, vip_users=0, products=20, pageviews_per_hour=1_500)
HOURS = [WORLD.epoch + timedelta(hours=number) for number in range(12)]
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
SOURCES = {"pageviews": pageviews, "stars": stars}

both = pytest.mark.parametrize("data_set", ["pageviews", "stars"])


def hub(data_set, hour, dirt, world=WORLD, batch_rows=65_536):
    return pa.Table.from_batches(hub_batches(world, data_set, hour, dirt, batch_rows), HUB_SCHEMA)


def integer_reasons(event, name, lowest, highest):
    value = event.get(name)
    if value is None:
        return [f"{name}:required"]
    if not isinstance(value, int):
        return [f"{name}:type"]
    return [f"{name}:minimum"] * (value < lowest) + [f"{name}:maximum"] * (value > highest)


def broken_rules(data_set, event):
    reasons = integer_reasons(event, "user_id", 0, 2**62)
    if data_set == "stars":
        return sorted(reasons + integer_reasons(event, "stars", 1, 5))
    reasons += integer_reasons(event, "latency", 0, 60_000)
    return sorted(reasons + ["http_method:enum"] * (event["http_method"] not in METHODS))


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


def consume(data_set, dirt, hours):
    """The manifest as a consumer would write it, and the rows it keeps, hour by hour."""
    found, kept, seen = [], {}, {}
    for hour in hours:
        kept[hour] = []
        for event in hub(data_set, hour, dirt).to_pylist():
            arrived, body = event["enqueued_time"], event["body"]
            row = parsed(body)
            key = row and row["event_id"]
            if row is None:
                entries = [("malformed", "quarantined", ["malformed"])]
            elif broken_rules(data_set, row):
                entries = [("invalid_value", "quarantined", broken_rules(data_set, row))]
            elif key in seen:
                first, first_body = seen[key]
                assert timedelta(seconds=1) <= arrived - first <= timedelta(hours=3)
                assert first_body == body
                entries = [("duplicate", "deduplicated", [])]
            else:
                seen[key] = arrived, body
                late = arrived - datetime.fromisoformat(row["event_time"]) > timedelta(seconds=60)
                entries = [("late", "kept", [])] * late + [("unknown_field", "rescued", [])] * ("referrer" in row)
                entries += [("empty_client_ip", "kept", [])] * (row.get("client_ip") == "")
                kept[hour].append(row)
                assert event["partition_key"] == str(row["user_id"])
            found += [(f"{hour:%Y-%m-%dT%H}", kind, key, effect, reasons) for kind, effect, reasons in entries]
    return found, kept


def listed(data_set, dirt, hours):
    lines = [line for hour in hours for line in manifest(WORLD, data_set, hour, dirt).to_pylist()]
    assert all(line["data_set"] == data_set for line in lines)
    return [(line["hour"], line["kind"], line["key"], line["effect"], line["reasons"]) for line in lines]


def in_any_order(entries):
    return sorted(map(repr, entries))


@both
@pytest.mark.parametrize("dirt", [Dirt(), Dirt.heavy()], ids=["default", "heavy"])
def test_the_manifest_lists_exactly_what_a_consumer_finds(data_set, dirt):
    found, _ = consume(data_set, dirt, HOURS)
    expected = listed(data_set, dirt, HOURS)
    assert in_any_order(found) == in_any_order(expected)
    assert found


@both
def test_dirt_never_changes_the_clean_truth_of_an_hour(data_set):
    _, kept = consume(data_set, Dirt.heavy(), HOURS)
    altered = {"event_time", "client_ip"}
    fields = [name for name in SOURCES[data_set].SCHEMA.names if name not in altered]
    for hour in HOURS:
        clean = SOURCES[data_set].clean_hour(WORLD, hour).select(fields).to_pylist()
        assert [{name: row[name] for name in fields} for row in kept[hour]] == clean


@both
def test_without_dirt_the_hub_holds_the_clean_rows_and_nothing_else(data_set):
    for hour in HOURS[:4]:
        rows = [json.loads(body) for body in hub(data_set, hour, Dirt.none())["body"].to_pylist()]
        for row in rows:
            row["event_time"] = datetime.fromisoformat(row["event_time"]).astimezone(UTC)
        assert rows == SOURCES[data_set].clean_hour(WORLD, hour).to_pylist()
        assert manifest(WORLD, data_set, hour, Dirt.none()).num_rows == 0


@both
@given(batch_rows=st.integers(20, 400), number=st.integers(0, 200))
@settings(max_examples=12, deadline=None)
def test_batch_size_changes_nothing_but_the_batches(data_set, batch_rows, number):
    hour = WORLD.epoch + timedelta(hours=number)
    parts = list(hub_batches(WORLD, data_set, hour, Dirt.heavy(), batch_rows))
    assert all(batch.num_rows <= batch_rows for batch in parts)
    assert pa.Table.from_batches(parts, HUB_SCHEMA).equals(hub(data_set, hour, Dirt.heavy()))


@both
def test_events_come_in_order_of_arrival_inside_their_hour(data_set):
    for hour in HOURS:
        arrived = hub(data_set, hour, Dirt.heavy())["enqueued_time"].to_pylist()
        assert arrived == sorted(arrived)
        assert all(hour < moment <= hour + timedelta(hours=1) for moment in arrived)


@both
@pytest.mark.parametrize(
    ("dial", "kind"),
    [
        ("duplicates", "duplicate"),
        ("malformed", "malformed"),
        ("late", "late"),
        ("unknown_fields", "unknown_field"),
        ("invalid_values", "invalid_value"),
    ],
)
def test_a_single_dial_makes_its_own_dirt_at_its_rate_and_no_other(data_set, dial, kind):
    world = World(pageviews_per_hour=60_000)
    hour = world.epoch + timedelta(hours=30)
    clean = SOURCES[data_set].clean_hour(world, hour).num_rows
    dirt = Dirt(**{**dict.fromkeys(Dirt.__dataclass_fields__, 0.0), dial: 0.2})
    kinds = Counter(manifest(world, data_set, hour, dirt)["kind"].to_pylist())
    assert set(kinds) == {kind}
    assert 0.15 < kinds[kind] / clean < 0.25


def test_every_dial_at_its_end_still_adds_up():
    everything = Dirt(1, 1, 1, 1, 1, 1, 1)
    found, kept = consume("pageviews", everything, HOURS[:3])
    assert in_any_order(found) == in_any_order(listed("pageviews", everything, HOURS[:3]))
    assert [len(kept[hour]) for hour in HOURS[:3]] == [len(pageviews.rows_of_hour(WORLD, hour)) for hour in HOURS[:3]]


def test_a_duplicate_may_land_in_a_later_hour_than_its_original():
    lines = manifest(WORLD, "pageviews", HOURS[5], Dirt(duplicates=0.2)).to_pylist()
    rows = pageviews.rows_of_hour(WORLD, HOURS[5])
    assert any(line["source_row"] < rows.start for line in lines if line["kind"] == "duplicate")


def test_what_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="'users' is no data set of events"):
        list(hub_batches(WORLD, "users", HOURS[0], Dirt()))
    with pytest.raises(ValueError, match="give the start of a lake hour"):
        manifest(WORLD, "stars", None, Dirt())
    with pytest.raises(ValueError, match="give hour=None"):
        manifest(WORLD, "users", HOURS[0], Dirt())
    with pytest.raises(ValueError, match="'visits' is no data set"):
        manifest(WORLD, "visits", HOURS[0], Dirt())
    with pytest.raises(ValueError, match=r"Dirt\.late is 2"):
        Dirt(late=2)


def test_the_manifest_has_one_schema_for_every_data_set():
    for data_set, hour in [("users", None), ("products", None), ("orders", HOURS[0]), ("stars", HOURS[0])]:
        assert manifest(WORLD, data_set, hour, Dirt()).schema.equals(MANIFEST_SCHEMA)
