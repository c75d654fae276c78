"""Stands in for the Azure CLI: the commands that `lake deploy` uses, with their options, answers and failures.

What a deployment holds is worked out of infra/bicep by the reader of the other tests, so that a what-if is a real
comparison with what was deployed before. The world is a folder, made and changed by ``FakeAzure``; each call of the
program is a process that reads it, answers, and leaves it as it is then.
"""

import argparse
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tests.azure.azure_ids import SUBSCRIPTION, TENANT

if TYPE_CHECKING:
    from tests.azure.bicep_deployment import Deployment

PROVIDERS_QUERY = "[?registrationState=='Registered'].namespace"
ENDED = ("Succeeded", "Failed", "Canceled")
WORLD: dict[str, Any] = {
    "version": "2.80.0",
    "bicep": "Bicep CLI version 0.39.26 (1e90b06e40)",
    "accounts": {SUBSCRIPTION: {"tenantId": TENANT, "name": "Lake dev", "state": "Enabled"}},
    "regions": ["northeurope", "swedencentral", "westeurope", "westus"],
    "registered": ["Microsoft.Authorization", "Microsoft.Storage"],
    "resources": {},
    "deployments": {},
    "next": [],
    "failures": [],
    "workspace": "adb-1.2.azuredatabricks.net",
}
"""The world as it is before anything happened.

``next`` says how the deployments to come go: how many times each is asked for before it ends (``polls``; -1 for never),
and what ``fails``. ``failures`` are commands that fail: ``command``, ``stderr``, ``exit``, how many ``times``, and
whether what was asked for is done all the same (``done``).
"""


class FakeAzure:
    """The world as tests see it, and a program called az that lives in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.change(**WORLD)
        self.bin = folder / "bin"
        self.bin.mkdir()
        program = self.bin / "az"
        root = Path(__file__).parents[2]
        variables = f'FAKE_AZURE="{folder}" PYTHONPATH="{root}"'
        program.write_text(f'#!/bin/sh\n{variables} exec "{sys.executable}" -S -m tests.azure.fake_az "$@"\n')
        program.chmod(0o755)

    @property
    def world(self) -> dict[str, Any]:
        """Everything there is."""
        with opened(self.folder) as world:
            return world

    def change(self, **changes: Any) -> None:
        """Sets parts of the world."""
        with opened(self.folder) as world:
            world.update(changes)

    def end(self, name: str) -> None:
        """Has a deployment that runs for ever end when it is next asked for."""
        with opened(self.folder) as world:
            world["deployments"][name]["polls"] = 0

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call, in order."""
        log = self.folder / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def called(self, command: str) -> list[list[str]]:
        """The calls of one command."""
        words = command.split()
        return [call for call in self.calls if call[: len(words)] == words]


@contextmanager
def opened(folder: Path) -> Iterator[dict[str, Any]]:
    """The world, alone, and written back afterwards, whatever happened meanwhile."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / "world.json"
        world = json.loads(file.read_text()) if file.exists() else {}
        try:
            yield world
        finally:
            whole = file.with_suffix(".new")  # a test kills at any moment
            whole.write_text(json.dumps(world))
            whole.replace(file)


def broken(code: str, message: str) -> str:
    """What the Azure CLI 2.91 prints when Azure refuses to begin a deployment: its own mistake around Azure's error."""
    again = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    start = 'Traceback (most recent call last):\n  File "azure/cli/core/commands/__init__.py", line 789, in _run_job\n'
    return (
        "The command failed with an unexpected error. Here is the traceback:\n"
        f"ERROR: The content for this response was already consumed\n{start}"
        f"azure.core.exceptions.ResourceExistsError: ({code}) {message}\nCode: {code}\nMessage: {message}{again}{start}"
        f"AttributeError: 'NoneType' object has no attribute 'error'{again}{start}"
        "RuntimeError: The content for this response was already consumed\n"
        "To check existing issues, please visit: https://github.com/Azure/azure-cli/issues"
    )


class Refused(Exception):
    """How az ends when it fails."""

    def __init__(self, stderr: str, code: int = 1) -> None:
        super().__init__(stderr)
        self.code = code


def main(arguments: list[str]) -> None:
    """Answers one call."""
    folder = Path(os.environ["FAKE_AZURE"])
    with opened(folder) as world, (folder / "calls").open("a") as log:
        log.write(json.dumps(arguments) + "\n")
    try:
        command, options = _parsed(arguments)
        _hang(folder, command)
        with opened(folder) as world:
            answer = _answered(world, command, options)
    except Refused as refused:
        print(f"ERROR: {refused}", file=sys.stderr)
        sys.exit(refused.code)
    if command == "bicep version":
        print(answer)  # as Bicep itself prints it
    elif answer is not None:
        print(json.dumps(answer, indent=2))


def _hang(folder: Path, command: str) -> None:
    """Where a test has put a pipe of the command's name, waits until it writes to it."""
    pipe = folder / command.replace(" ", "-")
    if pipe.exists():
        pipe.read_text()


def _answered(world: dict[str, Any], command: str, options: argparse.Namespace) -> Any:
    for failure in world["failures"]:
        if command == failure["command"] and failure["times"]:
            failure["times"] -= 1
            if failure.get("done"):
                _COMMANDS[command][0](world, options)
            raise Refused(failure["stderr"], failure.get("exit", 1))
    if command not in ("version", "bicep version"):
        _account(world, options)
    return _COMMANDS[command][0](world, options)


# ---- the commands ----


def _version(world: dict[str, Any], options: argparse.Namespace) -> Any:
    return {"azure-cli": world["version"], "azure-cli-core": world["version"], "extensions": {}}


def _bicep_version(world: dict[str, Any], options: argparse.Namespace) -> Any:
    if world["bicep"] is None:
        raise Refused('Bicep CLI not found. Install it now by running "az bicep install".')
    return world["bicep"]


def _account(world: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    if not world["accounts"]:
        raise Refused("Please run 'az login' to setup account.")
    if options.subscription not in world["accounts"]:
        raise Refused(f"Subscription '{options.subscription}' not found. Check the spelling and casing and try again.")
    user = {"name": "somebody@example.com", "type": "user"}
    return {"id": options.subscription, "user": user, **world["accounts"][options.subscription]}


def _regions(world: dict[str, Any], options: argparse.Namespace) -> Any:
    assert options.query == "value[].name"
    assert options.url == f"/subscriptions/{options.subscription}/locations?api-version=2022-12-01"
    return world["regions"]


def _providers(world: dict[str, Any], options: argparse.Namespace) -> Any:
    assert options.query == PROVIDERS_QUERY
    return world["registered"]


def _register(world: dict[str, Any], options: argparse.Namespace) -> None:
    world["registered"] = sorted({*world["registered"], options.namespace})


def _resource(world: dict[str, Any], options: argparse.Namespace) -> Any:
    assert options.query == "properties.workspaceUrl"
    if options.ids not in world["resources"]:
        raise Refused("(ResourceNotFound) The Resource was not found.\nCode: ResourceNotFound", 3)
    return world["workspace"]


def _what_if(world: dict[str, Any], options: argparse.Namespace) -> Any:
    before, after = world["resources"], _bodies(_lake(options))
    changes: list[dict[str, Any]] = []
    for id_, body in after.items():
        type_ = body["type"]
        if ".outputs." in id_:
            why = "Changes to the resource cannot be analyzed because its resource ID cannot be calculated"
            name = f"[resourceId('{type_}', reference('identities').outputs)]"
            changes.append({"resourceId": name, "changeType": "Unsupported", "unsupportedReason": why})
        elif id_ not in before:
            changes.append({"resourceId": id_, "changeType": "Create", "before": None, "after": body, "delta": None})
        else:
            delta = _delta(before[id_], body)
            kind = "Modify" if delta else "NoChange"
            changes.append(
                {"resourceId": id_, "changeType": kind, "before": before[id_], "after": body, "delta": delta}
            )
    changes += [{"resourceId": id_, "changeType": "Ignore"} for id_ in before if id_ not in after]
    return {"status": "Succeeded", "error": None, "changes": changes}


def _create(world: dict[str, Any], options: argparse.Namespace) -> None:
    old = world["deployments"].get(options.name)
    if old and old["state"] not in ENDED:
        raise Refused(
            broken("DeploymentActive", f"Unable to edit or replace deployment '{options.name}': it is active.")
        )
    lake = _lake(options)
    modules = [one for one in lake.modules.values() if one.name != "main"]
    world["deployments"][options.name] = {
        "state": "Running",
        "time": datetime.now(UTC).isoformat(),
        "asked": 0,
        "modules": [[one.name, one.scope] for one in modules],
        "resources": _bodies(lake),
        "outputs": {name: {"type": "String", "value": value} for name, value in lake.outputs.items()},
        **{"polls": 1, "fails": None, **(world["next"].pop(0) if world["next"] else {})},
    }


def _list(world: dict[str, Any], options: argparse.Namespace) -> Any:
    form = (
        r"\[\?starts_with\(name, '([\w-]+)'\)\]"
        r"\.\{name: name, state: properties\.provisioningState, time: properties\.timestamp\}"
    )
    found = re.fullmatch(form, options.query)
    assert found, options.query
    return [
        {"name": name, "state": one["state"], "time": one["time"]}
        for name, one in world["deployments"].items()
        if name.startswith(found[1])
    ]


def _show(world: dict[str, Any], options: argparse.Namespace) -> Any:
    deployment = world["deployments"].get(options.name)
    if deployment is None:
        raise Refused(
            f"(DeploymentNotFound) Deployment '{options.name}' could not be found.\nCode: DeploymentNotFound\n"
            f"Message: Deployment '{options.name}' could not be found.",
            3,
        )
    if deployment["state"] not in ENDED and deployment["asked"] >= deployment["polls"] >= 0:
        fails = deployment["fails"]
        deployment["state"] = "Failed" if fails else "Succeeded"
        left_out = fails["resource"] if fails else None
        done = {id_: body for id_, body in deployment["resources"].items() if id_.split("/")[-1] != left_out}
        world["resources"].update(done)
    deployment["asked"] += 1
    error = {"code": "DeploymentFailed", "message": "At least one resource deployment operation failed."}
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/deployments/{options.name}",
        "location": "westeurope",
        "name": options.name,
        "properties": {
            "provisioningState": deployment["state"],
            "timestamp": deployment["time"],
            "outputs": deployment["outputs"] if deployment["state"] == "Succeeded" else None,
            "error": {**error, "details": []} if deployment["state"] == "Failed" else None,
        },
    }


def _operations(world: dict[str, Any], options: argparse.Namespace) -> Any:
    deployment = world["deployments"][options.name]
    ended = deployment["state"] in ENDED
    share = 1.0 if ended else deployment["asked"] / max(deployment["polls"] + 1, deployment["asked"] + 1)
    modules = deployment["modules"]
    found = []
    for index, (name, scope) in enumerate(modules):
        done = index < len(modules) * share
        failed = done and ended and bool(deployment["fails"]) and deployment["fails"]["module"] == name
        found.append(
            _operation(
                "Microsoft.Resources/deployments",
                f"{scope}/providers/Microsoft.Resources/deployments/{name}",
                "Failed" if failed else "Succeeded" if done else "Running",
                {"code": "DeploymentFailed", "message": "See inner errors.", "details": []} if failed else None,
            )
        )
    end = {
        "provisioningOperation": "EvaluateDeploymentOutput",
        "provisioningState": "Succeeded",
        "targetResource": None,
    }
    return [*found, *([{"properties": end}] if ended else [])]


def _group_operations(world: dict[str, Any], options: argparse.Namespace) -> Any:
    for deployment in world["deployments"].values():
        fails = deployment["fails"]
        if fails and fails["module"] == options.name:
            id_ = next(id_ for id_ in deployment["resources"] if id_.split("/")[-1] == fails["resource"])
            assert f"/resourceGroups/{options.resource_group}/" in id_
            return [_operation(deployment["resources"][id_]["type"], id_, "Failed", fails["error"])]
    return []


def _operation(type_: str, id_: str, state: str, error: Any) -> dict[str, Any]:
    return {
        "id": "...",
        "properties": {
            "duration": "PT1M35.2S",
            "provisioningOperation": "Create",
            "provisioningState": state,
            "statusMessage": {"status": "Failed", "error": error} if error else None,
            "targetResource": {"id": id_, "resourceName": id_.split("/")[-1], "resourceType": type_},
        },
    }


# ---- what infra/bicep asks for ----


def _lake(options: argparse.Namespace) -> "Deployment":
    from tests.azure.bicep_deployment import Deployment

    file = Path(options.parameters)
    folder = file.parents[1]
    return Deployment(folder, file.relative_to(folder).as_posix(), environment=os.environ)


def _bodies(lake: "Deployment") -> dict[str, Any]:
    return {one.id: {"type": one.type, **json.loads(json.dumps(one.body))} for one in lake.resources}


def _delta(before: Any, after: Any) -> list[dict[str, Any]]:
    """The differences as a what-if has them: nested in objects, arrays as a whole."""
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            entry = {"path": key, "propertyChangeType": "Modify", "children": _delta(old, new)}
        else:
            kind = "Create" if key not in before else "Delete" if key not in after else "Modify"
            entry = {"path": key, "propertyChangeType": kind, "before": old, "after": new, "children": None}
        found.append(entry)
    return found


# ---- the command line ----

_HERE = ("--subscription", "--output")
_DEPLOYING = ("--name", "--location", "--parameters")
_COMMANDS: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...]]] = {
    "version": (_version, ("--output",), ()),
    "bicep version": (_bicep_version, (), ()),
    "account show": (_account, _HERE, ()),
    "rest": (_regions, (*_HERE, "--method", "--url", "--query"), ()),
    "provider list": (_providers, (*_HERE, "--query"), ()),
    "provider register": (_register, (*_HERE, "--namespace"), ("--wait",)),
    "resource show": (_resource, (*_HERE, "--ids", "--query"), ()),
    "deployment sub what-if": (_what_if, (*_HERE, *_DEPLOYING), ("--no-pretty-print",)),
    "deployment sub create": (_create, (*_HERE, *_DEPLOYING), ("--no-wait",)),
    "deployment sub show": (_show, (*_HERE, "--name"), ()),
    "deployment sub list": (_list, (*_HERE, "--query"), ()),
    "deployment operation sub list": (_operations, (*_HERE, "--name"), ()),
    "deployment operation group list": (_group_operations, (*_HERE, "--name", "--resource-group"), ()),
}
"""Each command with the options that take a value, all of which are wanted here, and the flags."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}\n\nhttps://aka.ms/cli_ref", 2)


def _parsed(arguments: list[str]) -> tuple[str, argparse.Namespace]:
    words = arguments[: next((i for i, one in enumerate(arguments) if one[0] == "-"), None)]
    command = " ".join(words)
    if command not in _COMMANDS:
        raise Refused(f"'{command}' is misspelled or not recognized by the system.", 2)
    _, options, flags = _COMMANDS[command]
    parser = _Parser(prog="az", allow_abbrev=False, add_help=False)
    for option in options:
        parser.add_argument(option, required=True)
    for flag in flags:
        parser.add_argument(flag, action="store_true", required=True)
    return command, parser.parse_args(arguments[len(words) :])


if __name__ == "__main__":
    main(sys.argv[1:])
