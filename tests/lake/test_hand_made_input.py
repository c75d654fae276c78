"""Files written by hand into the landing folder: rescued or quarantined as promised, and never lost."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.lake.lakes import Row, TestLake, write
from tests.lake.truth import masked

PERSON = {
    "name": "Žaneta Nováková",
    "city": "Ústí nad Labem",
    "street_address": "Dlouhá 7",
    "phone_number": "+420601000000",
    "birth_number": "855615/1234",
    "user_name": "zaneta",
    "administrative_unit": "Ústecký kraj",
    "description": "Má ráda 🐈",
    "jobs": ["pekařka", "hasička"],
}
MONDAY = datetime(2026, 1, 5, 6, tzinfo=UTC)
OF_USERS = dg.AssetSelection.keys(
    ["raw", "users"], ["bronze", "users"], ["silver", "users_snapshots"], ["quarantine", "users"], ["silver", "users"]
)
OF_PRODUCTS = dg.AssetSelection.keys(
    *(["raw", "products"], ["bronze", "products"], ["silver", "products_snapshots"], ["quarantine", "products"]),
    ["silver", "products"],
)


@pytest.fixture
def lake(tmp_path: Path) -> TestLake:
    return TestLake(tmp_path / "lake")


def person(id: object, **fields: Any) -> str:
    return json.dumps({"id": id, **PERSON, **fields}, ensure_ascii=False)


def drop_users(lake: TestLake, content: str | bytes, day: int = 0, name: str = "users.jsonl") -> None:
    write(lake.root / "landing" / "users" / name, content, MONDAY + timedelta(days=day))


def drop_ids(lake: TestLake, ids: Iterator[int] | range | list[int], day: int) -> None:
    drop_users(lake, "".join(person(id) + "\n" for id in ids), day)


def materialize_users(lake: TestLake, *, accept_shrink: bool = False, ok: bool = True) -> dg.ExecuteInProcessResult:
    config = {"silver__users_snapshots": {"config": {"accept_shrink": True}}} if accept_shrink else None
    return lake.materialize(selection=OF_USERS, config=config, ok=ok)


def newest(lake: TestLake) -> dict[int, str | None]:
    """Since when each user is missing."""
    return {row["id"]: row["_missing_since"] for row in lake.rows("silver/users")}


def refusal(result: dg.ExecuteInProcessResult) -> str:
    """What a person reads of the step that failed."""
    [event] = [e for e in result.all_events if e.is_step_failure]
    error = event.step_failure_data.error
    assert error
    return str((error.cause or error).message)


def by_line(rows: list[Row]) -> dict[int, Row]:
    return {row["_source_row"]: row for row in rows}


def test_a_users_file_written_by_hand(lake: TestLake) -> None:
    lines = [
        "\ufeff" + person(1),
        person(2, nickname="Žanka", address={"zip": "400 01"}),
        '{"id": 3, "name": "Jan", "birth_number": "855615/1234", "user_name": "jan"}',
        "",
        "   ",
        '{"id": 4, "name": "Eva"}',
        "not json at all",
        person("five"),
        person(-6),
        person(7, birth_number="855615-1234"),
        "  " + person(8) + "  ",
        person(1, city="Praha"),
        "[1, 2]",
        person(9)[:60],
    ]
    drop_users(lake, "\r\n".join(lines))
    materialize_users(lake)

    bronze = lake.rows("bronze/users")
    assert sorted(by_line(bronze)) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert {row["_source_file"] for row in bronze} == {"users.jsonl"}
    assert json.loads(by_line(bronze)[2]["_rescued_data"]) == {"nickname": "Žanka", "address": {"zip": "400 01"}}

    silver = {row["id"]: row for row in lake.rows("silver/users")}
    assert sorted(silver) == [1, 2, 3, 8]
    assert silver[1]["city"] == "Praha"  # the later of two lines
    assert (silver[3]["city"], silver[3]["jobs"]) == (None, None)
    assert (silver[8]["city"], silver[8]["jobs"]) == (PERSON["city"], PERSON["jobs"])
    assert (silver[8]["name"], silver[8]["sex"], silver[8]["age_band"]) == ("Ž***", "female", "adult")
    assert silver[8]["phone_number"] == masked("+420601000000", "hmac")

    kept_out = {row["_source_row"]: (row["_reasons"], row["_rescued_data"]) for row in lake.rows("quarantine/users")}
    assert (
        kept_out
        == {
            1: (["id:conflict"], None),  # the earlier of two lines that say different things of one customer
            5: (["malformed"], "   "),
            6: (["birth_number:required", "user_name:required"], None),
            7: (["malformed"], "not json at all"),
            8: (["id:type"], None),
            9: (["id:minimum"], None),
            10: (["birth_number:pattern"], None),
            13: (["malformed"], "[1, 2]"),
            14: (["malformed"], person(9)[:60]),
        }
    )


def test_an_empty_file_beside_a_full_one_changes_nothing(lake: TestLake) -> None:
    drop_users(lake, person(1) + "\n")
    drop_users(lake, "", name="empty.jsonl")
    drop_users(lake, "\n\r\n\n", name="blank.ndjson")
    materialize_users(lake)
    assert newest(lake) == {1: None}


def test_bytes_that_are_no_text_are_kept_whole(lake: TestLake) -> None:
    no_text = b'{"id": 3, "name": "\xff"}\n'
    utf_16 = (person(2) + "\n").encode("utf-16")
    drop_users(lake, person(1).encode() + b"\n" + no_text + utf_16)
    materialize_users(lake)
    assert newest(lake) == {1: None}
    rows = sorted(lake.rows("quarantine/users"), key=lambda row: row["_source_row"])
    assert {tuple(row["_reasons"]) for row in rows} == {("malformed",)}
    kept = [row["_rescued_data"] for row in rows]
    restored = b"".join(bytes.fromhex(k[4:]) if k.startswith("hex:") else k.encode() for k in kept)
    assert restored.removesuffix(b"\n") == (no_text + utf_16).removesuffix(b"\n")


def test_a_folder_of_product_files_written_by_hand(lake: TestLake, capfd: pytest.CaptureFixture[str]) -> None:
    folder = lake.root / "landing" / "products"
    product = {"id": 1, "name": "Lampa", "description": None, "category": "dům", "price": 1299.90, "pages": ["/p/1"]}
    pretty = json.dumps({**product, "id": 2, "colour": "černá"}, indent=4, ensure_ascii=False).replace("\n", "\r\n")
    hostile = [
        "a'b\"c.json",
        "two words.json",
        "$(touch x).json",
        "*?[1].json",
        "příliš žluťoučký.json",
        "-rf.json",
        "%2e.JSON",
    ]
    files: dict[str, str | bytes] = {
        "1.json": json.dumps(product),
        "deep/er/2.json": pretty,
        "empty.json": "",
        "truncated.json": pretty[:70],
        "bom.json": "\ufeff" + json.dumps({**product, "id": 3}),
        "two.json": json.dumps({**product, "id": 4}) + "\n" + json.dumps({**product, "id": 5}),
        "list.json": json.dumps([{**product, "id": 6}]),
        "no_price.json": json.dumps({"id": 7, "name": "Váza"}),
        "cents.json": json.dumps({**product, "id": 8, "price": "9.999"}),
        "notes.txt": "ignore me",
        ".hidden.json": json.dumps({**product, "id": 90}),
        "half.json.part": json.dumps({**product, "id": 91}),
        **{name: json.dumps({**product, "id": 100 + n}) for n, name in enumerate(hostile)},
    }
    for name, content in files.items():
        write(folder / name, content, MONDAY)
    write(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.json")), json.dumps({**product, "id": 200}), MONDAY)
    os.symlink("/etc/passwd", folder / "link.json")
    result = lake.materialize(selection=OF_PRODUCTS)

    silver = {row["id"]: row for row in lake.rows("silver/products")}
    assert sorted(silver) == [1, 2, 3, 6, *range(100, 100 + len(hostile)), 200]
    assert silver[1]["price"] == Decimal("1299.90")
    assert (silver[2]["name"], silver[2]["pages"]) == ("Lampa", ["/p/1"])
    bronze = {row["_source_file"]: row for row in lake.rows("bronze/products")}
    assert {*bronze} == {*files, "\\xff.json"} - {"notes.txt", ".hidden.json", "half.json.part"}
    assert json.loads(bronze["deep/er/2.json"]["_rescued_data"]) == {"colour": "černá"}
    assert bronze["two.json"]["_rescued_data"] == files["two.json"]
    kept_out = {row["_source_file"]: row["_reasons"] for row in lake.rows("quarantine/products")}
    assert kept_out == {
        "empty.json": ["malformed"],
        "truncated.json": ["malformed"],
        "two.json": ["malformed"],
        "no_price.json": ["price:required"],
        "cents.json": ["price:type"],
    }
    warned = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line and "was skipped" in line]
    assert len(warned) == 4
    assert any(".hidden.json was skipped: it begins with . or _" in w for w in warned)
    assert any("half.json.part was skipped: it ends in .tmp or .part" in w for w in warned)
    assert any("notes.txt was skipped: it does not end in .json" in w for w in warned)
    assert any("link.json was skipped: it is a symbolic link" in w for w in warned)
    assert result.success


def test_an_empty_landing_folder_says_what_to_drop_where(lake: TestLake) -> None:
    [raw] = materialize_users(lake).asset_materializations_for_node("raw__users")
    said = str(raw.metadata["notes"].value)
    assert "no file to land; drop *.jsonl, *.ndjson, *.json into" in said
    assert str(lake.root / "landing" / "users") in said


def test_a_user_missing_from_a_newer_snapshot_is_marked_and_comes_back(lake: TestLake) -> None:
    drop_ids(lake, range(10), day=0)
    materialize_users(lake)
    drop_ids(lake, range(9), day=1)
    materialize_users(lake)
    assert newest(lake) == {**dict.fromkeys(range(9)), 9: "2026-01-06T060000Z"}
    drop_ids(lake, range(8), day=2)
    materialize_users(lake)
    assert newest(lake) == {**dict.fromkeys(range(8)), 8: "2026-01-07T060000Z", 9: "2026-01-06T060000Z"}
    drop_ids(lake, range(10), day=3)
    materialize_users(lake)
    assert newest(lake) == dict.fromkeys(range(10))
    snapshots = {row["_snapshot"] for row in lake.rows("silver/users_snapshots")}
    assert len(snapshots) == 4


@pytest.mark.parametrize(
    ("second", "lost"),
    [
        pytest.param("", "lacks 100 of the 100 keys", id="emptied"),
        pytest.param("\n\n", "lacks 100 of the 100 keys", id="only blank lines"),
        pytest.param("".join(person(i) + "\n" for i in range(79)), "lacks 21 of the 100 keys", id="shrunken by 21 %"),
    ],
)
def test_a_snapshot_that_shrank_too_much_is_refused_until_it_is_accepted(
    lake: TestLake, second: str, lost: str
) -> None:
    drop_ids(lake, range(100), day=0)
    materialize_users(lake)
    before = lake.content()
    drop_users(lake, second, day=1)
    said = refusal(materialize_users(lake, ok=False))
    assert f"2026-01-06T060000Z withheld: {lost} of 2026-01-05T060000Z" in said
    assert "accept_shrink: true" in said
    after = lake.content()
    assert [after[t] for t in ("silver/users", "silver/users_snapshots")] == [
        before[t] for t in ("silver/users", "silver/users_snapshots")
    ]
    kept = len(second.split()) and len([line for line in second.splitlines() if line])
    materialize_users(lake, accept_shrink=True)
    missing = dict.fromkeys(range(kept, 100), "2026-01-06T060000Z")
    assert newest(lake) == {**dict.fromkeys(range(kept)), **missing}
    materialize_users(lake)  # what was accepted stays accepted
    assert newest(lake) == {**dict.fromkeys(range(kept)), **missing}


@pytest.mark.parametrize(
    "birth_numbers",
    [
        pytest.param(["855615/1234", *["8556151234"] * 9], id="without the slash in nine of ten"),
        pytest.param([""] * 10, id="empty in all"),
    ],
)
def test_an_export_that_breaks_the_rules_marks_no_customer_as_missing(lake: TestLake, birth_numbers: list[str]) -> None:
    drop_ids(lake, range(10), day=0)
    materialize_users(lake)
    before = lake.rows("silver/users")
    drop_users(lake, "".join(person(id, birth_number=n) + "\n" for id, n in enumerate(birth_numbers)), day=1)
    assert not materialize_users(lake, ok=False).success
    assert lake.rows("silver/users") == before
    materialize_users(lake, accept_shrink=True, ok=False)
    assert newest(lake) == dict.fromkeys(range(10)), "whoever is in the export is not missing"


def test_customers_whom_an_accepted_export_keeps_in_quarantine_are_told_apart_from_missing_ones(lake: TestLake) -> None:
    drop_ids(lake, range(10), day=0)
    materialize_users(lake)
    drop_users(
        lake, "".join(person(id, birth_number="" if id == 8 else "855615/1234") + "\n" for id in range(9)), day=1
    )
    materialize_users(lake)
    assert newest(lake) == {**dict.fromkeys(range(9)), 9: "2026-01-06T060000Z"}
    assert [row["id"] for row in lake.rows("silver/users") if row["_newer_in_quarantine"]] == [8]


def test_a_snapshot_that_shrank_by_a_fifth_is_taken(lake: TestLake) -> None:
    drop_ids(lake, range(100), day=0)
    materialize_users(lake)
    drop_ids(lake, range(80), day=1)
    materialize_users(lake)
    assert sum(since is not None for since in newest(lake).values()) == 20


@pytest.mark.parametrize("broken", ["", person(1) + "\n"], ids=["emptied", "one of ten"])
def test_a_refused_snapshot_followed_by_a_good_one_is_passed_over(lake: TestLake, broken: str) -> None:
    drop_ids(lake, range(10), day=0)
    materialize_users(lake)
    drop_users(lake, broken, day=1)
    materialize_users(lake, ok=False)
    drop_ids(lake, range(1, 11), day=2)
    materialize_users(lake)
    assert newest(lake) == {0: "2026-01-07T060000Z", **dict.fromkeys(range(1, 11))}
    assert {row["_snapshot"] for row in lake.rows("silver/users_snapshots")} == {
        "2026-01-05T060000Z",
        "2026-01-07T060000Z",
    }


def test_a_first_snapshot_may_be_empty(lake: TestLake) -> None:
    drop_users(lake, "")
    materialize_users(lake)
    assert lake.rows("silver/users") == []
