"""No secret gets into what an error, a log line or a command says, whatever fails."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from dagster_lake.operations.lineage.emit import _emit
from dagster_lake.operations.telemetry.secret_values import masker
from dagster_lake.settings.lake import Settings
from dagster_lake.settings.secret_text import scrub, without_secrets
from dagster_lake.sources.database.database import teaching
from dagster_lake.sources.event_hub.azure_connection import HubConnection
from dagster_lake.storage.adls.errors import StorageError, reaching
from dagster_lake.storage.adls.options import adls_root

SECRET = "t0pSecret/9zQ+Xk7wL2vB8nM4="
WAYS = {
    "a signature": "https://a.blob.core.windows.net/lake/x?sv=2024&se=2026-01-01&sig={}&sp=rl",
    "a signature in a sentence": "GET 'https://a/x?sig={}' gave 403",
    "a storage connection": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=x",
    "a signature in a connection": "BlobEndpoint=https://a;SharedAccessSignature=sv=1&sig={}",
    "an event hub": "Endpoint=sb://a/;SharedAccessKeyName=p;SharedAccessKey={};EntityPath=h",
    "a database's address": "postgresql://reader:{}@db.example.com:5432/shop",
    "libpq's words": "connection to host=db user=reader password={} failed",
    "a token": "Authorization: Bearer {}",
}


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None)
@given(secret=st.from_regex(r"[A-Za-z0-9+%_-]{20,60}=?", fullmatch=True), before=st.text(max_size=5))
def test_a_secret_written_in_any_known_way_is_taken_out_and_the_rest_stays(way: str, secret: str, before: str) -> None:
    said = without_secrets(f"{before} {WAYS[way].format(secret)} end")
    assert secret not in said
    assert "***" in said
    assert said.endswith(" end")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_what_was_cleaned_stays_as_it_is(text: str) -> None:
    assert without_secrets(without_secrets(text)) == without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "abfss://lake@shop.dfs.core.windows.net/bronze/users",
        "the signature sig is old; sign in",
        "SharedAccessKeyName=reader",
        "Bearer authentication failed",
        "2026-01-05T12:00:00@x",
    ],
)
def test_what_is_no_secret_is_told(text: str) -> None:
    assert without_secrets(text) == text


class OfLibrary(Exception):
    """An error that keeps its text in attributes, as Azure's do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def storage(said: str) -> None:
    with reaching(adls_root(Settings(_env_file=None, root="abfss://lake@shop.dfs.core.windows.net"))):  # type: ignore[call-arg]
        try:
            raise OSError(5, said, said)
        except OSError as error:
            raise OfLibrary(said) from error


def database(said: str) -> None:
    with teaching("orders", make_url("postgresql://shop@db.example/shop")):
        raise sqlalchemy.exc.OperationalError(said, None, OfLibrary(said))


def lineage(said: str) -> None:
    class Client:
        def emit(self, event: Any) -> None:
            raise OfLibrary(said)

    class Event:
        class job:
            name = "bronze.users"

    _emit(Client(), [Event()])  # type: ignore[arg-type, list-item]


def event_hub(said: str) -> None:
    hub = HubConnection.of(Settings(_env_file=None, event_hubs="shop.servicebus.windows.net"))  # type: ignore[call-arg]
    raise hub.told("clicks", OfLibrary(said))


def cluttered(said: str) -> None:
    """Any error, as the log has it."""
    raise ValueError(masker({})(said))


SEAMS: list[Callable[[str], None]] = [storage, database, lineage, event_hub, cluttered]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_no_failure_of_a_seam_tells_a_secret(seam: Callable[[str], None], way: str) -> None:
    with pytest.raises(Exception, match=r"shop|orders|bronze\.users|failed") as caught:
        seam(f"it failed at {WAYS[way].format(SECRET)}")
    told = f"{caught.value} {caught.value!r} " + "".join(traceback.format_exception(caught.value))
    assert "it failed" in told or isinstance(caught.value, StorageError)
    assert SECRET not in told


def test_an_error_keeps_its_type_and_says_the_rest() -> None:
    error = FileNotFoundError(2, "gone", "https://a/x?sig=abc123&b=1")
    scrub(error)
    assert str(error) == "[Errno 2] gone: 'https://a/x?sig=***&b=1'"
    assert error.errno == 2


def test_what_a_command_prints_holds_no_secret_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dagster_lake.cli.shared.errors import tell

    monkeypatch.setenv("LAKE_ALERT_WEBHOOK", f"https://hooks.example.com/{SECRET}")
    tell(f"posting to https://hooks.example.com/{SECRET} failed")
    assert SECRET not in capsys.readouterr().err
