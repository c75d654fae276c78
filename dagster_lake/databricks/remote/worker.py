"""A mailbox in a volume, from which one Databricks run takes step after step: a cluster starts once for all of them."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence

STOP = "stop"
LOOK_SECONDS = 1.0


def work_through(
    mailbox: str, idle_seconds: float, run: Callable[[Sequence[str]], object], look_seconds: float = LOOK_SECONDS
) -> int:
    """Runs what is put into ``mailbox``, in order, until told to stop or idle for ``idle_seconds``; gives how many.

    Each file there is a JSON list of arguments for ``run``, complete when it ends in a line's end. A step that fails
    has told so itself, and the next one is taken. The mailbox goes with the worker.
    """
    done: set[str] = set()
    last = time.monotonic()
    while time.monotonic() - last < idle_seconds:
        names = sorted(os.listdir(mailbox))
        waiting = [name for name in names if name.endswith(".json") and name not in done]
        arguments = _whole(f"{mailbox}/{waiting[0]}") if waiting else None
        if arguments is not None:
            run(arguments)
            done.add(waiting[0])
            last = time.monotonic()
        elif STOP in names:
            break
        else:
            time.sleep(look_seconds)
    shutil.rmtree(mailbox, ignore_errors=True)
    return len(done)


def _whole(file: str) -> list[str] | None:
    with open(file, encoding="utf-8") as opened:
        text = opened.read()
    return json.loads(text) if text.endswith("\n") else None
