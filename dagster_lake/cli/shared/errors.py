"""How a command fails: one readable line and an exit code, never a traceback for what the user can mend."""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from dagster_lake.errors import LakeError

P = ParamSpec("P")
R = TypeVar("R")


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class CommandError(LakeError):
    """What stops a command; the message names the thing and the remedy."""


def readable_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turns the project's own errors and those of the operating system into one line and exit code 1, and Ctrl-C into
    exit code 130.

    Any other error is a mistake in the project, and its traceback is wanted.
    """

    @functools.wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            # `lake query ... | head` has seen enough; what is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except KeyboardInterrupt:
            tell("Interrupted; run it again to go on")
            raise SystemExit(INTERRUPTED) from None
        except (LakeError, OSError) as error:
            tell(str(error))
            raise SystemExit(1) from None

    return told


def tell(message: str) -> None:
    """Prints ``message`` as an error, without any secret that the settings or the message itself hold."""
    from rich.console import Console

    from dagster_lake.operations.telemetry.secret_values import masker

    message = masker()(message)
    console = Console(stderr=True)
    console.print("[bold red]Error:[/] ", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
