"""What each contract says of one row, by hand: the values that silver must show, and the reasons to keep it out."""

import hmac
import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.lake.lakes import KEY
from tests.simulation.outside import Row

Judged = tuple[Row, tuple[str, ...]]
"""The values of a row, and the sorted reasons why it is quarantined; none when it is valid."""

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


def judge_text(data_set: str, text: str, as_of: date | None = None) -> Judged:
    """A line of an export, a document, or the body of an event; ``as_of`` is the day of its snapshot."""
    try:
        row = json.loads(text, parse_float=Decimal)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        return {}, ("malformed",)
    reasons: list[str] = []
    values = _JUDGES[data_set](_Fields(row, reasons))
    if data_set == "users":
        values |= {"sex": None, "age_band": None} if reasons else _derived(row["birth_number"], as_of or date.max)
    return values, tuple(sorted(reasons))


def judge_row(table: str, row: Row) -> Judged:
    """A row of the shop's database."""
    reasons = [f"{name}:required" for name, value in row.items() if value is None]
    for name, least in {"orders": {"order_value": 0}, "order_items": {"quantity": 1, "unit_price": 0}}[table].items():
        if row[name] is not None and row[name] < least:
            reasons.append(f"{name}:minimum")
    return row, tuple(sorted(reasons))


class _Fields:
    """The fields of one JSON object, and the rules that they break."""

    def __init__(self, row: dict[str, Any], reasons: list[str]) -> None:
        self.row = row
        self.reasons = reasons

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self.row.get(name)
        if value is not None and not isinstance(value, str):
            value = str(value) if isinstance(value, int | Decimal) else json.dumps(value)
        found = (value or "").strip(" \t\r\n") or None
        if found is None and required:
            self.reasons.append(f"{name}:required")
        return found

    def typed(self, name: str, kind: Callable[[str], Any], *, required: bool = True) -> Any:
        text = self.text(name, required=required)
        try:
            return None if text is None else kind(text)
        except (ValueError, ArithmeticError):
            self.reasons.append(f"{name}:type")
            return None

    def between(self, name: str, value: Any, least: int, most: int | None = None) -> Any:
        if value is not None and value < least:
            self.reasons.append(f"{name}:minimum")
        if value is not None and most is not None and value > most:
            self.reasons.append(f"{name}:maximum")
        return value

    def texts(self, name: str) -> list[str] | None:
        return self.row.get(name)


def _user(fields: _Fields) -> Row:
    birth_number = fields.text("birth_number", required=True)
    if birth_number is not None and not re.search("^[0-9]{6}/[0-9]{3,4}$", birth_number):
        fields.reasons.append("birth_number:pattern")
    name = fields.text("name", required=True)
    return {
        "id": fields.between("id", fields.typed("id", _integer), 0),
        "name": None if name is None else f"{name[0]}***",
        "city": fields.text("city"),
        "street_address": None if fields.text("street_address") is None else "***",
        "phone_number": _hashed(fields.text("phone_number")),
        "birth_number": _hashed(birth_number),
        "user_name": fields.text("user_name", required=True),
        "administrative_unit": fields.text("administrative_unit"),
        "description": fields.text("description"),
        "jobs": fields.texts("jobs"),
    }


def _vip(fields: _Fields) -> Row:
    return {"id": fields.typed("id", _integer)}


def _product(fields: _Fields) -> Row:
    return {
        "id": fields.between("id", fields.typed("id", _integer), 0),
        "name": fields.text("name", required=True),
        "description": fields.text("description"),
        "category": fields.text("category"),
        "price": fields.between("price", fields.typed("price", _cents), 0),
        "pages": fields.texts("pages"),
    }


def _pageview(fields: _Fields) -> Row:
    method = fields.text("http_method", required=True)
    if method is not None and method not in METHODS:
        fields.reasons.append("http_method:enum")
    return {
        "event_id": fields.text("event_id", required=True),
        "user_id": fields.typed("user_id", _integer),
        "http_method": method,
        "uri": fields.text("uri", required=True),
        "client_ip": _hashed(fields.text("client_ip")),
        "user_agent": fields.text("user_agent"),
        "latency": fields.between("latency", fields.typed("latency", _integer), 0, 60_000),
        "event_time": fields.typed("event_time", _instant),
    }


def _star(fields: _Fields) -> Row:
    return {
        "event_id": fields.text("event_id", required=True),
        "user_id": fields.typed("user_id", _integer),
        "stars": fields.between("stars", fields.typed("stars", _integer), 1, 5),
        "event_time": fields.typed("event_time", _instant),
    }


_JUDGES = {"users": _user, "vip_users": _vip, "products": _product, "pageviews": _pageview, "stars": _star}


def _integer(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ValueError
    return int(text)


def _cents(text: str) -> Decimal:
    value = Decimal(text)
    if value != value.quantize(Decimal("0.01")):
        raise ValueError
    return value.quantize(Decimal("0.01"))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _hashed(value: str | None) -> str | None:
    return None if value is None else "test-1:" + hmac.new(KEY, value.encode(), "sha256").hexdigest()


def _derived(birth_number: str, as_of: date) -> Row:
    """What a Czech birth number tells: YYMMDD/NNNC, or NNN before 1954; a woman's month is 50 higher, and 20 more is
    for days whose numbers ran out."""
    digits = birth_number.replace("/", "")
    year, month, day = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    year += 1900 if len(digits) == 9 or year >= 54 else 2000
    age = as_of.year - year - ((as_of.month, as_of.day) < (month % 50 % 20, day))
    band = "child" if age < 13 else "teenager" if age < 18 else "adult"
    return {"sex": "female" if month > 50 else "male", "age_band": band}
