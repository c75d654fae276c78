"""A deployment of main.bicep in Azure: found, started, watched, and its failure understood."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_lake.deploy.az import Az
from dagster_lake.deploy.az_failure import AzFailed, Problem, problem, remedy
from dagster_lake.deploy.errors import DeployError

POLL_SECONDS = 10.0
LONGEST_TROUBLE_SECONDS = 900.0
"""How long Azure may be out of reach or too busy, or not know what it has begun, before the waiting ends."""

_ENDED = ("Succeeded", "Failed", "Canceled")
_ABSENT = ("DeploymentNotFound", "ResourceNotFound")


@dataclass(frozen=True)
class Deployment:
    """One deployment as Azure has it. ``outputs`` are there once it succeeded."""

    name: str
    state: str
    outputs: Mapping[str, Any]
    problem: Problem | None

    @property
    def ended(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether everything was deployed."""
        return self.state == "Succeeded"


@dataclass(frozen=True)
class Operation:
    """A part of a deployment, which is a module or a resource. ``seconds`` is how long it took so far."""

    type: str
    name: str
    group: str
    state: str
    seconds: float
    problem: Problem | None

    @property
    def is_module(self) -> bool:
        """Whether it is a deployment of its own."""
        return self.type.lower() == "microsoft.resources/deployments"


def find(az: Az, name: str) -> Deployment | None:
    """The deployment, or None where Azure has none of that name. Raises AzFailed."""
    try:
        found = az.json("deployment", "sub", "show", "--name", name)
    except AzFailed as error:
        if error.code in _ABSENT:
            return None
        raise
    properties = found["properties"]
    outputs = {key: value["value"] for key, value in (properties.get("outputs") or {}).items()}
    wrong = properties.get("error")
    return Deployment(name, properties["provisioningState"], outputs, problem(wrong) if wrong else None)


def names(az: Az, prefix: str) -> list[tuple[str, str]]:
    """(name, state) of the deployments whose names begin so, the newest first."""
    query = (
        f"[?starts_with(name, '{prefix}')]"
        ".{name: name, state: properties.provisioningState, time: properties.timestamp}"
    )
    found = az.json("deployment", "sub", "list", "--query", query) or []
    return [(one["name"], one["state"]) for one in sorted(found, key=lambda one: one["time"], reverse=True)]


def running(az: Az, prefix: str) -> list[str]:
    """The names of those that are at work, the oldest first."""
    return [name for name, state in reversed(names(az, prefix)) if state not in _ENDED]


def start(az: Az, name: str, region: str, parameters: str) -> None:
    """Has Azure begin. Raises AzFailed where it refuses; where it cannot be known whether it began, it did not fail."""
    command = ("--name", name, "--location", region, "--parameters", parameters, "--no-wait")
    try:
        az.json("deployment", "sub", "create", *command)
    except AzFailed as error:
        if error.code != "DeploymentActive" and (not error.passing or find(az, name) is None):
            raise


def wait(az: Az, name: str, tell: Callable[[Operation, int, int], None]) -> Deployment:
    """Waits for the deployment's end.

    ``tell`` gets each part that ended, how many did so far, and how many are known. Raises DeployError when Azure
    cannot be asked for ``LONGEST_TROUBLE_SECONDS``.
    """
    told: set[tuple[str, str, str]] = set()
    answered = time.monotonic()
    while True:
        try:
            deployment = find(az, name)
            parts = operations(az, name) if deployment else []
            trouble = "" if deployment else f"Azure has no deployment {name}"
        except AzFailed as error:
            if not error.passing:
                raise
            deployment, parts, trouble = None, [], str(error)
        for part in parts:
            if part.state in _ENDED and (key := (part.type, part.group, part.name)) not in told:
                told.add(key)
                tell(part, len(told), len(parts))
        if deployment and deployment.ended:
            return deployment
        answered = answered if trouble else time.monotonic()
        if time.monotonic() - answered > LONGEST_TROUBLE_SECONDS:
            raise DeployError(f"{trouble}\nIf {name} runs on in Azure, the same command waits for it.")
        time.sleep(POLL_SECONDS)


def operations(az: Az, name: str, group: str = "") -> list[Operation]:
    """The parts of a deployment to the subscription, or of a module in a resource group."""
    scope = ("group", "list", "--resource-group", group) if group else ("sub", "list")
    found = az.json("deployment", "operation", *scope, "--name", name) or []
    return [part for one in found if (part := _operation(one["properties"])) is not None]


def explained(az: Az, deployment: Deployment) -> DeployError:
    """Why the deployment failed: Azure's words for each resource that did, and the remedy."""
    lines = list(_failures(az, operations(az, deployment.name)))
    if not lines and deployment.problem:
        lines = list(deployment.problem.lines())
    said = "\n".join(lines) or f"Azure says no more than {deployment.state}"
    return DeployError(f"the deployment {deployment.name} is {deployment.state}:\n{said}\n{remedy(said)}")


def _failures(az: Az, parts: list[Operation]) -> Iterator[str]:
    for part in parts:
        if part.state != "Failed":
            continue
        if part.is_module and part.group:
            inside = [one for one in operations(az, part.name, part.group) if one.state == "Failed"]
            if inside:
                yield from _failures(az, inside)
                continue
        yield f"{part.group + '/' if part.group else ''}{part.name} ({part.type})"
        if part.problem:
            yield from part.problem.lines("  ")


def _operation(properties: Mapping[str, Any]) -> Operation | None:
    target = properties.get("targetResource")
    if not target:
        return None  # the end of the deployment itself
    group = re.search(r"/resourceGroups/([^/]+)/", target["id"], re.I)
    message = properties.get("statusMessage") or {}
    error = message.get("error") if isinstance(message, Mapping) else {"message": str(message)}
    return Operation(
        target["resourceType"],
        target["resourceName"],
        group[1] if group else "",
        properties["provisioningState"],
        _seconds(properties.get("duration") or ""),
        problem(error) if error else None,
    )


def _seconds(duration: str) -> float:
    """Seconds of a duration as Azure writes it: PT1H2M3.4S."""
    found = re.fullmatch(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration)
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0,) * 4
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
