"""The entry point on Databricks, ``lake-step``: one step by its Pipes arguments, or a worker by its mailbox."""

import argparse
import logging
import sys
from collections.abc import Sequence

from dagster_pipes import (
    PipesContext,
    PipesMappingParamsLoader,
    PipesUnityCatalogVolumesContextLoader,
)

from dagster_lake.databricks.remote.document import read, written_result
from dagster_lake.databricks.remote.messages import FolderMessageWriter
from dagster_lake.databricks.remote.perform import perform
from dagster_lake.databricks.remote.worker import work_through


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the step, and raises what it raises; or steps from a mailbox, until there are no more."""
    parser = argparse.ArgumentParser(prog="lake-step", description=__doc__)
    parser.add_argument("--mailbox", help="the folder from which steps are taken")
    parser.add_argument("--idle-seconds", type=float, default=300, help="how long to wait for another step")
    known, rest = parser.parse_known_args(arguments)
    if known.mailbox is None:
        error = run_step(rest)
        if error is not None:
            raise error
    else:
        done = work_through(known.mailbox, known.idle_seconds, run_step)
        print(f"{done} step(s) done; nothing more to do")


def run_step(arguments: Sequence[str]) -> Exception | None:
    """Runs the step that the Pipes arguments describe; its result, or what it failed with, is told through Pipes.

    Raises what kept it from telling anything.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--dagster-pipes-context", required=True)
    parser.add_argument("--dagster-pipes-messages", required=True)
    known = parser.parse_args(arguments)
    loader = PipesMappingParamsLoader(
        {
            "DAGSTER_PIPES_CONTEXT": known.dagster_pipes_context,
            "DAGSTER_PIPES_MESSAGES": known.dagster_pipes_messages,
        }
    )
    # Not by open_dagster_pipes, which opens one context a process: a worker has many.
    context = PipesContext(loader, PipesUnityCatalogVolumesContextLoader(), FolderMessageWriter())
    try:
        with context as pipes:
            handler = _Forward(pipes)
            logging.getLogger("dagster_lake").addHandler(handler)
            logging.getLogger("dagster_lake").setLevel(logging.INFO)
            try:
                result = perform(read(pipes.extras["work"]), pipes.log.info)
            finally:
                logging.getLogger("dagster_lake").removeHandler(handler)
            pipes.report_custom_message(written_result(result))
    except Exception as error:
        return error
    return None


class _Forward(logging.Handler):
    """What the engine logs, on its way to Dagster."""

    def __init__(self, pipes: PipesContext) -> None:
        super().__init__(logging.INFO)
        self.pipes = pipes

    def emit(self, record: logging.LogRecord) -> None:
        self.pipes.log.log(record.levelno, record.getMessage())


if __name__ == "__main__":
    main(sys.argv[1:])
