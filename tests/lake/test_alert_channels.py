"""Channels: each alert reaches those whom its contract or its stream names, and one channel's trouble is its own."""

import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from pydantic import SecretStr, ValidationError

from dagster_lake import clock
from dagster_lake.cli.doctor.alerts import alert_findings, all_alert_findings
from dagster_lake.contract.model import Channel, contracts
from dagster_lake.operations.telemetry.secret_values import masker
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import append
from dagster_lake.streams.alerts.channels import Address, said_without_address
from dagster_lake.streams.alerts.notices import notices_table
from dagster_lake.streams.alerts.outbox import LEASE, MOST_REFUSALS, deliveries_table
from dagster_lake.streams.alerts.sender import MOST_UNAVAILABLE, Sender, Sent
from tests.lake.test_alerts import NOW, SLOW, Place, alert, rows
from tests.lake.webhooks import SECRET, Webhook, webhook

pytestmark = pytest.mark.usefixtures("without_waiting")

NIGHT, SHOP = "night", "shop"


@pytest.fixture
def other() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


def contract_names(monkeypatch: pytest.MonkeyPatch, *names: str, logged: bool = False) -> None:
    """Lets the contract of pageviews, whose alerts are told here, name these channels."""
    channels = tuple(Channel(name, logged) for name in names)
    changed = {**contracts(), "pageviews": replace(contracts()["pageviews"], channels=channels)}
    monkeypatch.setattr("dagster_lake.streams.alerts.channels.contracts", lambda: changed)


def place_with(root: Path, **channels: str) -> Place:
    place = Place(root)
    place.settings = Settings(root=str(root), threads=1, alert_channels={k: SecretStr(v) for k, v in channels.items()})
    return place


def test_an_alert_goes_to_the_channels_of_its_contract_and_to_no_other(
    tmp_path: Path, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT, SHOP)
    with webhook() as third:
        place = place_with(tmp_path, night=hook.address, shop=other.address, default=third.address)
        sent = place.tell(rows(alert(1), alert(2))).sent
    assert sent == Sent(4, 0, None)
    assert hook.alerts() == other.alerts() == ["high_latency_alerts/e1", "high_latency_alerts/e2"]
    assert third.tries == 0
    assert {row["channels"] for row in place.notices()} == {"night,shop"}
    assert sorted((row["channel"], row["state"]) for row in place.deliveries()) == [("night", "sent"), ("shop", "sent")]
    assert set(hook.taken()).isdisjoint(other.taken())


def test_a_stream_that_names_a_channel_goes_there_whatever_its_contract_names(
    tmp_path: Path, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, SHOP)
    place = place_with(tmp_path, night=hook.address, shop=other.address)
    place.tell(rows(alert(1)), replace(SLOW, channels=(NIGHT,)))
    assert (len(hook.posts), len(other.posts)) == (1, 0)


def test_a_channel_without_an_address_is_loud_and_its_alerts_go_to_the_default_one(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    place = Place(tmp_path, hook)
    assert place.tell(rows(alert(1))).sent.alerts == 1
    [line] = said_without_address(place.settings, [SLOW])
    assert line.startswith("channel night, which pageviews.odcs.yaml name, has no address")
    assert "go to the default channel" in line


def test_a_channel_without_an_address_or_a_default_one_loses_nothing(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    place = Place(tmp_path)
    assert place.tell(rows(alert(1))).noted == {"due": 1}
    place.settings = place_with(tmp_path, night=hook.address).settings
    assert place.tell(rows(), at=NOW + timedelta(hours=3)).sent.alerts == 1
    assert hook.alerts() == ["high_latency_alerts/e1"]


def test_a_channel_that_is_the_log_needs_no_address(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT, logged=True)
    assert said_without_address(Settings(), []) == []
    assert Place(tmp_path / "none").tell(rows(alert(1))).noted == {"noted": 1}
    assert Place(tmp_path / "default", hook).tell(rows(alert(1))).sent.alerts == 1
    assert place_with(tmp_path / "own", night=hook.address).tell(rows(alert(1))).sent.alerts == 1


def test_a_channel_that_is_down_or_refuses_stops_no_other(
    tmp_path: Path, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT, SHOP)
    place = place_with(tmp_path, night=hook.address, shop=other.address)
    for judged in (503, 422):
        hook.judge = lambda body, judged=judged: judged  # type: ignore[misc]
        at = NOW + timedelta(hours=12 if judged == 422 else 0)
        for number in range(MOST_REFUSALS):
            then = at + number * timedelta(minutes=45)
            one = alert(f"{judged}-{number}", minutes_ago=(NOW - then).total_seconds() / 60)
            assert place.tell(rows(one), at=then).sent.alerts == 1
    assert len(other.alerts()) == 2 * MOST_REFUSALS
    assert hook.posts == []


def test_a_channel_with_a_backlog_does_not_keep_the_others_waiting(
    tmp_path: Path, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the channel that is down has more than a round's deliveries, all older."""
    contract_names(monkeypatch, NIGHT)
    place = place_with(tmp_path, night=hook.address, shop=other.address)
    hook.judge = lambda body: 503
    monkeypatch.setattr("dagster_lake.streams.alerts.sender.MOST_DELIVERIES", 5)
    monkeypatch.setattr("dagster_lake.streams.alerts.notices.PER_DELIVERY", 1)
    place.tell(rows(*(alert(n, minutes_ago=30) for n in range(15))))
    assert place.tell(rows(alert("new")), replace(SLOW, channels=(SHOP,))).sent.alerts == 1
    assert hook.tries <= 2 * 3 * MOST_UNAVAILABLE


def test_tables_of_before_there_were_channels_are_read_and_go_on(tmp_path: Path, hook: Webhook) -> None:
    place = Place(tmp_path, hook)
    for spec in (notices_table(place.lake), deliveries_table(place.lake)):
        columns = [field for field in spec.schema if field.name not in ("channel", "channels")]
        old = TableSpec(spec.uri, pa.schema(columns), "_lake_hour")
        row = {field.name: "x" for field in columns} | {
            **dict.fromkeys(("occurred_at", "noted_at", "claimed_until"), NOW - LEASE),
            **{"delivery": "d1", "state": "due", "details": "{}", "_lake_hour": "2026-01-05T12", "stream": "s"},
            **{"alerts": 1, "failures": 0, "sent_at": None, "error": None},
        }
        if "claimed_by" in row:
            row["state"] = "waiting"
        table = pa.Table.from_pylist([{k: row[k] for k in old.schema.names}], old.schema)
        append(old, lambda table=table: table.to_reader(), {}, turn="old")
    assert place.tell(rows()).sent.alerts == 1
    assert place.tell(rows(alert(1))).sent.alerts == 1
    assert sorted(hook.alerts()) == ["high_latency_alerts/e1", "x"]


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What reaches whoever listens to all loggers."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    root, listener = logging.getLogger(), Listener(logging.DEBUG)
    before = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(listener)
        root.setLevel(before)


HOOKS = {
    "slack": (f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{'T' * 24}", "hooks.slack.com"),
    "teams": (
        f"https://prod-1.westeurope.logic.azure.com:443/workflows/{'w' * 32}/triggers/manual/paths/invoke"
        f"?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SECRET}",
        "prod-1.westeurope.logic.azure.com",
    ),
    "pagerduty": (f"pagerduty://{'k' * 32}@{'a' * 20}/lake/lake", "events.pagerduty.com"),
}


@pytest.fixture
def rerouted(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever the services' own hosts are asked goes to ``hook`` instead; gives the addresses that were asked."""
    asked: list[str] = []
    send = requests.adapters.HTTPAdapter.send

    def to_hook(self: Any, request: Any, **more: Any) -> Any:
        assert more["verify"]
        assert more["timeout"] == (10.0, 10.0)
        asked.append(request.url)
        request.url = hook.address
        return send(self, request, **more)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", to_hook)
    return asked


@pytest.mark.parametrize("service", list(HOOKS))
def test_a_service_gets_a_message_of_its_own_form_that_names_no_address(
    tmp_path: Path, hook: Webhook, rerouted: list[str], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    address, host = HOOKS[service]
    place = place_with(tmp_path, night=address)
    evil = "GET\x1b[2J <!channel> <at>all</at>\nalert: all is well"
    assert place.tell(rows(alert(1, http_method=evil), *(alert(n) for n in range(2, 40)))).sent == Sent(39, 0, None)
    [asked] = rerouted
    assert f"//{host}" in asked
    [posted] = hook.posts
    told = {
        "slack": lambda body: body["attachments"][0]["text"] if "attachments" in body else body["text"],
        "teams": lambda body: json.dumps(body["attachments"][0]["content"]),
        "pagerduty": lambda body: body["payload"]["summary"],
    }[service](posted.body)
    assert "GET" in told
    assert "latency 2500" in told
    assert "\x1b" not in told
    assert service != "slack" or "<!channel>" not in told
    assert "\nalert: all is well" not in told
    assert len(told) < 8_000
    if service == "pagerduty":
        assert posted.body["dedup_key"] == place.deliveries()[0]["delivery"]


@pytest.mark.parametrize(
    ("status", "state", "told"),
    [(404, "claimed", "is LAKE_ALERT_CHANNELS: night right?"), (503, "claimed", "503"), (400, "waiting", "400")],
)
def test_what_a_service_answers_decides_whether_it_is_asked_again(
    tmp_path: Path,
    hook: Webhook,
    rerouted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    logged: list[str],
    status: int,
    state: str,
    told: str,
) -> None:
    contract_names(monkeypatch, NIGHT)
    hook.judge = lambda body: status
    place = place_with(tmp_path, night=HOOKS["teams"][0])
    failure = place.tell(rows(alert(1))).sent.failure or ""
    assert failure.startswith("channel night answered") and told in failure  # noqa: PT018
    assert [row["state"] for row in place.deliveries()] == [state]
    assert SECRET not in failure + str(place.said) + str(logged) + str(place.deliveries())


@pytest.mark.parametrize("address", [f"nosuchservice://{SECRET}", f"slack://{SECRET}", f"pagerduty://{SECRET}"])
def test_an_address_that_no_service_has_is_said_without_it(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    contract_names(monkeypatch, NIGHT)
    failure = place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure
    assert failure == "LAKE_ALERT_CHANNELS: night is no address that is known; docs/alerts.md says how to write it"
    assert SECRET not in str(logged)


def test_other_addresses_are_posted_to_as_json_and_signed(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    place = place_with(tmp_path, night=hook.address)
    place.settings.alert_signing_key = SecretStr("the key")
    hook.judge = lambda body: 413 if len(body) > 2000 else 200
    assert place.tell(rows(*(alert(n) for n in range(30)))).sent.alerts == 30
    assert len(hook.alerts()) == 30
    assert all(posted.signature for posted in hook.posts)
    assert Address(NIGHT, SecretStr("https://hooks.example/x"), "c", "s").shape == "json"


# --- mail -------------------------------------------------------------------------------------------------------------


class Mails(Message):
    """The mails that came in; ``answer`` is what a recipient is answered instead of being taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []
        self.answer: str | None = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message: Any) -> None:
        self.taken.append(message_from_bytes(message.as_bytes()))


@pytest.fixture
def mails() -> Iterator[tuple[Mails, str]]:
    handler = Mails()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield handler, f"smtp://127.0.0.1:{port}/?from=lake@shop.example&to=owner@shop.example"
    finally:
        server.stop()


def test_a_mail_tells_of_each_alert_and_bears_the_id_of_its_delivery(
    tmp_path: Path, mails: tuple[Mails, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    handler, address = mails
    place = place_with(tmp_path, night=address)
    evil = "GET\r\nBcc: everybody@shop.example\r\n\r\nall is well"
    assert place.tell(rows(alert(1, minutes_ago=2, http_method=evil), alert(2))).sent == Sent(2, 0, None)
    [mail] = handler.taken
    assert (mail["To"], mail["From"], mail["Bcc"]) == ("owner@shop.example", "lake@shop.example", None)
    assert mail["Subject"] == "dagster_lake: 2 alerts, first high latency alerts"
    assert mail["Message-ID"] == f"<{place.deliveries()[0]['delivery']}@dagster-lake>"
    text = mail.get_payload(decode=True).decode()
    assert text.count("high_latency_alerts at 2026-01-05T12:2") == 2
    assert "\\x0d\\x0aBcc:" in text


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        ("450 later", "claimed", "channel night answered 450"),
        ("550 no such user", "waiting", "channel night answered 550: the server does not take this mail"),
    ],
)
def test_what_a_mail_server_answers_decides_whether_it_is_asked_again(
    tmp_path: Path, mails: tuple[Mails, str], monkeypatch: pytest.MonkeyPatch, answer: str, state: str, told: str
) -> None:
    contract_names(monkeypatch, NIGHT)
    handler, address = mails
    handler.answer = answer
    place = place_with(tmp_path, night=address)
    assert place.tell(rows(alert(1))).sent.failure == told
    assert [row["state"] for row in place.deliveries()] == [state]
    handler.answer = None
    assert place.tell(rows(), at=NOW + timedelta(minutes=10)).sent.alerts == 1
    assert len(handler.taken) == 1


def test_mails_never_travel_in_clear_to_another_machine(
    tmp_path: Path, mails: tuple[Mails, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    handler, address = mails
    monkeypatch.setattr("dagster_lake.streams.alerts.mail._HERE", set())
    failure = place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure
    assert failure == "channel night does not offer encryption (STARTTLS); use a server that does"
    assert handler.taken == []


@pytest.mark.parametrize(
    "address", [f"smtps://u:{SECRET}@mail.example", f"smtps://u:{SECRET}@mail.example/?from=a@b&to=c@d,e@f"]
)
def test_an_address_that_is_no_mail_server_is_said_without_it(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT)
    failure = place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure or ""
    assert "write smtps://user:password@host/?from=...&to=..." in failure
    assert SECRET not in failure


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [f'["https://{SECRET}"]', f'{{"night": ["{SECRET}"]}}', f"https://{SECRET}", f'{{"a b": "{SECRET}"}}']
)
def test_channels_that_cannot_be_read_are_refused_without_being_told(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ALERT_CHANNELS", given)
    with pytest.raises(ValidationError, match="alert_channels") as refused:
        Settings()
    assert SECRET not in str(refused.value)


def test_two_addresses_of_the_default_channel_are_refused() -> None:
    with pytest.raises(ValidationError, match="both give the default channel"):
        Settings(
            alert_webhook=SecretStr("https://a.example"), alert_channels={"default": SecretStr("https://b.example")}
        )


def test_addresses_of_channels_are_kept_out_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"https://hooks.example/{SECRET}"
    monkeypatch.setenv("LAKE_ALERT_CHANNELS", json.dumps({NIGHT: address}))
    assert address not in masker()(f"posting to {address} failed")
    assert SECRET not in repr(Settings())


def test_what_was_set_aside_on_one_channel_is_sent_again_there_alone(
    tmp_path: Path, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract_names(monkeypatch, NIGHT, SHOP)
    place = place_with(tmp_path, night=hook.address, shop=other.address)
    hook.judge = lambda body: 400
    for number in range(MOST_REFUSALS):
        place.tell(rows(alert(1)), at=NOW + number * timedelta(hours=1))
    hook.judge = lambda body: 200
    with patch.object(clock, "utc_now", lambda: NOW + timedelta(hours=6)):
        assert Sender(place.lake, place.settings, "a person", place.said.append).send_again(None) == Sent(1, 0, None, 0)
    assert (hook.alerts(), len(other.posts)) == (["high_latency_alerts/e1"], 1)


def test_the_doctor_names_channels_without_an_address_and_a_default_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [one.level for one in alert_findings(Settings(), [])] == ["ok"]
    contract_names(monkeypatch, NIGHT, SHOP)
    settings = Settings(alert_channels={SHOP: SecretStr("https://hooks.example/x")})
    missing, default = alert_findings(settings, [])
    assert "channel night, which pageviews.odcs.yaml name, has no address" in missing.says
    assert "no default channel" in default.says


def test_the_doctor_sees_the_channels_of_streams_and_addresses_that_nobody_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(
        alert_webhook=SecretStr("https://hooks.example/d"),
        alert_channels={SHOP: SecretStr("https://hooks.example/x"), "forgotten": SecretStr("https://hooks.example/y")},
    )
    kinds = [replace(SLOW, channels=(NIGHT, SHOP))]
    missing, unused = alert_findings(settings, kinds)
    assert f"channel night, which {SLOW.stream} name, has no address" in missing.says
    assert unused.says.startswith("forgotten: no contract and no stream names it")
    monkeypatch.setattr("dagster_lake.cli.doctor.alerts.alert_kinds", lambda _: kinds)
    assert all_alert_findings(settings) == [missing, unused], "lake doctor reads the streams"
