"""Snapshots as files: the clean rows are all there, and every dirty line is in the manifest."""

import json
import re
from decimal import Decimal

import pyarrow as pa
import pytest

from generators import products, users, vip_users
from generators.dirt import Dirt, manifest
from generators.files import replacing, write_products, write_users, write_vip_users
from generators.world import World

WORLD = World(users=3_000, vip_users=1_500, products=1_100)

snapshots = pytest.mark.parametrize(
    ("source", "write", "count"),
    [(users, write_users, 3_000), (vip_users, write_vip_users, 1_500), (products, write_products, 1_100)],
    ids=["users", "vip_users", "products"],
)


def texts(source, folder):
    if source is products:
        return [path.read_bytes() for path in sorted(folder.rglob("*.json"))]
    return (folder / f"{source.NAME}.jsonl").read_bytes().removesuffix(b"\n").split(b"\n")


def parsed(text):
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return None


def broken_rules(row):
    reasons = []
    if row["id"] is None:
        reasons.append("id:required")
    elif not isinstance(row["id"], int):
        reasons.append("id:type")
    if "price" in row:
        if not isinstance(row["price"], Decimal | int):
            reasons.append("price:type")
        elif row["price"] < 0:
            reasons.append("price:minimum")
    return reasons


def consume(source, lines):
    """What a consumer finds: manifest entries, and the clean rows by id."""
    found, kept = [], {}
    for line in lines:
        row = parsed(line)
        if row is None:
            found.append(("malformed", None, "quarantined", ["malformed"]))
        elif broken_rules(row):
            key = None if row["id"] is None else str(row["id"])
            found.append(("invalid_value", key, "quarantined", broken_rules(row)))
        elif row["id"] in kept:
            found.append(("duplicate", str(row["id"]), "deduplicated", []))
        else:
            if row.pop("referrer", None):
                found.append(("unknown_field", str(row["id"]), "rescued", []))
            kept[row["id"]] = row
    return found, kept


@snapshots
@pytest.mark.parametrize("dirt", [Dirt.none(), Dirt(), Dirt.heavy()], ids=["none", "default", "heavy"])
def test_files_hold_the_clean_rows_and_the_dirt_of_the_manifest(source, write, count, dirt, tmp_path):
    written = write(WORLD, tmp_path, dirt)
    lines = texts(source, tmp_path)
    assert len(lines) == written
    found, kept = consume(source, lines)
    clean = {row["id"]: row for row in pa.Table.from_batches(source.batches(WORLD, 0, count)).to_pylist()}
    assert kept == clean
    listed = [
        (line["kind"], line["key"], line["effect"], line["reasons"])
        for line in manifest(WORLD, source.NAME, None, dirt).to_pylist()
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, listed))
    assert bool(listed) == (dirt != Dirt.none())


@snapshots
def test_writing_again_gives_the_same_bytes_and_leaves_nothing_temporary(source, write, count, tmp_path):
    write(WORLD, tmp_path, Dirt())
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write(WORLD, tmp_path, Dirt())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    assert not [path for path in first if path.name.endswith(".tmp")]


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "users.jsonl"
    path.write_text("before")

    def fail_half_way():
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_products_lie_in_folders_of_a_thousand_with_exact_prices(tmp_path):
    write_products(WORLD, tmp_path, Dirt.none())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000", "000001"]
    text = (tmp_path / "000001" / "1042.json").read_text()
    price = next(products.batches(WORLD, 1_042, 1_043))["price"][0].as_py()
    assert re.search(r'"price":(\d+\.\d\d),', text).group(1) == str(price)
