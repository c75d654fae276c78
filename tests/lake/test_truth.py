"""The lake against the truth: the generators' clean rows and their list of every dirty row."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from dagster_lake.contract.model import contracts
from generators.dirt import manifest
from tests.lake import truth
from tests.lake.lakes import Row, TestLake, hours

HOURS = hours(6)
SIZES = {"users": 400, "vip_users": 80, "products": 160, "orders_per_hour": 150, "pageviews_per_hour": 1600}
PARTITIONS = [(d, h) for d in contracts() for h in (HOURS if d not in truth.SNAPSHOTS else [None])]


@dataclass
class Materialised:
    """A lake after a run, with its tables read once."""

    lake: TestLake
    result: dg.ExecuteInProcessResult
    content: dict[str, list[Row]]

    def rows(self, table: str, hour: str | None) -> list[Row]:
        """The rows of one table, of one hour where it has hours."""
        rows = self.content.get(table) or self.content.get(f"sensitive/{table}") or []
        return [row for row in rows if hour is None or row["_lake_hour"] == hour]

    def metadata(self, table: str, name: str) -> Any:
        """A number of the asset's newest materialization."""
        events = self.result.asset_materializations_for_node("__".join(table.split("/")))
        return next(e.metadata[name].value for e in events if e.asset_key.path == table.split("/"))


@pytest.fixture(scope="module", params=["default", "heavy"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Materialised:
    lake = TestLake(tmp_path_factory.mktemp("lake"), {**SIZES, "dirt": request.param})
    result = lake.materialize(HOURS[0], HOURS[-1])
    return Materialised(lake, result, lake.content())


def test_silver_holds_the_clean_rows_value_by_value(made: Materialised) -> None:
    for data_set, hour in PARTITIONS:
        rows = made.rows(truth.SILVER[data_set], hour)
        assert rows
        day = truth.snapshot_day(rows[0]["_snapshot"]) if hour is None else None
        truth.check_silver(made.lake.world, data_set, hour, made.lake.dirt, rows, day)
        if data_set in truth.EVENTS and hour:
            assert truth.enqueued_within(rows, hour)


def test_the_newest_rows_are_the_clean_rows(made: Materialised) -> None:
    for data_set in (*truth.SNAPSHOTS, *truth.TABLES):
        rows = made.rows(f"silver/{data_set}", None)
        assert all(row.get("_missing_since") is None and row.get("_deleted_at") is None for row in rows)
        own = [name for name in rows[0] if name not in ("_missing_since", "_deleted_at", "_newer_in_quarantine")]
        newest = sorted(({n: row[n] for n in own} for row in rows), key=repr)
        kept = sorted(({n: row[n] for n in own} for row in made.rows(truth.SILVER[data_set], None)), key=repr)
        assert newest == kept


def test_quarantined_rows_and_all_their_reasons_are_those_of_the_manifest(made: Materialised) -> None:
    seen = set()
    for data_set, hour in PARTITIONS:
        found = truth.quarantine_found(data_set, made.rows(f"quarantine/{data_set}", hour))
        assert found == truth.quarantine_wanted(made.lake.world, data_set, hour, made.lake.dirt), (data_set, hour)
        seen |= {(data_set, reason) for _, reasons in found for reason in reasons}
    if made.lake.settings["dirt"] == "heavy":
        assert {data_set for data_set, reason in seen if reason == "malformed"} == {*truth.SNAPSHOTS, *truth.EVENTS}
        assert len(seen) > 15


def test_a_malformed_line_is_kept_whole_in_quarantine(made: Materialised) -> None:
    for data_set in truth.EVENTS:
        for hour in HOURS:
            rows = made.rows(f"quarantine/{data_set}", hour)
            kept = truth.Counter(row["_rescued_data"] for row in rows if row["_reasons"] == ["malformed"])
            assert kept == truth.malformed_lines(made.lake.world, data_set, hour, made.lake.dirt)


def test_rescued_fields_are_those_of_the_manifest(made: Materialised) -> None:
    total = 0
    for data_set, hour in PARTITIONS:
        rows = made.rows(f"bronze/{data_set}", hour)
        key = truth.KEYS[data_set][0]
        rescued = [row for row in rows if row["_rescued_data"] is not None and row[key] is not None]
        before = HOURS[: HOURS.index(hour)] if hour else []
        wanted = truth.rescued_wanted(made.lake.world, data_set, hour, made.lake.dirt, before)
        assert truth.Counter(row[key] for row in rescued) == wanted, (data_set, hour)
        assert all(row["_rescued_data"].startswith('{"referrer":') for row in rescued)
        total += len(rescued)
    assert total


def test_duplicates_are_those_of_the_manifest(made: Materialised) -> None:
    for data_set, hour in PARTITIONS:
        noted = truth.dirt_of(made.lake.world, data_set, hour, made.lake.dirt)
        came = len(made.rows(f"bronze/{data_set}", hour))
        kept = len(made.rows(truth.SILVER[data_set], hour))
        out = len(made.rows(f"quarantine/{data_set}", hour))
        assert came - kept - out == len(noted["duplicate"]), (data_set, hour)


def test_what_the_assets_report_is_what_the_manifest_says(made: Materialised) -> None:
    for data_set in contracts():
        keys = [h for d, h in PARTITIONS if d == data_set]
        noted = [truth.dirt_of(made.lake.world, data_set, hour, made.lake.dirt) for hour in keys]
        silver = truth.SILVER[data_set]
        assert made.metadata(silver, "duplicates") == sum(len(n["duplicate"]) for n in noted)
        assert made.metadata(silver, "quarantined") == sum(len(n["malformed"]) + len(n["invalid_value"]) for n in noted)
        assert made.metadata(silver, "dagster/partition_row_count") == len(made.rows(silver, None))
        assert made.metadata(f"bronze/{data_set}", "rescued") == sum(
            row["_rescued_data"] is not None and row[truth.KEYS[data_set][0]] is not None
            for row in made.rows(f"bronze/{data_set}", None)
        )


def test_the_reference_check_counts_the_orphans_and_nothing_else_fails(made: Materialised) -> None:
    orphans = sum(len(truth.dirt_of(made.lake.world, "order_items", hour, made.lake.dirt)["orphan"]) for hour in HOURS)
    assert orphans
    failed: Counter[tuple[str, str]] = Counter()
    for check in made.result.get_asset_check_evaluations():  # of each hour
        if not check.passed and check.check_name != "little_quarantined":
            failed[check.asset_key.to_user_string(), check.check_name] += check.metadata["rows"].value  # type: ignore[assignment]
    assert failed == {("silver/order_items_changes", "product_id_exists"): orphans}


def test_the_lake_s_own_dirt_manifest_is_the_generators_(made: Materialised) -> None:
    for data_set, hour in PARTITIONS:
        if data_set == "orders":
            continue  # has no dirt of its own
        file = made.lake.root / "sources" / "dirt" / data_set / f"{hour or 'snapshot'}.parquet"
        moment = truth.parse_hour(hour) if hour else None
        assert pq.read_table(file).equals(manifest(made.lake.world, data_set, moment, made.lake.dirt))


def test_no_value_in_clear_stands_in_a_table_outside_the_sensitive_zone(made: Materialised) -> None:
    secrets = {
        value
        for user in truth.clean(made.lake.world, "users", None)
        for value in (user["name"], user["street_address"], user["phone_number"], user["birth_number"])
    }
    addresses = {row["client_ip"] for row in truth.clean(made.lake.world, "pageviews", HOURS[0])} - {None}
    files = [f for f in made.lake.root.rglob("*.json") if "_delta_log" in f.parts and "sensitive" not in f.parts]
    text = "\n".join(f.read_text() for f in files)
    shown = {
        v
        for table, rows in made.content.items()
        if "sensitive" not in table
        for r in rows
        for v in r.values()
        if isinstance(v, str)
    }
    assert len(files) > 10
    assert not (secrets | addresses) & shown
    assert not [secret for secret in secrets | addresses if secret in text]
