"""One deployment from beginning to end, taken up where a run before this one was cut off."""

from typing import Protocol

from dagster_lake import clock
from dagster_lake.deploy import state
from dagster_lake.deploy.deployment import Deployment, Operation, explained, find, names, running, start, wait
from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.preflight import register, unregistered
from dagster_lake.deploy.state import State
from dagster_lake.deploy.target import Target
from dagster_lake.deploy.what_if import Change, what_if


class Person(Protocol):
    """Who is told of the steps, and asked before what changes something."""

    def told(self, text: str) -> None:
        """A line of progress."""

    def told_of(self, part: Operation, ended: int, known: int) -> None:
        """A part of the deployment that ended."""

    def registers(self, providers: list[str]) -> bool:
        """Whether these may be registered."""

    def agrees(self, changes: list[Change]) -> bool:
        """Whether these changes may be made."""


def deployed(target: Target, person: Person) -> Deployment | None:
    """The deployment that has everything as the file says it; None when the person did not agree.

    What is at work in Azure already is waited for. Raises DeployError, also when the deployment fails.
    """
    name = _begun(target, person)
    if name and (before := find(target.az, name)) is not None:
        if before.succeeded and (latest := newest(target)) is not None and latest.name == name:
            person.told(f"{name} has succeeded")
            return before
        if before.succeeded:
            person.told(f"{name} has succeeded, and another deployment since: looking anew")
        else:
            person.told(f"Trying again, since {explained(target.az, before)}")
        name = None
    if not _registered(target, person):
        return None
    person.told("Asking Azure what would change, which takes a minute or two")
    fresh = name or f"{target.prefix}{target.fingerprint}-{clock.utc_now():%Y%m%dT%H%M%SZ}"
    changes = what_if(target.az, fresh, target.lake.region, target.parameters_file)
    latest = newest(target)
    if latest is not None and not differs(target, changes, latest):
        person.told(f"Nothing to deploy: everything is as {latest.name} left it")
        _agreed(target, latest.name)
        return latest
    if not person.agrees(changes):
        return None
    return _carried_out(target, fresh, person)


def differs(target: Target, changes: list[Change], latest: Deployment | None) -> bool:
    """Whether there is something to deploy.

    Of some resources Azure can never tell; they are as wanted when exactly this was deployed last.
    """
    exactly_this = latest is not None and latest.name.startswith(f"{target.prefix}{target.fingerprint}-")
    return not exactly_this or any(change.sign != "?" for change in changes)


def newest(target: Target) -> Deployment | None:
    """The environment's last deployment that succeeded, if there is one."""
    succeeded = (name for name, found in names(target.az, target.prefix) if found == "Succeeded")
    name = next(succeeded, None)
    return find(target.az, name) if name else None


def finish(target: Target, deployment: Deployment) -> None:
    """Remembers that nothing is left to do after the deployment."""
    state.remember(
        target.state_file,
        State(
            subscription=target.az.subscription,
            deployment=deployment.name,
            fingerprint=target.fingerprint,
            finished=True,
        ),
    )


def _begun(target: Target, person: Person) -> str | None:
    """The name of the deployment of exactly this that was agreed to and whose steps are not all done.

    Waits for whatever is at work, since Azure would refuse another one beside it.
    """
    last = state.load(target.state_file)
    mine = last.deployment if last and not last.finished and _is_of(last, target) else None
    for name in running(target.az, target.prefix):
        person.told(f"{name} is at work in Azure; waiting for it")
        ended = wait(target.az, name, person.told_of)
        if name.startswith(f"{target.prefix}{target.fingerprint}-"):
            mine = name  # begun by another machine, perhaps
        elif not ended.succeeded:
            person.told(f"It ended as {ended.state}. It was of other files than these, and is left at that.")
    return mine


def _is_of(last: State, target: Target) -> bool:
    return (last.subscription, last.fingerprint) == (target.az.subscription, target.fingerprint)


def _registered(target: Target, person: Person) -> bool:
    missing = unregistered(target.az)
    if missing and not person.registers(missing):
        return False
    for provider in missing:
        person.told(f"Registering {provider}")
        register(target.az, provider)
    return True


def _carried_out(target: Target, name: str, person: Person) -> Deployment:
    if others := [one for one in running(target.az, target.prefix) if one != name]:
        raise DeployError(f"{others[0]} began meanwhile; run the same command again: it waits for it and looks anew")
    # Before Azure is asked: whoever comes after a kill at any moment finds the deployment by its name.
    _agreed(target, name)
    person.told(f"Deploying {name}; it runs on in Azure if this is ended, and the same command waits for it")
    start(target.az, name, target.lake.region, target.parameters_file)
    deployment = wait(target.az, name, person.told_of)
    if not deployment.succeeded:
        raise explained(target.az, deployment)
    return deployment


def _agreed(target: Target, name: str) -> None:
    state.remember(
        target.state_file, State(subscription=target.az.subscription, deployment=name, fingerprint=target.fingerprint)
    )
