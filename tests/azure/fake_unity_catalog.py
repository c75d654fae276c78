"""A Databricks workspace's Unity Catalog on a local socket, for the real databricks-sdk.

It keeps what it is told, refuses what the real one refuses (overlapping locations, privileges that an object does not
have, masks by functions that do not exist), answers in pages and chunks, and has the errors' JSON form. SQL is read by
a small parser of its own, so that a statement which is not what Databricks takes fails here too.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
WAREHOUSE = "fake-warehouse"
_PAGE = 2
_CHUNK = 25
_UC = "/api/2.1/unity-catalog"
_PRIVILEGES = {
    "storage_credential": {"CREATE_EXTERNAL_LOCATION", "READ_FILES", "WRITE_FILES", "MANAGE"},
    "external_location": {"CREATE_EXTERNAL_TABLE", "CREATE_EXTERNAL_VOLUME", "READ_FILES", "WRITE_FILES", "MANAGE"},
    "catalog": {"USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "CREATE_SCHEMA", "ALL_PRIVILEGES", "MANAGE"},
    "schema": {"USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE", "EXTERNAL_USE_SCHEMA", "ALL_PRIVILEGES", "MANAGE"},
    "volume": {"READ_VOLUME", "WRITE_VOLUME", "ALL_PRIVILEGES", "MANAGE"},
    "table": {"SELECT", "MODIFY", "ALL_PRIVILEGES", "MANAGE"},
    "function": {"EXECUTE", "ALL_PRIVILEGES", "MANAGE"},
}

_IN_CATALOGS = ("schemas", "volumes", "functions", "tables")


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Fault:
    """Requests that match are refused, ``times`` times."""

    pattern: str
    refusal: Refused
    times: int = 1


@dataclass
class FakeUnityCatalog:
    """The workspace's state, open to the tests. ``files`` are the Delta tables on storage: columns by URL."""

    storage_credentials: dict[str, Json] = field(default_factory=dict)
    external_locations: dict[str, Json] = field(default_factory=dict)
    catalogs: dict[str, Json] = field(default_factory=dict)
    schemas: dict[str, Json] = field(default_factory=dict)
    volumes: dict[str, Json] = field(default_factory=dict)
    functions: dict[str, Json] = field(default_factory=dict)
    tables: dict[str, Json] = field(default_factory=dict)
    grants: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    principals: set[str] | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    statements: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._lock = threading.Lock()

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The workspace's address, for as long as the block lasts."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            url = urlsplit(handler.path)
            size = int(handler.headers.get("Content-Length") or 0)
            body = json.loads(handler.rfile.read(size) or b"{}")
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            try:
                with self._lock:
                    status, content = 200, self.answer(handler.command, unquote(url.path), query, body)
            except Refused as refused:
                status, content = refused.status, {"error_code": refused.code, "message": str(refused)}
            data = json.dumps(content).encode()
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer: two would wait for each other
            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        request = f"{method} {path} {body.get('statement', '')}".strip()
        self.requests.append(request)
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, request):
                fault.times -= 1
                raise fault.refusal
        if method != "GET" and not path.startswith("/api/2.0/sql"):
            self.writes.append(request)
        if path.startswith("/api/2.0/sql/statements"):
            return self._statements(method, path.removeprefix("/api/2.0/sql/statements").strip("/"), body)
        if not path.startswith(_UC):
            raise Refused(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")
        kind, _, name = path.removeprefix(_UC).strip("/").partition("/")
        if kind == "permissions":
            type_, _, name = name.partition("/")
            return self._permissions(method, type_.lower(), name, query, body)
        return self._objects(method, kind.replace("-", "_"), name, query, body)

    # ---- objects ----

    def _objects(self, method: str, kind: str, name: str, query: dict[str, str], body: Json) -> Json:
        every: dict[str, Json] = getattr(self, kind)
        if name:
            found = every.get(name)
            if found is None:
                what = kind.removesuffix("s").upper()
                raise Refused(404, f"{what}_DOES_NOT_EXIST", f"{what.title()} '{name}' does not exist.")
            if method == "PATCH":
                found.update(body)
            elif method == "DELETE":
                self._let_go(kind, name, query.get("force") == "true")
                del every[name]
                self.grants.pop((kind.removesuffix("s"), name), None)
                self.tags = {owner: tags for owner, tags in self.tags.items() if not f"{owner}.".startswith(f"{name}.")}
            return found
        if method == "GET" and kind == "external_locations":
            return _page(kind, [one for _, one in sorted(every.items())], query)
        if method == "GET":
            parent = ".".join(query[key] for key in ("catalog_name", "schema_name") if key in query)
            if parent.partition(".")[0] not in self.catalogs:
                raise Refused(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{parent}' does not exist.")
            inside = [one for full, one in sorted(every.items()) if full.rpartition(".")[0] == parent]
            return _page(kind, inside, query)
        full = ".".join(body[key] for key in ("catalog_name", "schema_name", "name") if key in body)
        if full in every:
            raise Refused(409, f"{kind.removesuffix('s').upper()}_ALREADY_EXISTS", f"'{full}' already exists")
        every[full] = getattr(self, f"_new_{kind.removesuffix('s')}")(body)
        return every[full]

    def _let_go(self, kind: str, name: str, force: bool) -> None:
        """What hangs on an object: it is in the way, or, with ``force``, a catalog takes its content along."""
        if kind == "catalogs":
            inside = [
                (part, full) for part in _IN_CATALOGS for full in getattr(self, part) if full.startswith(f"{name}.")
            ]
            if inside and not force:
                raise Refused(400, "INVALID_STATE", f"Catalog '{name}' is not empty.")
            for part, full in inside:
                del getattr(self, part)[full]
        users = {
            "storage_credentials": [one for one in self.external_locations.values() if one["credential_name"] == name],
            "external_locations": [
                one for one in self.tables.values() if one["storage_location"].startswith(self._url_of(kind, name))
            ],
        }.get(kind)
        if users and not force:
            raise Refused(400, "INVALID_STATE", f"'{name}' is in use.")

    def _url_of(self, kind: str, name: str) -> str:
        return str(self.external_locations[name]["url"]) if kind == "external_locations" else ""

    def _new_storage_credential(self, body: Json) -> Json:
        if "/accessConnectors/" not in body["azure_managed_identity"]["access_connector_id"]:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "not an access connector")
        return body

    def _new_external_location(self, body: Json) -> Json:
        if body["credential_name"] not in self.storage_credentials:
            raise Refused(404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST", f"'{body['credential_name']}' does not exist.")
        for name, other in self.external_locations.items():
            if _overlap(other["url"], body["url"]):
                message = f"Input path url '{body['url']}' overlaps with external location {name}"
                raise Refused(400, "LOCATION_OVERLAP", message)
        return {**body, "url": body["url"].rstrip("/") + "/"}

    def _new_catalog(self, body: Json) -> Json:
        self._covered(body["storage_root"])
        name = body["name"]
        for schema in ("default", "information_schema"):
            self.schemas[f"{name}.{schema}"] = {"name": schema, "catalog_name": name}
        return body

    def _new_schema(self, body: Json) -> Json:
        if body["catalog_name"] not in self.catalogs:
            raise Refused(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{body['catalog_name']}' does not exist.")
        return body

    def _new_volume(self, body: Json) -> Json:
        self._in_schema(f"{body['catalog_name']}.{body['schema_name']}")
        if body["volume_type"] == "MANAGED":
            return {**body, "storage_location": f"{self.catalogs[body['catalog_name']]['storage_root']}/__unitystorage"}
        self._free(body["storage_location"])
        return body

    def _in_schema(self, schema: str) -> None:
        if schema not in self.schemas:
            raise Refused(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{schema}' does not exist.")

    def _covered(self, url: str) -> None:
        if not any(f"{url}/".startswith(one["url"]) for one in self.external_locations.values()):
            raise Refused(403, "PERMISSION_DENIED", f"no external location covers '{url}'")

    def _free(self, url: str) -> None:
        self._covered(url)
        for name, one in [*self.volumes.items(), *self.tables.items()]:
            if _overlap(one["storage_location"], url):
                raise Refused(400, "LOCATION_OVERLAP", f"'{url}' overlaps with '{name}'")

    # ---- privileges ----

    def _permissions(self, method: str, type_: str, name: str, query: dict[str, str], body: Json) -> Json:
        if name not in getattr(self, f"{type_}s"):
            raise Refused(404, f"{type_.upper()}_DOES_NOT_EXIST", f"'{name}' does not exist.")
        granted = self.grants.get((type_, name), {})
        if method == "PATCH":
            for change in body["changes"]:
                who = change["principal"]
                if self.principals is not None and who not in self.principals:
                    raise Refused(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {who}")
                if unknown := {*change.get("add", ()), *change.get("remove", ())} - _PRIVILEGES[type_]:
                    message = f"Privilege {sorted(unknown)[0]} is not applicable to this entity"
                    raise Refused(400, "INVALID_PARAMETER_VALUE", message)
                kept = {*granted.get(who, ()), *change.get("add", ())} - {*change.get("remove", ())}
                granted.pop(who, None)
                if kept:
                    granted[who] = sorted(kept)
            self.grants[type_, name] = granted
        assignments = [{"principal": who, "privileges": granted[who]} for who in sorted(granted)]
        return _page("privilege_assignments", assignments, query)

    # ---- SQL ----

    def _statements(self, method: str, rest: str, body: Json) -> Json:
        if method == "GET":
            id_, _, chunk = rest.partition("/result/chunks/")
            done = self.statements[id_]
            if chunk:
                return _chunk(done["rows"], int(chunk))
            done["polls"] -= 1
            return self._statement_answer(id_, done)
        if body["warehouse_id"] != WAREHOUSE:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {body['warehouse_id']} does not exist.")
        number = next(self._ids)
        # The warehouse has to start first; later on some statements take longer than one request waits.
        done = {"polls": 2 if number % 50 == 1 else 0, "rows": [], "error": None}
        try:
            done["rows"] = _Statement(self, body["statement"]).run()
        except Refused as refused:
            done["error"] = {"error_code": "BAD_REQUEST", "message": f"[{refused.code}] {refused}"}
        self.statements[f"statement-{number}"] = done
        return self._statement_answer(f"statement-{number}", done)

    def _statement_answer(self, id_: str, done: Json) -> Json:
        if done["polls"] > 0:
            return {"statement_id": id_, "status": {"state": "PENDING" if done["polls"] > 1 else "RUNNING"}}
        if done["error"]:
            return {"statement_id": id_, "status": {"state": "FAILED", "error": done["error"]}}
        return {"statement_id": id_, "status": {"state": "SUCCEEDED"}, "result": _chunk(done["rows"], 0)}


_TOKEN = re.compile(r"\s+|(?P<name>`(?:[^`]|``)+`)|(?P<text>'(?:[^'\\]|\\.)*')|(?P<word>\w+)|(?P<sign>[(),.=<>])", re.S)


class _Statement:
    """One statement, read from left to right."""

    def __init__(self, workspace: FakeUnityCatalog, statement: str) -> None:
        self.workspace, self.statement = workspace, statement
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(statement):
            match = _TOKEN.match(statement, at)
            if match is None:
                # What follows RETURN is kept as it is.
                if self.tokens and any(token[1] == "RETURN" for token in self.tokens):
                    break
                raise Refused(400, "PARSE_SYNTAX_ERROR", f"Syntax error at or near {statement[at : at + 20]!r}")
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match[0], match.end()))
            at = match.end()
        self.at = 0

    def run(self) -> list[list[str]]:
        for words, run in _STATEMENTS:
            if [token[1] for token in self.tokens[: len(words)]] == words:
                self.at = len(words)
                rows = run(self)
                if words[0] not in ("SELECT", "DESCRIBE"):
                    self.workspace.writes.append(self.statement)
                if self.at != len(self.tokens):
                    raise self.unexpected()
                return rows or []
        raise self.unexpected()

    def unexpected(self) -> Refused:
        near = self.tokens[self.at][1] if self.at < len(self.tokens) else "end of input"
        return Refused(400, "PARSE_SYNTAX_ERROR", f"Syntax error at or near {near}: {self.statement}")

    def skip(self, *words: str) -> bool:
        if [token[1] for token in self.tokens[self.at : self.at + len(words)]] != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        if not self.skip(*words):
            raise self.unexpected()

    def take(self, kind: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            raise self.unexpected()
        self.at += 1
        value = self.tokens[self.at - 1][1]
        if kind == "name":
            return value[1:-1].replace("``", "`")
        return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value[1:-1]) if kind == "text" else value

    def full_name(self) -> str:
        parts = [self.take("name")]
        while self.skip("."):
            parts.append(self.take("name"))
        return ".".join(parts)

    def listed(self, item: Callable[[], Any]) -> list[Any]:
        self.expect("(")
        items = [item()]
        while self.skip(","):
            items.append(item())
        self.expect(")")
        return items

    def pair(self) -> tuple[str, str]:
        key = self.take("text")
        self.expect("=")
        return key, self.take("text")

    def table(self) -> Json:
        name = self.full_name()
        if name not in self.workspace.tables:
            raise Refused(404, "TABLE_OR_VIEW_NOT_FOUND", f"The table or view {name} cannot be found.")
        return self.workspace.tables[name]

    def column_definition(self) -> Json:
        column: Json = {"name": self.take("name"), "type_text": self.take("word")}
        if self.skip("<") or (column["type_text"] == "DECIMAL" and self.skip("(")):
            while not (self.skip(">") or self.skip(")")):
                self.at += 1
        column["nullable"] = not self.skip("NOT", "NULL")
        if self.skip("COMMENT"):
            column["comment"] = self.take("text")
        return column

    def create_table(self) -> None:
        workspace, name = self.workspace, self.full_name()
        columns = self.listed(self.column_definition) if self.tokens[self.at][1] == "(" else None
        self.expect("USING", "DELTA")
        if self.skip("PARTITIONED", "BY"):
            assert columns is not None
            partitions = self.listed(lambda: self.take("name"))
            assert {*partitions} <= {column["name"] for column in columns}
        self.expect("LOCATION")
        url = self.take("text")
        comment = self.take("text") if self.skip("COMMENT") else ""
        if self.skip("TBLPROPERTIES"):
            self.listed(self.pair)
        catalog, schema, table = name.split(".")
        workspace._in_schema(f"{catalog}.{schema}")
        workspace._free(url)
        if name in workspace.tables:
            raise Refused(409, "TABLE_OR_VIEW_ALREADY_EXISTS", name)
        if columns is not None and url in workspace.files:
            raise Refused(400, "DELTA_CREATE_TABLE_SCHEME_MISMATCH", f"The specified schema does not match {url}")
        if columns is None:
            # As the real one: without files it makes a table without columns, which is of no use to anybody.
            columns = [{"name": column} for column in workspace.files.get(url, [])]
        workspace.files[url] = [column["name"] for column in columns]
        workspace.tables[name] = {
            **{"name": table, "catalog_name": catalog, "schema_name": schema, "table_type": "EXTERNAL"},
            **{"data_source_format": "DELTA", "storage_location": url, "comment": comment, "columns": columns},
        }

    def create_function(self) -> None:
        name = self.full_name()
        self.expect("(", "value", "STRING", ")", "RETURNS", "STRING", "COMMENT")
        comment = self.take("text")
        self.expect("RETURN")
        catalog, schema, function = name.split(".")
        self.workspace._in_schema(f"{catalog}.{schema}")
        self.workspace.functions[name] = {
            **{"name": function, "catalog_name": catalog, "schema_name": schema, "comment": comment},
            "routine_definition": self.statement[self.tokens[self.at - 1][2] :].strip(),
        }
        self.at = len(self.tokens)

    def comment_on_table(self) -> None:
        table = self.table()
        self.expect("IS")
        table["comment"] = self.take("text")

    def alter(self, kind: str) -> None:
        start = self.at
        name = self.full_name()
        if name not in getattr(self.workspace, f"{kind}s"):
            raise Refused(404, "NOT_FOUND", f"{kind} {name} cannot be found")
        tagged = name
        if kind == "table" and self.skip("ALTER", "COLUMN"):
            wanted = self.take("name")
            at, self.at = self.at, start
            columns = {column["name"]: column for column in self.table()["columns"]}
            self.at = at
            if wanted not in columns:
                raise Refused(400, "UNRESOLVED_COLUMN", f"{name} has no column {wanted}")
            tagged = f"{name}.{wanted}"
            if self.change_column(columns[wanted]):
                return
        if self.skip("SET", "TAGS"):
            self.workspace.tags.setdefault(tagged, {}).update(dict(self.listed(self.pair)))
        else:
            self.expect("UNSET", "TAGS")
            for tag in self.listed(lambda: self.take("text")):
                self.workspace.tags.get(tagged, {}).pop(tag, None)

    def change_column(self, column: Json) -> bool:
        if self.skip("COMMENT"):
            column["comment"] = self.take("text")
        elif self.skip("SET", "MASK"):
            function = self.full_name()
            if function not in self.workspace.functions:
                raise Refused(404, "ROUTINE_NOT_FOUND", f"The routine {function} cannot be found")
            column["mask"] = {"function_name": function}
        elif self.skip("DROP", "MASK"):
            column.pop("mask", None)
        else:
            return False
        return True

    def describe_detail(self) -> list[list[str]]:
        url = self.take("name")
        if not any(f"{url}/".startswith(one["url"]) for one in self.workspace.external_locations.values()):
            raise Refused(403, "INSUFFICIENT_PERMISSIONS", f"no external location covers {url}")
        if url not in self.workspace.files:
            raise Refused(404, "DELTA_MISSING_DELTA_TABLE", f"{url} is not a Delta table.")
        return [["delta", url]]

    def select_tags(self) -> list[list[str]]:
        depth = self.statement.split(" FROM ")[0].count("_name") - 1  # without tag_name
        catalog = self.tokens[-1][1].strip("'")
        self.at = len(self.tokens)
        return [
            [*owner.split("."), tag, value]
            for owner, tags in self.workspace.tags.items()
            if owner.count(".") == depth - 1 and owner.split(".")[0] == catalog
            for tag, value in tags.items()
        ]


_STATEMENTS: list[tuple[list[str], Callable[[_Statement], list[list[str]] | None]]] = [
    (["CREATE", "TABLE"], _Statement.create_table),
    (["CREATE", "OR", "REPLACE", "FUNCTION"], _Statement.create_function),
    (["COMMENT", "ON", "TABLE"], _Statement.comment_on_table),
    (["ALTER", "TABLE"], lambda statement: statement.alter("table")),
    (["ALTER", "SCHEMA"], lambda statement: statement.alter("schema")),
    (["ALTER", "CATALOG"], lambda statement: statement.alter("catalog")),
    (["DESCRIBE", "DETAIL", "delta", "."], _Statement.describe_detail),
    (["SELECT"], _Statement.select_tags),
]


def _page(key: str, items: list[Json], query: dict[str, str]) -> Json:
    start = int(query.get("page_token", 0))
    more = {"next_page_token": str(start + _PAGE)} if start + _PAGE < len(items) else {}
    return {key: items[start : start + _PAGE], **more}


def _chunk(rows: list[list[str]], index: int) -> Json:
    start = index * _CHUNK
    more = {"next_chunk_index": index + 1} if start + _CHUNK < len(rows) else {}
    return {"chunk_index": index, "data_array": rows[start : start + _CHUNK], **more}


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)
