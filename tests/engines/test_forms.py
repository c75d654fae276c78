"""The same rows in every form that a partner may send them: the same tables, on every engine."""

import json
from datetime import timedelta
from pathlib import Path

from dagster_lake.contract.model import contracts
from dagster_lake.engines.step import Step
from dagster_lake.landing.land import land_snapshot
from tests.lake.lakes import Row, TestLake, write
from tests.lake.test_hand_made_input import MONDAY, person

PEOPLE = [json.loads(person(i)) for i in (1, 2, 3)]
LINES = [json.dumps(p, ensure_ascii=False) for p in PEOPLE]
OF_LINES: dict[str, bytes] = {
    "lines": "\n".join(LINES).encode(),
    "array": json.dumps(PEOPLE).encode(),
    "pretty array, CR LF": json.dumps(PEOPLE, indent=2).replace("\n", "\r\n").encode(),
    "pretty objects": "\n".join(json.dumps(p, indent=2, ensure_ascii=False) for p in PEOPLE).encode(),
    "UTF-16": "\n".join(LINES).encode("utf-16"),
    "UTF-16 BE, CR LF": b"\xfe\xff" + "\r\n".join(LINES).encode("utf-16-be"),
    "UTF-16, pretty array": json.dumps(PEOPLE, indent=2, ensure_ascii=False).encode("utf-16"),
    "lone CR": "\r".join(LINES).encode(),
    "mixed line ends": f"{LINES[0]}\r{LINES[1]}\r\n{LINES[2]}\n".encode(),
    "a mark": b"\xef\xbb\xbf" + "\n".join(LINES).encode(),
    "two marks": b"\xef\xbb\xbf" * 2 + "\n".join(LINES).encode(),
}
PRODUCTS = [{"id": i, "name": "Lampa", "category": "dům", "price": 9.5, "pages": ["/p"]} for i in (1, 2)]
OF_DOCUMENTS: dict[str, dict[str, bytes]] = {
    "documents": {f"{p['id']}.json": json.dumps(p).encode() for p in PRODUCTS},
    "UTF-16 and two marks": {
        "1.json": json.dumps(PRODUCTS[0], ensure_ascii=False, indent=1).encode("utf-16"),
        "2.json": b"\xef\xbb\xbf" * 2 + json.dumps(PRODUCTS[1]).encode(),
    },
    "an array": {"all.json": json.dumps(PRODUCTS, indent=1).encode()},
    "an array in UTF-16": {"all.json": json.dumps(PRODUCTS, ensure_ascii=False).encode("utf-16")},
    "with what is no object": {"all.json": json.dumps([*PRODUCTS, 5]).encode(), "broken.json": b'[{"id": 3},'},
}
KEEP = ("id", "name", "city", "category", "price", "pages")


def silver(root: Path, engine: str) -> dict[str, tuple[list[Row], list[Row], list[int]]]:
    """What silver and quarantine hold of each case, one snapshot a case, and the numbers of its rows in bronze."""
    lake = TestLake(root, {"engine": engine})
    made: dict[str, list[str]] = {"users": [], "products": []}
    cases = [("users", name, {"users.jsonl": content}) for name, content in OF_LINES.items()]
    cases += [("products", name, files) for name, files in OF_DOCUMENTS.items()]
    names = {}
    with lake.here():
        for day, (data_set, name, files) in enumerate(cases):
            folder = root / "landing" / data_set
            for old in folder.glob("*"):
                old.unlink()
            for file, content in files.items():
                write(folder / file, content, MONDAY + timedelta(days=day))
            partition = land_snapshot(contracts()[data_set], lake.resource.lake).partition
            made[data_set].append(partition)
            names[data_set, partition] = name
        for data_set, partitions in made.items():
            for layer in ("bronze", "silver"):
                found = lake.resource.engine.run(
                    Step(data_set, layer, tuple(partitions), accepted=tuple(partitions))  # type: ignore[arg-type]
                )
                assert all(count.balanced for count in found.counts.values()), found.counts
    return {
        name: (
            [_kept(row) for row in lake.rows(f"silver/{data_set}_snapshots") if row["_snapshot"] == partition],
            [row["_reasons"] for row in lake.rows(f"quarantine/{data_set}") if row["_snapshot"] == partition],
            sorted(row["_source_row"] for row in lake.rows(f"bronze/{data_set}") if row["_snapshot"] == partition),
        )
        for (data_set, partition), name in names.items()
    }


def _kept(row: Row) -> Row:
    return {name: row[name] for name in KEEP if name in row}


def test_every_form_gives_the_same_rows_on_every_engine(tmp_path: Path) -> None:
    found = silver(tmp_path / "duckdb", "duckdb")

    for name in OF_LINES:
        rows, kept_out, _ = found[name]
        assert (rows, kept_out) == (found["lines"][0], []), name
    assert found["lines"][2] == [1, 2, 3]
    for name in OF_DOCUMENTS:
        rows, kept_out, _ = found[name]
        assert [row["id"] for row in rows] == [1, 2], name
        assert len(kept_out) == (2 if name == "with what is no object" else 0), name
    assert found["an array"][2] == [1, 2]

    assert silver(tmp_path / "spark", "spark") == found
