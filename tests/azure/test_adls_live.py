"""lake stream into ADLS Gen2: the same tables, by the same verifier."""

from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from bench.verify_streams import verify
from dagster_lake import clock
from dagster_lake.cli.stream.run import ONCE, run
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.live.finished import finished_hours
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from tests.azure.adls_lakes import AdlsLake
from tests.azure.azurite import Azurite
from tests.live.event_worlds import START, Event, send

FIRST = hour_of(START)
STORY = [
    Event(f"e{n % 17}", n * 20_000, 1_000 + 65_000 * (n % 5 == 0), n % 3, 1_900 + n * 40, stars)
    for n in range(30)
    for stars in (None, 1 + n % 5)
]


def test_events_land_alerts_are_told_and_hours_are_finished_in_adls(azurite: Azurite, tmp_path: Path) -> None:
    lake = AdlsLake(tmp_path, azurite=azurite, container=azurite.new_container())
    now = START
    with lake.here(), patch.object(clock, "utc_now", lambda: now):
        sources = lake.resource.sources
        assert isinstance(sources.event_hub, EmbeddedEventHub)
        for number, (first, last) in enumerate([(0, 20), (20, 40), (40, 60)]):
            send(sources.event_hub, STORY[first:last], str(number))
            now = STORY[last - 1].arrives + timedelta(seconds=1)
            run(ONCE, 1.0, [], False)
        findings = verify(lake.resource.lake, sources, HourRange(FIRST, FIRST + HOUR))
        assert {name: verdict for name, verdict in findings.verdicts.items() if not verdict.is_exact} == {}
        assert all(verdict.rows for verdict in findings.verdicts.values())
        assert finished_hours(lake.resource.lake) == {"pageviews": FIRST, "stars": FIRST}
