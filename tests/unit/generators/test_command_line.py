"""`python -m generators` from a person's seat."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from generators import order_items, orders, pageviews, users, vip_users
from generators.cli import app
from generators.world import World


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def written_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("data_set", ["users", "vip_users", "products", "pageviews", "stars", "orders", "order_items"])
def test_every_data_set_can_be_written_as_json_lines_and_as_parquet(data_set, tmp_path):
    lines, typed = tmp_path / "rows.jsonl", tmp_path / "rows.parquet"
    assert run(data_set, "--rows", "1_00", "--format", "jsonl", "--out", lines).exit_code == 0
    assert run(data_set, "--rows", 100, "--format", "parquet", "--out", typed).exit_code == 0
    rows = pq.read_table(typed)
    assert rows.num_rows == len(written_lines(lines)) >= 100
    assert list(written_lines(lines)[0]) == rows.column_names


def test_rows_are_those_of_the_library_from_the_asked_row_on(tmp_path):
    out = tmp_path / "views.parquet"
    done = run("pageviews", "--rows", 300, "--start-row", 500, "--seed", 7, "--format", "parquet", "--out", out)
    assert done.exit_code == 0
    assert "300 rows written" in done.stderr
    assert pq.read_table(out).equals(pa.Table.from_batches(pageviews.batches(World(seed=7), 500, 800)))


def test_orders_come_with_their_items_beside_them(tmp_path):
    assert run("orders", "--rows", 200, "--format", "parquet", "--out", tmp_path / "orders.parquet").exit_code == 0
    heads, items = pq.read_table(tmp_path / "orders.parquet"), pq.read_table(tmp_path / "order_items.parquet")
    assert heads.equals(pa.Table.from_batches(orders.batches(World(), 0, 200)))
    assert items.equals(pa.Table.from_batches(order_items.batches(World(), 0, 200)))


def test_products_are_one_file_each_by_default(tmp_path):
    assert run("products", "--rows", 30, "--out", tmp_path).exit_code == 0
    assert len(list(tmp_path.rglob("*.json"))) == 30


def test_a_single_dial_overrides_the_preset(tmp_path):
    out = tmp_path / "users.jsonl"
    dials = ("--unknown-fields", 0, "--invalid-values", 0, "--malformed", 0, "--duplicates", 0)
    assert run("users", "--rows", 50, "--dirt", "heavy", *dials, "--out", out).exit_code == 0
    expected = pa.Table.from_batches(users.batches(World(), 0, 50)).to_pylist()
    assert written_lines(out) == expected
    assert run("users", "--rows", 200, "--duplicates", 0.5, "--out", out).exit_code == 0
    assert len(written_lines(out)) > 250


def test_vips_are_chosen_among_the_given_number_of_users(tmp_path):
    out = tmp_path / "vips.jsonl"
    assert run("vip_users", "--rows", 20, "--users", 25, "--out", out).exit_code == 0
    assert (
        written_lines(out) == pa.Table.from_batches(vip_users.batches(World(users=25, vip_users=0), 0, 20)).to_pylist()
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("users", "--format", "files"), "--format files is for products only: use jsonl or parquet"),
        (("users", "--format", "parquet", "--dirt", "heavy"), "use --format jsonl or --dirt none"),
        (("vip_users", "--users", "3"), "raise --users"),
        (("users", "--late", "2"), "'--late'"),
        (("users", "--rows", "0"), "'--rows'"),
        (("visits",), "'visits' is not one of"),
    ],
)
def test_a_mistake_is_answered_with_the_option_and_the_remedy(words, told, tmp_path):
    out = tmp_path / "rows"
    rows = () if "--rows" in words else ("--rows", "10")
    done = run(*words, *rows, "--out", out)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_items_never_overwrite_the_orders_they_belong_to(tmp_path):
    done = run("orders", "--rows", 5, "--out", tmp_path / "order_items.jsonl")
    assert done.exit_code == 2
    assert "name the orders' file differently" in done.stderr


def test_a_place_that_cannot_be_written_is_an_error_not_a_traceback(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    done = run("users", "--rows", 5, "--out", tmp_path / "taken" / "users.jsonl")
    assert done.exit_code == 2
    assert "Error:" in done.stderr
    assert "taken" in done.stderr


def test_help_teaches_with_examples():
    text = run("--help").stdout
    assert "Examples" in text
    assert "order_items.parquet" in text
