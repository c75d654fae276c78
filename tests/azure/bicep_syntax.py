"""A small reader of Bicep: the part of the language that infra/bicep uses, and a refusal of everything else.

It is no second compiler. What it reads, bicep_deployment.py can work out; what it cannot read, it says.
"""

import re
from dataclasses import dataclass, field
from typing import Any


class BicepError(Exception):
    """A template that cannot be read or worked out; the message names the file and the line."""


@dataclass(frozen=True)
class Expression:
    """``kind`` says what ``parts`` are: see the functions of ``_Reader`` that make each."""

    kind: str
    parts: tuple[Any, ...]
    line: int


@dataclass(frozen=True)
class Statement:
    """One statement of a file. ``ref`` is a resource's type and version, or a module's file."""

    kind: str
    name: str
    line: int
    value: Expression | None = None
    ref: str = ""
    type: str = ""
    existing: bool = False
    decorators: dict[str, Expression] = field(default_factory=dict)


_TOKEN = re.compile(
    r"(?P<skip>[ \t]+|//[^\n]*|\#[^\n]*)|(?P<newline>\n)|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>==|!=|>=|<=|&&|\|\||\?\?|\.\?|[-+!<>=?:.,()\[\]{}@])"
)
_STRENGTH = {"??": 1, "||": 2, "&&": 3, "==": 4, "!=": 4, "<": 5, ">": 5, "<=": 5, ">=": 5, "+": 6, "-": 6}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "$": "$"}

Token = tuple[str, Any, int]


def read(text: str, file: str) -> list[Statement]:
    """The statements of a ``.bicep`` or ``.bicepparam`` file. Raises BicepError."""
    try:
        return _Reader(_tokens(text, 0, 1, inside=False)[0]).statements()
    except _Unread as problem:
        raise BicepError(f"{file}:{problem.line}: {problem}") from None


class _Unread(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _tokens(text: str, at: int, line: int, *, inside: bool) -> tuple[list[Token], int, int]:
    """The tokens of a file, or ``inside`` of a string those up to the brace that ends a ``${``."""
    found: list[Token] = []
    depth = 0
    while at < len(text):
        if text[at] == "'":
            begun = line
            parts, at, line = _string(text, at, line)
            found.append(("string", parts, begun))
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unread(line, f"{text[at]!r} cannot be read")
        at, kind, value = match.end(), str(match.lastgroup), match[0]
        if inside and value in "{}":
            depth += 1 if value == "{" else -1
            if depth < 0:
                return [*found, ("end", "", line)], at, line
        if kind != "skip":
            found.append((kind, value, line))
        line += value.count("\n")
    if inside:
        raise _Unread(line, "a ${ is not closed")
    return [*found, ("newline", "\n", line), ("end", "", line)], at, line


def _string(text: str, at: int, line: int) -> tuple[list[Any], int, int]:
    """The parts of a string that begins at ``at``: texts, and lists of tokens."""
    if text.startswith("'''", at):
        raise _Unread(line, "strings of several lines are not read")
    parts: list[Any] = []
    plain, at = "", at + 1
    while True:
        if at >= len(text) or text[at] == "\n":
            raise _Unread(line, "a string is not closed")
        if text[at] == "'":
            return [*parts, plain], at + 1, line
        if text.startswith("${", at):
            tokens, at, line = _tokens(text, at + 2, line, inside=True)
            parts += [plain, tokens]
            plain = ""
        elif text[at] == "\\":
            if text[at + 1] not in _ESCAPES:
                raise _Unread(line, f"unknown escape \\{text[at + 1]}")
            plain, at = plain + _ESCAPES[text[at + 1]], at + 2
        else:
            plain, at = plain + text[at], at + 1


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0

    # ---- tokens ----

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def line(self) -> int:
        return self.token[2]

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def sees(self, *values: str) -> bool:
        return self.token[0] in ("sign", "name") and self.token[1] in values

    def accept(self, *values: str) -> bool:
        if not self.sees(*values):
            return False
        self.at += 1
        return True

    def expect(self, value: str) -> None:
        if not self.accept(value):
            raise _Unread(self.line, f"{value!r} is missing before {self.token[1]!r}")

    def newlines(self) -> None:
        while self.token[0] == "newline":
            self.at += 1

    def name(self) -> str:
        if self.token[0] != "name":
            raise _Unread(self.line, f"a name is missing before {self.token[1]!r}")
        return str(self.take()[1])

    def text(self) -> str:
        """A string without ``${``."""
        if self.token[0] != "string" or len(self.token[1]) != 1:
            raise _Unread(self.line, "a plain string is missing")
        return str(self.take()[1][0])

    # ---- statements ----

    def statements(self) -> list[Statement]:
        found = []
        self.newlines()
        while self.token[0] != "end":
            found.append(self.statement())
            if self.token[0] not in ("newline", "end"):
                raise _Unread(self.line, f"{self.token[1]!r} is left over")
            self.newlines()
        return found

    def statement(self) -> Statement:
        decorators = {}
        while self.accept("@"):
            decorator = self.postfix(self.primary())
            if decorator.kind != "call":
                raise _Unread(decorator.line, "a decorator is a call")
            decorators[decorator.parts[0]] = decorator
            self.newlines()
        line, kind = self.line, self.name()
        if kind == "targetScope":
            return Statement(kind, "", line, self.assigned())
        if kind == "using":
            return Statement(kind, "", line, ref=self.text())
        if kind not in ("param", "var", "output", "metadata", "resource", "module"):
            raise _Unread(line, f"the statement {kind!r} is not read")
        name, ref, type_, existing = self.name(), "", "", False
        if kind in ("resource", "module"):
            ref, existing = self.text(), self.accept("existing")
        elif not self.sees("="):
            type_ = self.name()
        value = self.assigned() if kind != "param" or self.sees("=") else None
        return Statement(kind, name, line, value, ref, type_, existing, decorators)

    def assigned(self) -> Expression:
        self.expect("=")
        return self.expression()

    # ---- expressions ----

    def expression(self) -> Expression:
        condition = self.binary(1)
        if not self.accept("?"):
            return condition
        chosen = self.expression()
        self.expect(":")
        return Expression("choice", (condition, chosen, self.expression()), condition.line)

    def binary(self, strength: int) -> Expression:
        left = self.unary()
        while self.token[0] == "sign" and _STRENGTH.get(self.token[1], 0) >= strength:
            _, sign, line = self.take()
            left = Expression("binary", (sign, left, self.binary(_STRENGTH[sign] + 1)), line)
        return left

    def unary(self) -> Expression:
        if self.sees("!", "-"):
            _, sign, line = self.take()
            return Expression("unary", (sign, self.unary()), line)
        return self.postfix(self.primary())

    def postfix(self, value: Expression) -> Expression:
        while True:
            line = self.line
            if self.accept("."):
                value = Expression("member", (value, self.name()), line)
            elif self.accept(".?"):
                value = Expression("maybe", (value, self.name()), line)
            elif self.accept("["):
                value = Expression("index", (value, self.expression()), line)
                self.expect("]")
            elif not self.accept("!"):
                return value

    def primary(self) -> Expression:
        kind, value, line = self.token
        if kind == "string":
            self.take()
            return Expression("string", tuple(self.part(part) for part in value), line)
        if kind == "number":
            return Expression("literal", (int(self.take()[1]),), line)
        if kind == "name":
            return self.named(line)
        if self.accept("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self.accept("{"):
            return Expression("object", tuple(self.several("}", self.entry)), line)
        if self.accept("["):
            return self.array(line)
        raise _Unread(line, f"a value is missing before {value!r}")

    def part(self, part: Any) -> Any:
        return part if isinstance(part, str) else _Reader(part).expression()

    def named(self, line: int) -> Expression:
        name = self.name()
        if name in ("true", "false", "null"):
            return Expression("literal", ({"true": True, "false": False, "null": None}[name],), line)
        if name == "if" and self.accept("("):
            condition = self.expression()
            self.expect(")")
            return Expression("if", (condition, self.expression()), line)
        if self.accept("("):
            return Expression("call", (name, *self.several(")", self.expression)), line)
        return Expression("name", (name,), line)

    def array(self, line: int) -> Expression:
        self.newlines()
        if not self.accept("for"):
            return Expression("array", tuple(self.several("]", self.expression)), line)
        names = tuple(self.several(")", self.name)) if self.accept("(") else (self.name(),)
        self.expect("in")
        source = self.expression()
        self.expect(":")
        body = self.expression()
        self.newlines()
        self.expect("]")
        return Expression("for", (names, source, body), line)

    def several(self, closing: str, read_one: Any) -> list[Any]:
        """Entries up to the closing sign, with commas or new lines between them."""
        found = []
        self.newlines()
        while not self.accept(closing):
            found.append(read_one())
            if not self.sees(closing) and not self.accept(",") and self.token[0] != "newline":
                raise _Unread(self.line, f"{closing!r} is missing before {self.token[1]!r}")
            self.newlines()
        return found

    def entry(self) -> tuple[Expression, Expression]:
        """A property: its name, which may be worked out, and its value."""
        line = self.line
        key = self.primary() if self.token[0] == "string" else Expression("string", (self.name(),), line)
        self.expect(":")
        return key, self.expression()
