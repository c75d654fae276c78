"""What the Azure CLI says when it fails: its own words, and what to do about them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_lake.deploy.errors import DeployError


@dataclass(frozen=True)
class Problem:
    """An error as Azure gives it, and those that it is made of."""

    code: str
    message: str
    inner: tuple["Problem", ...] = ()

    def innermost(self) -> Iterator["Problem"]:
        """The errors at the bottom, which say what is wrong."""
        if not self.inner:
            yield self
        for one in self.inner:
            yield from one.innermost()

    def lines(self, indent: str = "") -> Iterator[str]:
        """All of them, one a line, those within indented."""
        yield f"{indent}{self.code + ': ' if self.code else ''}{' '.join(self.message.split())}"
        for one in self.inner:
            yield from one.lines(indent + "  ")


class AzFailed(DeployError):
    """A command of the Azure CLI failed."""

    def __init__(self, arguments: Sequence[str], code: str, message: str, problems: Sequence[Problem]) -> None:
        self.code, self.problems = code, tuple(problems)
        self.said = "\n".join(line for one in problems for line in one.lines()) if problems else message
        super().__init__(f"az {_command(arguments)}: {self.said}\n{remedy(self.said)}")

    @property
    def passing(self) -> bool:
        """Whether it may go by itself: Azure is busy, or the line was cut."""
        return re.search(_PASSING, self.said, re.I) is not None


def failure(arguments: Sequence[str], stderr: str) -> AzFailed:
    """The error of a command that printed ``stderr``."""
    problems = tuple(_problems(stderr))
    code = next((one.code for problem in problems for one in problem.innermost() if one.code), "")
    return AzFailed(arguments, code, stderr.strip() or "it failed without a word", problems)


def problem(error: Mapping[str, Any]) -> Problem:
    """An error of Azure's REST interface; messages that hold another error as text are opened."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    inner = [problem(one) for one in error.get("details") or () if isinstance(one, Mapping)]
    if opened := _opened(message):
        nested = opened.get("error", opened)
        if isinstance(nested, Mapping) and nested.get("message"):
            below = problem(nested)
            message, inner = below.message, [*below.inner, *inner]
            code = below.code or code
    return Problem(code, message, tuple(inner))


_TRACEBACK = "Traceback (most recent call last):"
_PASSING = (
    r"TooManyRequests|Throttled|\b429\b|ServiceUnavailable|GatewayTimeout|InternalServerError"
    r"|Connection (aborted|reset)|ConnectionError|Max retries exceeded|timed? ?out|Failed to (resolve|establish)"
    r"|Temporary failure"
)
_REMEDIES = (
    (r"az login|AADSTS\d+|refresh token|InvalidAuthenticationToken|ExpiredAuthenticationToken", "log in: az login"),
    (
        r"SubscriptionNotFound|doesn't exist in cloud|Subscription '.*' not (found|recognized)|InvalidSubscriptionId",
        "log in to the subscription's tenant (az login --tenant ...), or correct `subscription` in lake.yaml",
    ),
    (
        r"AuthorizationFailed|RoleAssignmentUpdateNotPermitted|does not have (permission|authorization)",
        "you need Owner on the subscription, or Contributor with Role Based Access Control Administrator; a right that "
        "was just given takes some minutes",
    ),
    (
        r"Bicep CLI not found|executable on PATH",
        "install Bicep: az bicep install",
    ),
    (
        r"\bBCP\d+|InvalidTemplate\b",
        "the templates and this Bicep do not fit: az bicep upgrade; if that is no help, it is a mistake in infra/bicep",
    ),
    (
        r"DeploymentActive|AnotherOperationInProgress",
        "another deployment is at work; run lake deploy apply again, which waits for it",
    ),
    (
        r"RequestDisallowedByPolicy",
        "a policy of the subscription or of this project forbids it; its name is above",
    ),
    (
        r"SkuNotAvailable|LocationNotAvailable|LocationIsOfferRestricted|NotAvailableForSubscription|InvalidLocation",
        "the region or the subscription does not have it: another `region` or size in lake.yaml, or ask Azure for it",
    ),
    (
        r"Quota|LimitExceeded",
        "the subscription's quota is used up: a smaller size in lake.yaml, or ask Azure for more",
    ),
    (
        r"RoleAssignmentExists",
        "the assignment is there under another name, as of an identity that was made anew: delete it in Azure first",
    ),
    (
        r"VaultAlreadyExists|soft.?delete|ConflictError",
        "a key vault of that name was deleted and is kept: az keyvault recover",
    ),
    (
        r"PrincipalNotFound",
        "an identity was made a moment ago and is not known everywhere; run lake deploy apply again in a few minutes",
    ),
    (
        r"streaming job|StreamingJob|JobState",
        "stop the Stream Analytics job first (docs/azure.md, Deploying again)",
    ),
    (_PASSING, "Azure or the line was busy; run it again in a few minutes, and it goes on from there"),
)


def remedy(said: str) -> str:
    """What to do about an error that says this."""
    for pattern, advice in _REMEDIES:
        if re.search(pattern, said, re.I):
            return f"-> {advice}"
    return "-> mend what it names and run it again, which goes on from there"


def _command(arguments: Sequence[str]) -> str:
    """The words of a command up to its first option."""
    words = []
    for one in arguments:
        if one.startswith("-"):
            break
        words.append(one)
    return " ".join(words)


def _problems(stderr: str) -> Iterator[Problem]:
    """The errors in what az prints, which has one form for each of the ways in which it gets them."""
    text = "\n".join(line for line in stderr.splitlines() if not line.startswith("WARNING:"))
    text = text.strip().removeprefix("ERROR:").strip()
    if not text:
        return
    if _TRACEBACK in text:
        yield _in_traceback(text)
        return
    outer, *inner = re.split(r"\s*Inner Errors:\s*", text)
    if opened := _opened(outer):
        found = [problem(one) for part in inner if (one := _opened(part))]
        below = problem(opened)
        yield Problem(below.code, below.message, (*below.inner, *found))
        return
    if coded := re.match(r"\((?P<code>\w+)\) (?P<message>.*?)(?:\nCode: |\Z)", text, re.S):
        yield Problem(coded["code"], coded["message"].strip(), tuple(_details(text)))
        return
    lines = re.findall(r"^(\w+) - (.+)$", text, re.M)
    if lines:
        (code, message), *rest = lines
        yield Problem(code, message, tuple(Problem(*one) for one in rest))
        return
    yield from (Problem("", line) for line in text.splitlines() if line.strip())


def _in_traceback(text: str) -> Problem:
    """The Azure CLI breaks over some of Azure's errors; what Azure said stands among the causes."""
    if caused := re.search(r"^[\w.]+: \((?P<code>\w+)\) (?P<message>.+)$", text, re.M):
        return Problem(caused["code"], caused["message"])
    above = text.partition(_TRACEBACK)[0].strip().splitlines()
    return Problem("", above[-1].removeprefix("ERROR:").strip() if above else "it broke off")


def _details(text: str) -> Iterator[Problem]:
    _, _, details = text.partition("Exception Details:")
    for code, message in re.findall(r"\((\w+)\) (.+)", details):
        yield Problem(code, message.strip())


def _opened(text: str) -> Mapping[str, Any] | None:
    try:
        opened = json.loads(text)
    except ValueError:
        return None
    return opened if isinstance(opened, Mapping) else None
