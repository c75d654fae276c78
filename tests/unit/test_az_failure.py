"""What the Azure CLI prints when it fails, in each of its forms, read back and told with a remedy."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.deploy.az_failure import Problem, failure, problem
from tests.azure.fake_az import broken

COMMAND = ("deployment", "sub", "create", "--name", "x")


@pytest.mark.parametrize(
    ("stderr", "code", "told"),
    [
        ("ERROR: Please run 'az login' to setup account.", "", "-> log in: az login"),
        (
            "WARNING: A new Bicep release is available.\nERROR: (AuthorizationFailed) The client 'x' does not have "
            "authorization.\nCode: AuthorizationFailed\nMessage: The client 'x' does not have authorization.",
            "AuthorizationFailed",
            "AuthorizationFailed: The client 'x' does not have authorization.\n-> you need Owner",
        ),
        (
            "ERROR: (InvalidTemplateDeployment) Not valid.\nCode: InvalidTemplateDeployment\nMessage: Not valid.\n"
            "Exception Details:\t(QuotaExceeded) No cores left.\n\tCode: QuotaExceeded",
            "QuotaExceeded",
            "  QuotaExceeded: No cores left.\n-> the subscription's quota is used up",
        ),
        (
            'ERROR: {"code": "InvalidTemplate", "message": "Not valid."}\n\nInner Errors: \n'
            '{"code": "PrincipalNotFound", "message": "Not there."}',
            "PrincipalNotFound",
            "InvalidTemplate: Not valid.\n  PrincipalNotFound: Not there.\n",
        ),
        (
            "ERROR: Conflict - Wait.\nDeploymentActive - It runs.",
            "DeploymentActive",
            "-> another deployment is at work",
        ),
        (
            f"ERROR: {broken('QuotaExceeded', 'No cores left.')}",
            "QuotaExceeded",
            ": QuotaExceeded: No cores left.\n-> the ",
        ),
        (
            "ERROR: The command failed with an unexpected error. Here is the traceback:\nERROR: HTTPSConnectionPool: "
            "Max retries exceeded\nTraceback (most recent call last):\nConnectionRefusedError: [Errno 111] refused",
            "",
            "create: HTTPSConnectionPool: Max retries exceeded\n-> Azure or the line was busy",
        ),
        ("ERROR: Subscription '9' not found. Check the spelling.", "", "-> log in to the subscription's tenant"),
        ("", "", "it failed without a word\n-> mend what it names"),
    ],
)
def test_each_form_is_read_and_told_with_a_remedy(stderr: str, code: str, told: str) -> None:
    found = failure(COMMAND, stderr)
    assert found.code == code
    assert str(found).startswith("az deployment sub create: ")
    assert told in str(found)
    assert "WARNING" not in str(found)
    assert "Traceback" not in str(found)


def test_an_error_that_is_text_within_an_error_is_opened() -> None:
    inner = {"error": {"code": "SkuNotAvailable", "message": "Not here.", "details": [{"code": "A", "message": "b"}]}}
    outer = {"code": "DeploymentFailed", "message": json.dumps(inner)}
    assert problem(outer) == Problem("SkuNotAvailable", "Not here.", (Problem("A", "b"),))


@pytest.mark.parametrize(
    ("stderr", "passing"),
    [
        ("ERROR: (TooManyRequests) Slow down.\nCode: TooManyRequests", True),
        ("ERROR: (SubscriptionRequestsThrottled) Number of requests exceeded.", True),
        ("ERROR: ('Connection aborted.', RemoteDisconnected('Remote end closed connection'))", True),
        ("ERROR: HTTPSConnectionPool(host='management.azure.com'): Max retries exceeded with url: /x", True),
        ("ERROR: (AuthorizationFailed) No.", False),
        ("ERROR: (DeploymentNotFound) Deployment 'at-4290' could not be found.", False),
    ],
)
def test_what_may_go_by_itself_is_known(stderr: str, passing: bool) -> None:
    assert failure(COMMAND, stderr).passing is passing


_LEAF = st.builds(lambda code, message: {"code": code, "message": message}, st.text(), st.text())
_ERRORS = st.recursive(
    _LEAF,
    lambda inner: st.builds(
        lambda leaf, details: {**leaf, "details": details}, _LEAF, st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(_ERRORS)
def test_no_error_of_azures_is_lost(error: dict[str, object]) -> None:
    def leaves(one: dict[str, object]) -> list[str]:
        details: list[dict[str, object]] = one.get("details", [])  # type: ignore[assignment]
        return [leaf for each in details for leaf in leaves(each)] or [str(one["code"])]

    assert [one.code for one in problem(error).innermost()] == leaves(error)


@given(st.text())
def test_whatever_it_prints_there_is_an_error_with_a_remedy(stderr: str) -> None:
    assert "\n-> " in str(failure(COMMAND, stderr))
