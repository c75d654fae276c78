"""Dagster Pipes over a volume: one folder a step, with its context going there and its messages coming back."""

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import dagster as dg
from dagster import PipesMessageReader
from dagster_pipes import PipesContextData, PipesMessage, PipesParams, encode_param

from dagster_lake.databricks.workspace import Workspace

log = logging.getLogger(__name__)


class Handler(Protocol):
    """Takes messages: Dagster's, or ours where there is no Dagster."""

    def handle_message(self, message: PipesMessage) -> None:
        """Takes one message."""
        ...


class StepFolder(PipesMessageReader):
    """The folder of one step, and what the step has told so far.

    Messages are read when ``pull`` is called, by the one loop that looks at the run as well. Dagster's own reader
    does it from a thread, in which an error of the workspace ends the reading and not the step.
    """

    def __init__(self, workspace: Workspace, root: str) -> None:
        self.workspace = workspace
        self.folder = f"{root}/{uuid.uuid4().hex}"
        self.messages = f"{self.folder}/messages"
        self.started = False
        self.closed = False
        self.error: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None
        self._read: set[str] = set()
        self._handler: Handler | None = None

    @contextmanager
    def session(self, context: dg.OpExecutionContext | None, extras: dict[str, Any]) -> Iterator[list[str]]:
        """Makes the folder and yields the arguments that tell a step of it; logs go to Dagster, if it is there.

        Not by Dagster's open_pipes_session: it obliges the asset to yield what Pipes would, and ours yield what every
        engine's results come to.
        """
        handler: Handler = _Log() if context is None else dg.PipesMessageHandler(context, self)
        path = f"{self.folder}/context.json"
        try:
            self.workspace.make_folder(self.messages)
            self.workspace.write(path, json.dumps(_context_data(context, extras)).encode())
            with self.read_messages(handler) as messages:
                context_argument, messages_argument = encode_param({"path": path}), encode_param(messages)
                yield [
                    *("--dagster-pipes-context", context_argument),
                    *("--dagster-pipes-messages", messages_argument),
                ]
        finally:
            self.workspace.forget(self.folder)

    @contextmanager
    def read_messages(self, handler: Handler) -> Iterator[PipesParams]:
        """Says where messages are to be written; ``pull`` hands them to ``handler``."""
        self._handler = handler
        yield {"path": self.messages}

    def pull(self) -> None:
        """Reads what the step has written since the last time."""
        assert self._handler is not None
        for name in self.workspace.names(self.messages):
            if name in self._read:
                continue
            text = self.workspace.read(f"{self.messages}/{name}").decode()
            if not text.endswith("\n"):
                break  # it is being written
            self._read.add(name)
            message = json.loads(text)
            self._note(message)
            self._handler.handle_message(message)

    def no_messages_debug_text(self) -> str:
        """What Dagster adds to its warning when the step never spoke."""
        return f"The step on Databricks would have written its messages to {self.messages}."

    def _note(self, message: PipesMessage) -> None:
        params = message["params"] or {}
        if message["method"] == "opened":
            # Databricks may have started the task again after a fault; what counts is how the last one ends.
            self.started, self.closed, self.error, self.result = True, False, None, None
        elif message["method"] == "report_custom_message":
            self.result = params["payload"]
        elif message["method"] == "closed":
            self.closed, self.error = True, params.get("exception")


class _Log:
    """Where there is no Dagster: what a step logs goes to Python's log."""

    def handle_message(self, message: PipesMessage) -> None:
        """Logs a line; Dagster's other messages mean nothing here."""
        if message["method"] == "log" and message["params"]:
            log.info("%s", message["params"]["message"])


def current_context() -> dg.OpExecutionContext | None:
    """The context of the Dagster step that this is called in, an asset's or a check's; None outside of one."""
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


def _context_data(context: dg.OpExecutionContext | None, extras: dict[str, Any]) -> PipesContextData:
    """The document that Pipes opens there. What a step is to do stands in ``extras`` alone."""
    return {
        "asset_keys": None,
        "code_version_by_asset_key": None,
        "provenance_by_asset_key": None,
        "partition_key": None,
        "partition_key_range": None,
        "partition_time_window": None,
        "run_id": context.run_id if context else "outside-dagster",
        "job_name": context.job_name if context else None,
        "retry_number": context.retry_number if context else 0,
        "extras": extras,
    }
