"""The Databricks workspace: its REST client, its SQL warehouse, and what its refusals mean."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster_lake.unity_catalog.errors import CatalogError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import StatementResponse

_LONGEST_POLL_SECONDS = 5.0
_DENIED = ("PERMISSION_DENIED", "INSUFFICIENT_PERMISSIONS", "INSUFFICIENT_PRIVILEGES")

_NEEDED = {
    "storage credential": "CREATE STORAGE CREDENTIAL on the metastore, or must own the credential",
    "external location": "CREATE EXTERNAL LOCATION on the metastore and on the storage credential, or must own it",
    "catalog": "CREATE CATALOG on the metastore, or must own the catalog",
    "schema": "to own the catalog or the schema",
    "function": "to own the catalog or the schema",
    "volume": "to own the schema, and CREATE EXTERNAL VOLUME on the external location",
    "table": "to own the table (or MANAGE on it), and CREATE EXTERNAL TABLE on the external location",
}


class StatementFailed(CatalogError):
    """The warehouse refused or failed a statement; the message is its own."""


class Workspace:
    """One workspace; who we are is found as for steps (``databricks/sign_in.py``)."""

    def __init__(self, client: "WorkspaceClient", warehouse_id: str) -> None:
        self.client = client
        self.warehouse_id = warehouse_id

    @classmethod
    def connect(cls, warehouse_id: str | None) -> "Workspace":
        """The workspace that the environment or ``~/.databrickscfg`` names.

        Raises CatalogError without the databricks extra, credentials or a warehouse.
        """
        if not warehouse_id:
            raise CatalogError(
                "no SQL warehouse is named, and tables, tags and masks need one; "
                "set LAKE_DATABRICKS_WAREHOUSE_ID, or warehouse_id in the YAML"
            )
        return cls(workspace_client(), warehouse_id)

    def sql(self, statement: str) -> list[list[str]]:
        """Runs one statement and returns its rows, as text. Raises StatementFailed with the warehouse's message."""
        from databricks.sdk.service.sql import ExecuteStatementRequestOnWaitTimeout, StatementState

        statements = self.client.statement_execution
        answer = statements.execute_statement(
            statement,
            self.warehouse_id,
            wait_timeout="30s",
            on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CONTINUE,
        )
        pause = 0.1
        while _state(answer) in (StatementState.PENDING, StatementState.RUNNING):
            time.sleep(pause)  # a warehouse that was stopped takes minutes to start
            pause = min(pause * 2, _LONGEST_POLL_SECONDS)
            answer = statements.get_statement(_id(answer))
        if _state(answer) != StatementState.SUCCEEDED:
            error = answer.status.error if answer.status else None
            told = error.message if error else f"the statement ended as {_state(answer)}"
            raise StatementFailed(told or "the warehouse gave no reason")
        rows, part = [], answer.result
        while part is not None:
            rows += part.data_array or []
            if part.next_chunk_index is None:
                break
            part = statements.get_statement_result_chunk_n(_id(answer), part.next_chunk_index)
        return rows

    def grants(self, kind: str, name: str) -> dict[str, frozenset[str]]:
        """The object's own privileges by principal."""
        # Not through the client's classes: those leave out every privilege that is newer than they are.
        found: dict[str, frozenset[str]] = {}
        query: dict[str, Any] = {}
        while True:
            page = self._permissions("GET", kind, name, query=query)
            for one in page.get("privilege_assignments", []):
                found[one["principal"]] = frozenset(p.replace(" ", "_") for p in one.get("privileges", []))
            if not page.get("next_page_token"):
                return found
            query = {"page_token": page["next_page_token"]}

    def change_grants(
        self, kind: str, name: str, add: Mapping[str, list[str]], remove: Mapping[str, list[str]]
    ) -> None:
        """Gives and takes privileges by principal; all others stay."""
        changes = [
            {"principal": principal, "add": add.get(principal, []), "remove": remove.get(principal, [])}
            for principal in sorted({*add, *remove})
        ]
        self._permissions("PATCH", kind, name, body={"changes": changes})

    def _permissions(self, method: str, kind: str, name: str, **request: Any) -> dict[str, Any]:
        path = f"/api/2.1/unity-catalog/permissions/{kind.replace(' ', '_')}/{name}"
        answer = self.client.api_client.do(method, path, headers={"Accept": "application/json"}, **request)
        assert isinstance(answer, dict)
        return answer


def workspace_client() -> "WorkspaceClient":
    """The REST client of the workspace that the environment or ``~/.databrickscfg`` names.

    Raises CatalogError without the databricks extra or credentials.
    """
    try:
        from databricks.sdk import WorkspaceClient

        from dagster_lake.databricks.sign_in import workspace_config
    except ImportError:
        raise CatalogError(
            "the catalog commands need Databricks' client; install it: pip install 'dagster-lake[databricks]'"
        ) from None
    try:
        return WorkspaceClient(config=workspace_config())
    except ValueError as error:
        raise CatalogError(
            f"no way into Databricks: {str(error).splitlines()[0]}; set DATABRICKS_HOST and log in "
            "(`az login`, `databricks auth login`), or set the variables of a service principal"
        ) from None


@contextmanager
def explained(what: str, kind: str) -> Iterator[None]:
    """Turns a refusal into a CatalogError that says ``what`` was tried and what helps."""
    from databricks.sdk.errors import DatabricksError, PermissionDenied, Unauthenticated

    try:
        yield
    except Unauthenticated as error:
        raise CatalogError(
            f"{what}: Databricks does not know who we are: {error}; log in again (`az login`, `databricks auth login`)"
        ) from error
    except (DatabricksError, StatementFailed) as error:
        told = " ".join(str(error).split()).partition(" Config: host=")[0]  # the client says how it logged in, too
        if isinstance(error, PermissionDenied) or any(code in told for code in _DENIED):
            raise CatalogError(
                f"{what}: not permitted: {told}; whoever runs this needs {_NEEDED[kind]}: "
                "ask a metastore admin for it, or to run this command"
            ) from error
        if "PRINCIPAL_DOES_NOT_EXIST" in told or getattr(error, "error_code", "") == "PRINCIPAL_DOES_NOT_EXIST":
            raise CatalogError(
                f"{what}: {told}; make the group or service principal in the account console and assign it to the "
                "workspace, or correct the YAML"
            ) from error
        raise CatalogError(
            f"{what}: {told}; mend that and run `lake catalog apply` again, it goes on from there"
        ) from error
    except OSError as error:  # a lost connection, after the client's own retries
        raise CatalogError(
            f"{what}: the workspace does not answer: {error}; run `lake catalog apply` again, it goes on from there"
        ) from error


def _state(answer: "StatementResponse") -> Any:
    return answer.status.state if answer.status else None


def _id(answer: "StatementResponse") -> str:
    assert answer.statement_id is not None
    return answer.statement_id
