"""What bronze must hold of a line, said naively in Python; and lines that are hard to read."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

NAMES = ("event_id", "a", "b")


class Number(str):
    """A number as it is written."""


@dataclass(frozen=True)
class Members:
    """An object's members in order, equal names kept."""

    pairs: list[tuple[str, Any]]


def bronze_of(body: bytes) -> dict[str, str | None]:
    """The fields of NAMES and ``_rescued_data``."""
    nothing = dict.fromkeys(NAMES)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {**nothing, "_rescued_data": "hex:" + body.hex().upper()}
    document = parsed(text)
    if not isinstance(document, Members):
        return {**nothing, "_rescued_data": text.rstrip("\r\n")}
    first: dict[str, str | None] = {}
    rest = []
    for name, value in document.pairs:
        if name in NAMES and name not in first:
            first[name] = text_of(value)
        else:
            rest.append((name, value))
    return {**{name: first.get(name) for name in NAMES}, "_rescued_data": written(Members(rest)) if rest else None}


def parsed(text: str) -> Any:
    """The JSON value that ``text`` is, or the exception that says why it is none."""
    try:
        value = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=Members
        )
        written(value).encode()  # a surrogate that stands alone is no character
        return value
    except (ValueError, RecursionError) as error:
        return error


def text_of(value: Any) -> str | None:
    """A field's text."""
    return value if value is None or isinstance(value, str) else written(value)


def written(value: Any) -> str:
    """A value as JSON without white space, numbers as they were, and only the escapes that JSON requires."""
    if isinstance(value, Members):
        return "{" + ",".join(f"{written(name)}:{written(inner)}" for name, inner in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(inner) for inner in value) + "]"
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        return '"' + "".join(short.get(c) or (f"\\u{ord(c):04X}" if c < " " else c) for c in value) + '"'
    return json.dumps(value)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


class Lines:
    """Draws lines: JSON objects in every spelling, some of them damaged afterwards."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw

    def lines(self, count: int) -> list[bytes]:
        """``count`` lines."""
        return [self.line() for _ in range(count)]

    def line(self) -> bytes:
        text = self._space() + self._object(0) + self._space()
        if self.draw.random() < 0.4:
            text = self._damaged(text)
        body = text.encode("utf-8", "surrogatepass")
        if self.draw.random() < 0.03:
            at = self.draw.randrange(len(body) + 1)
            body = body[:at] + bytes([self.draw.randrange(128, 256)]) + body[at:]
        return body

    def _damaged(self, text: str) -> str:
        draw, at = self.draw, self.draw.randrange(len(text) + 1)
        insert = draw.choice([*",:{}[]\"'\\ x01-.\x00\x01\t\ufeff\x85", "NaN", "-Infinity", "//", "null", "1", "e"])
        ways = [
            lambda: text[:at],
            lambda: text[:at] + insert + text[at:],
            lambda: text[:at] + text[at + 1 :],
            lambda: text + draw.choice([" x", "{}", ",", "]", "}", "] ", "} x", ',{"a":1}', ',"a":1', "\x00", "\x0b"]),
            lambda: text.replace("}", ",}", 1),
            lambda: text.replace("]", " , ]", 1),
            lambda: text.replace('"', "'"),
            lambda: text.replace("true", draw.choice(["NaN", "nan", "Infinity", "-inf", "True", "tru"])),
            lambda: "\ufeff" + text,
        ]
        return draw.choice(ways)()

    def _object(self, depth: int) -> str:
        names = [
            "a",
            "b",
            "event_id",
            "A",
            "",
            "a.b",
            "$",
            "$.a",
            "|a",
            '"',
            "'",
            "ž",
            "a b",
            "\\",
            "\x00",
            "😀",
            "x" * 40,
        ]
        members = [
            self._string(self.draw.choice(names)) + self._space() + ":" + self._space() + self._value(depth + 1)
            for _ in range(self.draw.randrange(5))
        ]
        return self._bracketed("{}", members)

    def _value(self, depth: int) -> str:
        kinds = [self._number, self._text, lambda: self.draw.choice(["true", "false", "null"])]
        if depth < 5:
            kinds += [lambda: self._object(depth), lambda: self._array(depth)]
        return self.draw.choice(kinds)()

    def _array(self, depth: int) -> str:
        return self._bracketed("[]", [self._value(depth + 1) for _ in range(self.draw.randrange(4))])

    def _bracketed(self, brackets: str, items: list[str]) -> str:
        separator = self._space() + "," + self._space()
        return brackets[0] + self._space() + separator.join(items) + self._space() + brackets[1]

    def _number(self) -> str:
        draw = self.draw
        whole = draw.choice(["0", "7", "10", "100", str(draw.getrandbits(draw.choice([8, 53, 64, 65, 200])))])
        fraction = draw.choice(["", "", ".0", ".5", ".10", ".000", ".0000001", "." + str(draw.getrandbits(60))])
        exponent = draw.choice(["", "", "", "e2", "E+5", "e-0", "e400", "e-400"])
        return draw.choice(["", "-"]) + whole + fraction + exponent

    def _text(self) -> str:
        texts = [
            "",
            " ",
            "x",
            "1.10",
            "1.10|",
            "|",
            "|1",
            "[1, 2]",
            '{"a" : 1}',
            ", ]",
            "NaN",
            ":nan,",
            "null",
            ",1.10,",
        ]
        texts += [
            "\x00",
            "\x1f",
            "\x7f",
            "ž",
            "😀",
            "\u2028",
            "\\",
            '\\"',
            "a/b",
            "\\u001f",
            "\t\r\n",
            "\u0085",
            "${x}",
            "$1",
        ]
        return self._string("".join(self.draw.choices(texts, k=self.draw.randrange(3))))

    def _string(self, text: str) -> str:
        return '"' + "".join(self._character(c) for c in text) + '"'

    def _character(self, character: str) -> str:
        draw, code = self.draw, ord(character)
        if code < 0x10000 and draw.random() < 0.15:
            return f"\\u{code:04x}" if draw.random() < 0.5 else f"\\u{code:04X}"
        if code >= 0x10000 and draw.random() < 0.5:
            pair = character.encode("utf-16-be").hex()
            return draw.choice(
                ["\\u" + pair[:4] + "\\u" + pair[4:], "\\u" + pair[:4], "\\u" + pair[4:] + "\\u" + pair[:4]]
            )
        if character == "/" and draw.random() < 0.5:
            return "\\/"
        return character if character not in '"\\' and code >= 32 else json.dumps(character)[1:-1]

    def _space(self) -> str:
        return self.draw.choice(["", "", "", "", " ", "\n", "\t ", "\r\n"])
