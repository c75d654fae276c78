"""Values, sizes and ages as people read them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from dagster_lake.cli.shared.text import age_text, size_text, value_text

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (3.0, "3"),
        (2.5, "2.5"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (Decimal("12.30"), "12.30"),
        (date(2026, 1, 5), "2026-01-05"),
        (NOW, "2026-01-05 12:00:00Z"),
        (NOW + timedelta(milliseconds=5), "2026-01-05 12:00:00.005Z"),
        (datetime(2026, 1, 5, 12), "2026-01-05 12:00:00"),
        (b"\x00\xff", "00ff"),
        (["a", None, 1], "[a, , 1]"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_value_is_one_line_of_text(value: object, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_400_000, "3.4 MB"), (5 * 10**12, "5.0 TB")]
)
def test_a_size_has_a_unit(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (10_800, "3 h"), (864_000, "10 d")])
def test_an_age_is_told_in_the_unit_that_fits(seconds: int, text: str) -> None:
    assert age_text(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_instant_after_now_has_no_age() -> None:
    assert age_text(NOW + timedelta(seconds=1), NOW) == "0 s"
