"""No durable write escapes ``commit()``: the crash tests know only the places that announce themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dagster_lake

PACKAGE = Path(dagster_lake.__file__).parent

CALLS = {
    *("write_deltalake", "merge", "delete", "update", "optimize", "compact", "z_order", "vacuum", "restore", "repair"),
    *("add_columns", "set_table_properties", "add_constraint", "drop_constraint", "set_table_description"),
    *("create_table", "create_all", "drop_all", "executemany", "executescript", "adbc_ingest", "write_parquet"),
    *("write_text", "write_bytes", "write_table", "rename", "renames", "link", "symlink", "symlink_to", "hardlink_to"),
    *("save", "_save", "saveAsTable", "insertInto"),
    *("put_blob", "upload_blob", "delete_blob", "remove_blob", "remove_blobs", "remove_old_blobs"),
    *("publish", "publish_bytes", "withdraw", "put_guarded", "put_file_guarded"),
    *("unlink", "remove", "rmdir", "rmtree", "truncate", "move", "copyfile", "copy2", "copytree", "utime"),
}
"""Methods and functions by which something durable changes, whatever they are called on."""

ALLOWED = {
    "streams/alerts/notices.py": {"_take_candidates": "a DuckDB in memory, which dies with the process"},
    "defs/shop.py": {"": "the outside world: what it sends is written again by the next run"},
    "unity_catalog/apply.py": {"_Applier.drop": "called by carry_out within catalog.<kind>.object"},
    "cli/": {"": "what a person types, not a step of the lake"},
    "component.py": {"LakeScaffolder.scaffold": "a file that a person asks for, in a project of their own"},
    "operations/instance/place.py": {"runs_of": "Dagster's history, which is no part of the tables"},
    "dbt_runner/sources.py": {"": "writes the project's own file when a developer asks"},
    "deploy/bicep_inputs.py": {"": "writes the project's own files when a developer asks"},
    "deploy/state.py": {
        "remember": "how far lake deploy came, whose own tests kill it: tests/azure/test_deploy_faults.py"
    },
    "dbt_runner/duckdb_session.py": {"DbtSession._show_unread": "dbt's DuckDB, which is in memory"},
    "operations/lineage/emit.py": {"write": "a file that a person asked for, which appears whole"},
    "live/early.py": {"EarlyAlerts": "a DuckDB in memory, which dies with the process"},
    "landing/attempt.py": {
        "AttemptFolder.new_file": "called within raw.<data set>.files",
        "AttemptFolder.write_parquet": "called within raw.<data set>.files",
        "AttemptFolder.discard": "removes what no manifest names",
        "remove_leftovers": "removes what no manifest names",
        "remove_old_blobs": "removes what no manifest names",
    },
    "landing/snapshot.py": {
        "_discard": "removes what no manifest names",
        "_remove_leftovers": "removes what no manifest names",
    },
    "privacy/masking_key.py": {"_make": "the key's file appears whole, by link, and is never replaced"},
    "operations/failure_notice.py": {"write_notice": "a page for people; the next failure writes another"},
    "databricks/remote/": {"": "messages of a step and the mailbox of a worker, which mean nothing when it has ended"},
    "shop/database.py": {
        "SqliteWriter.upsert": "called within database.<tables>",
        "PostgresWriter.upsert": "called within database.<tables>",
    },
    "dbt_runner/run.py": {"": "dbt's working files, made anew when they are missing"},
    "dbt_runner/manifest.py": {"": "dbt's working files, made anew when they are missing"},
    "sources/event_hub/embedded.py": {
        "EmbeddedEventHub": "removes what no index names, and the index itself is written within event_hub.<hub>"
    },
    "sources/event_hub/segments.py": {"PartitionWriter": "segments, which count from event_hub.<hub> on"},
    "storage/delta/write.py": {
        "replace_partitions.write": "called by _attempt within <table>",
        "overwrite.write": "called by _attempt within <table>",
        "merge.write": "called by _attempt within <table>",
        "append.write": "called by _attempt within <table>",
        "note_contract.write": "called by _attempt within <table>",
        "_join_small_files": "called by tidy within tidy.<table>",
    },
    "storage/delta/spark.py": {
        "SparkDelta._save": "writes for a caller, whose call is inside a commit or listed here",
        "SparkDelta.replace_partitions.write": "called by _attempt within <table>",
        "SparkDelta.overwrite.write": "called by _attempt within <table>",
        "SparkDelta.merge.write": "called by _attempt within <table>",
    },
    "streams/sinks/database_system.py": {
        "SqliteSystem.insert": "called within sink.<id>, in its transaction",
        "PostgresSystem.insert": "called within sink.<id>, in its transaction",
    },
    "streams/sinks/hub.py": {
        "HubSink._put": "a DuckDB in memory, which dies with the process",
        "_take_sent": "a temporary file, and a DuckDB in memory",
    },
    "storage/adls/blobs.py": {
        "put_blob": "writes for a caller, whose call is inside a commit",
        "copy_blob.put": "writes for a caller, whose call is inside a commit",
        "upload_blob": "writes for a caller, whose call is inside a commit",
        "remove_blobs": "removes for a caller, whose call is inside a commit or listed here",
        "remove_blob": "removes for a caller, whose call is inside a commit",
    },
    "storage/checksums.py": {
        "note_checksums": "a file whose note a crash left out is not compared",
        "forget_checksums": "called by vacuum within vacuum.<table>",
    },
    "storage/mend.py": {
        "": "called by carry_out within repair.<table>; killed in between, the same is mended again: test_damage.py"
    },
    "storage/moving.py": {"_move_blobs": "called by move_folder within the commit that its caller names"},
    "storage/guarded.py": {"": "writes for a caller, whose call is inside a commit"},
    "storage/publish.py": {"": "writes for a caller, whose call is inside a commit"},
}
"""Functions (or what holds them) that write outside a commit, and why that needs no crash test of its own."""


def writes(file: Path) -> Iterator[tuple[str, int, str]]:
    """(function, line, what) of each durable write of a file that is not inside ``with commit(...)``."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from _writes(tree, "", inside=False)


def _writes(node: ast.AST, function: str, *, inside: bool) -> Iterator[tuple[str, int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}" if function else node.name
        inside = False
    if isinstance(node, ast.With):
        inside = inside or any(_is_commit(item.context_expr) for item in node.items)
    if isinstance(node, ast.Call) and not inside and (what := _write(node)):
        yield function, node.lineno, what
    for child in ast.iter_child_nodes(node):
        yield from _writes(child, function, inside=inside)


def _is_commit(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Call) and _name(expression.func) == "commit"


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _write(call: ast.Call) -> str | None:
    name = _name(call.func)
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name in CALLS:
        # A set's or a hash's own update, a list's remove: nothing durable.
        common = ("update", "remove", "delete", "merge", "move", "link")
        return None if name in common and not _is_delta(owner) and owner not in ("os", "shutil") else name
    if name == "create" and owner == "DeltaTable":
        return "DeltaTable.create"
    if name == "replace" and (owner == "os" or (owner and len(call.args) == 1 and not call.keywords)):
        return f"{owner}.replace"
    if name == "open" and any(
        _writing(a) for a in [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    ):
        return "open"
    if (
        name == "execute"
        and call.args
        and _sql(call.args[0]).lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))
    ):
        return "execute"
    if name == "sql" and call.args and _changes_a_table(ast.unparse(call.args[0])):
        return "sql"
    return None


def _changes_a_table(statement: str) -> bool:
    """Of Spark's SQL, as the lake spells it: a statement of its own, or one made elsewhere."""
    return any(word in statement for word in ("ALTER TABLE", "INSERT ", "MERGE ", "table_ddl(", "merge", "DELETE "))


def _is_delta(owner: str) -> bool:
    return "table" in owner.lower()


def _writing(mode: ast.expr) -> bool:
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and bool({*mode.value} & {*"wax+"})


def _sql(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[0]
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


def escaped(root: Path) -> list[str]:
    """Each write outside a commit that nothing allows."""
    found = []
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root).as_posix()
        allowed = {prefix for part, names in ALLOWED.items() if place.startswith(part) for prefix in names}
        for function, line, what in writes(file):
            if not any(function == name or function.startswith(f"{name}." if name else "") for name in allowed):
                found.append(f"{place}:{line} {what} in {function or 'the module'}")
    return found


def test_every_durable_write_is_inside_a_commit() -> None:
    assert escaped(PACKAGE) == []


def test_every_exception_is_still_needed() -> None:
    for place, names in ALLOWED.items():
        files = sorted((PACKAGE / place).rglob("*.py")) if place.endswith("/") else [PACKAGE / place]
        found = {function for file in files for function, _, _ in writes(file)}
        for name in names:
            assert any(function.startswith(name) for function in found), (place, name)


@pytest.mark.parametrize(
    "line",
    [
        "write_deltalake(uri, rows)",
        "table.merge(rows, 'a = b')",
        "table.delete('a = 1')",
        "DeltaTable.create(uri, schema)",
        "DeltaTable(uri).optimize.compact()",
        "os.replace(a, b)",
        "path.replace(other)",
        "path.write_text('x')",
        "open(path, 'w')",
        "shutil.rmtree(path)",
        "connection.execute('DELETE FROM t')",
        "cursor.execute(f'INSERT INTO {t} VALUES (1)')",
    ],
)
def test_a_new_write_elsewhere_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "new.py").write_text(f"def step():\n    {line}\n")
    assert len(escaped(tmp_path)) == 1
    (tmp_path / "new.py").write_text(f"def step():\n    with commit('x'):\n        {line}\n")
    assert escaped(tmp_path) == []
