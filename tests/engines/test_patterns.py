"""A contract's pattern is found in the same texts on every engine: those in which Python's plain reading finds it."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

import pyarrow as pa
import pytest

from dagster_lake.contract.patterns import PatternError, common_pattern
from dagster_lake.engines.spark.patterns import offer_patterns
from tests.engines.dialects import Side, SparkSide

ALPHABET = "abkKsiI01_ -.\n\r\tžŽſKİıßẞσςΣé😀\u2028\u0085\x0b\x00^]\\中𮯰⿼"
"""All that texts are made of: ends of lines, white space, letters that have several other cases, new ideographs."""
SAME = ["kKK", "sSſ", "iI", "žŽ", "ßẞ", "σςΣ", "aA", "bB", "éÉ"]
"""Letters that are one without case, by Unicode's simple folding."""
LONG = ["ab01" * 5000, "a" * 20_000 + "!", "ž" * 5000, " " * 5000]
EVERYTHING = frozenset(ALPHABET)
DIGITS, WORDS, SPACES = (
    frozenset("01"),
    frozenset(c for c in ALPHABET if c.isascii() and (c.isalnum() or c == "_")),
    frozenset("\t\n\x0c\r "),
)
ESCAPES = {"d": DIGITS, "w": WORDS, "s": SPACES & EVERYTHING}
NAMED = {"alpha": "abkKsiI", "digit": "01", "space": "\n\r\t\x0b ", "upper": "KI", "punct": "_-.^]\\"}


@dataclass(frozen=True)
class Node:
    """A part of an expression: its kind, its text, the characters that it stands for, and the parts in it."""

    kind: str
    text: str
    characters: frozenset[str] = frozenset()
    parts: tuple["Node", ...] = ()
    least: int = 0
    most: int | None = 0


@dataclass
class Written:
    """Writes expressions at random."""

    draw: Random
    flags: frozenset[str] = field(default=frozenset())

    def expression(self, depth: int = 3) -> Node:
        branches = tuple(self.branch(depth) for _ in range(self.draw.choice([1, 1, 1, 2, 3])))
        return Node("any of", "|".join(b.text for b in branches), parts=branches)

    def branch(self, depth: int) -> Node:
        parts = tuple(self.repeated(depth) for _ in range(self.draw.choice([0, 1, 1, 2, 3])))
        return Node("all of", "".join(p.text for p in parts), parts=parts)

    def repeated(self, depth: int) -> Node:
        part = self.part(depth)
        if part.kind == "at" or self.draw.random() < 0.55:
            return part
        least, most, text = self.draw.choice(
            [(0, None, "*"), (1, None, "+"), (0, 1, "?"), (2, 2, "{2}"), (1, 3, "{1,3}"), (2, None, "{2,}")]
        )
        lazy = self.draw.choice(["", "", "?"])
        return Node("repeat", f"{part.text}{text}{lazy}", parts=(part,), least=least, most=most)

    def part(self, depth: int) -> Node:
        if depth and self.draw.random() < 0.35:
            return self.group(depth - 1)
        if self.draw.random() < 0.15:
            # Not \\B, which RE2 also finds between the bytes of a letter.
            text = self.draw.choice(["^", "$", "\\A", "\\z", "\\b"])
            return Node("at", text, least=int("m" in self.flags))
        if self.draw.random() < 0.4:
            return self.bracket()
        return self.one()

    def group(self, depth: int) -> Node:
        opening, flags = self.draw.choice(
            [("(", ""), ("(?:", ""), ("(?P<{}>", ""), ("(?<{}>", ""), ("(?i:", "i"), ("(?s:", "s"), ("(?m:", "m")]
        )
        inside = Written(self.draw, self.flags | {*flags}).expression(depth)
        opening = opening.format(f"name_{self.draw.randrange(10**9)}")
        return Node("any of", f"{opening}{inside.text})", parts=inside.parts)

    def one(self) -> Node:
        kind = self.draw.randrange(6)
        if kind == 0:
            return Node("one", ".", EVERYTHING if "s" in self.flags else EVERYTHING - {"\n"})
        if kind == 1:
            text, characters = self.escape()
            return Node("one", text, characters)
        character = self.draw.choice(ALPHABET)
        return Node("one", self.literal(character), self.folded({character}))

    def bracket(self) -> Node:
        texts, characters = [], set()
        for _ in range(self.draw.choice([1, 1, 2, 3])):
            kind = self.draw.randrange(5)
            if kind == 0:
                text, found = self.escape(within=True)
            elif kind == 1:
                name = self.draw.choice(sorted(NAMED))
                text, found = f"[:{name}:]", self.folded(NAMED[name])
            elif kind == 2:
                low, high = sorted(self.draw.choice(ALPHABET) for _ in range(2))
                text = f"{self.literal(low)}-{self.literal(high)}"
                found = self.folded(c for c in ALPHABET + "".join(SAME) if low <= c <= high)
            else:
                character = self.draw.choice(ALPHABET)
                text, found = self.literal(character), self.folded({character})
            texts.append(text)
            characters |= found
        negated = self.draw.random() < 0.3
        found = EVERYTHING - characters if negated else frozenset(characters) & EVERYTHING
        return Node("one", f"[{'^' if negated else ''}{''.join(texts)}]", frozenset(found))

    def escape(self, *, within: bool = False) -> tuple[str, frozenset[str]]:
        if self.draw.random() < 0.5:
            letter = self.draw.choice("dws")
            positive, negative, found = f"\\{letter}", f"\\{letter.upper()}", self.folded(ESCAPES[letter])
        else:
            name = self.draw.choice(["L", "Lu", "Ll", "Lo", "N", "P", "S", "So", "Zs", "Greek", "Han", "Common"])
            positive, negative = f"\\p{{{name}}}", f"\\P{{{name}}}"
            found = self.folded(c for c in ALPHABET + "".join(SAME) if _is(c, name))
            if within:
                return positive, found
        return (negative, EVERYTHING - found) if self.draw.random() < 0.3 else (positive, found)

    def literal(self, character: str) -> str:
        if character.isascii() and not character.isalnum() and character != "_":
            return f"\\x{{{ord(character):x}}}"
        return character if self.draw.random() < 0.8 else f"\\x{{{ord(character):X}}}"

    def folded(self, characters: Iterable[str]) -> frozenset[str]:
        found = set(characters)
        if "i" in self.flags:
            found |= {c for same in SAME if found & set(same) for c in same}
        return frozenset(found & EVERYTHING)


def _is(character: str, name: str) -> bool:
    if name == "Greek":
        return character in "σςΣ"
    if name == "Han":
        return character in "中𮯰"
    if name == "Common":
        return not character.isalpha() and character != "𮯰"
    category = {"𮯰": "Lo", "⿼": "So"}.get(character) or unicodedata.category(character)
    return category.startswith(name)


def found_in(text: str, node: Node) -> bool:
    """Whether the expression is found anywhere in the text."""
    return bool(_ends(node, text, set(range(len(text) + 1))))


def _ends(node: Node, text: str, starts: set[int]) -> set[int]:
    """Where what the expression takes may end, when it begins at one of ``starts``."""
    if node.kind == "one":
        return {at + 1 for at in starts if at < len(text) and text[at] in node.characters}
    if node.kind == "at":
        return {at for at in starts if _holds(node.text, text, at, each_line=bool(node.least))}
    if node.kind == "all of":
        for part in node.parts:
            starts = _ends(part, text, starts)
        return starts
    if node.kind == "any of":
        return {end for part in node.parts for end in _ends(part, text, starts)}
    (part,) = node.parts
    for _ in range(node.least):
        starts = _ends(part, text, starts)
    found = last = starts
    times = 0
    while last and (node.most is None or times < node.most - node.least):
        last = _ends(part, text, last) - found
        found = found | last
        times += 1
    return found


def _holds(anchor: str, text: str, at: int, *, each_line: bool) -> bool:
    before, after = text[at - 1 : at] if at else "", text[at : at + 1]
    if anchor in ("^", "\\A"):
        return not before or (anchor == "^" and each_line and before == "\n")
    if anchor in ("$", "\\z"):
        return not after or (anchor == "$" and each_line and after == "\n")
    return (before in WORDS) != (after in WORDS)


def finds(side: Side, patterns: list[str], texts: Sequence[str | None]) -> list[list[bool | None]]:
    """In which texts each pattern is found, by one query."""
    each = ", ".join(side.dialect.contains("x", pattern) for pattern in patterns)
    found = side.evaluate(f"array({each})" if side.name == "spark" else f"[{each}]", texts, pa.string())
    return [list(column) for column in zip(*found, strict=True)]


def some(seed: int, count: int) -> tuple[list[Node], list[str]]:
    """Expressions that a contract takes, and texts."""
    draw, nodes = Random(seed), []
    while len(nodes) < count:
        node = Written(draw).expression()
        try:
            common_pattern(node.text)
        except PatternError:
            continue
        nodes.append(node)
    return nodes, ["".join(draw.choices(ALPHABET, k=draw.randrange(9))) for _ in range(40)]


def test_random_patterns_are_found_where_python_s_model_finds_them(side: Side) -> None:
    nodes, texts = some(seed=7, count=100)

    found = finds(side, [node.text for node in nodes], texts)

    wanted = [[found_in(text, node) for text in texts] for node in nodes]
    differing = [
        (node.text, text, is_found)
        for node, row, wanted_row in zip(nodes, found, wanted, strict=True)
        for text, is_found, is_wanted in zip(texts, row, wanted_row, strict=True)
        if is_found != is_wanted
    ]
    assert differing == []
    assert 0.2 < sum(map(sum, wanted)) / (len(nodes) * len(texts)) < 0.8, "the cases say something"


PATTERNS = [
    "^a$",
    "a.b",
    "(?s)a.b",
    "^.$",
    "^[^a]$",
    "\\bž",
    "\\Bb",
    "\\w+",
    "\\s",
    "[\\s]",
    "\\S",
    "[[:alpha:]]",
    "[[:^space:]]",
    "[a&&b]",
    "[[]",
    "[]a]",
    "[^]a]",
    "a{,2}",
    "a{2}",
    "{",
    "\\x41",
    "\\x{1F600}",
    "(?P<first_one>a)b",
    "(?i)ŽLUŤ",
    "(?i:a)b",
    "\\Qa.b\\E",
    "\\pL",
    "\\p{Lu}",
    "\\p{Greek}",
    "\\v",
    "[\\v]",
    "(?<x>a)",
    "(?i)[^k]",
    "(?U)a+",
    "(?i:)b",
    "(?m)^b",
    "\\$",
    "[$]",
    "a|b$",
    "^$",
    "\\z",
    "'",
    "\\\\",
    "${x}",
    "[a\\]]",
]
TEXTS = [
    "",
    "a",
    "a\n",
    "\na",
    "a\nb",
    "a\rb",
    "a\u2028b",
    "a\u0085b",
    "ab",
    "aa",
    "ž",
    " ž",
    "až",
    "žluť",
    "\x0b",
    "\u00a0",
    "&",
    "b",
    "[",
    "]",
    "A",
    "😀",
    "a.b",
    "axb",
    "α",
    "$",
    "a{,2}",
    "{",
    "'",
    "\\",
    "${x}",
    "1",
    "_",
    "\t",
    "a\r\n",
]


def test_patterns_mean_what_re2_says(side: Side) -> None:
    import pyarrow.compute as pc

    wanted = [pc.match_substring_regex(pa.array(TEXTS), pattern).to_pylist() for pattern in PATTERNS]

    found = finds(side, PATTERNS, TEXTS)

    assert dict(zip(PATTERNS, found, strict=True)) == dict(zip(PATTERNS, wanted, strict=True))


def test_patterns_mean_the_same_where_spark_passes_columns_as_pandas_only(
    spark_side: SparkSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Databricks' runtime of Spark 4.0."""
    import pyarrow.compute as pc
    from pyspark.sql import functions

    texts = [*TEXTS, None, *LONG]
    asked = []
    pandas_udf = functions.pandas_udf
    monkeypatch.delattr(functions, "arrow_udf")
    monkeypatch.setattr(functions, "pandas_udf", lambda *of: asked.append(of) or pandas_udf(*of))
    offer_patterns(spark_side.spark)
    try:
        found = finds(spark_side, PATTERNS, texts)
    finally:
        monkeypatch.undo()
        offer_patterns(spark_side.spark)
    wanted = [pc.match_substring_regex(pa.array(texts), pattern).to_pylist() for pattern in PATTERNS]
    assert len(asked) == 1
    assert dict(zip(PATTERNS, found, strict=True)) == dict(zip(PATTERNS, wanted, strict=True))


def test_a_long_text_takes_no_stack_and_no_time_that_grows_faster_than_it(side: Side) -> None:
    patterns = ["^(?:[a-z]|[0-9])+$", "^(a+)+$", "^(?:a?b?)*\\d+$", "^(\\w+\\s?)*$", "(x+x+)+y", "^(?:ž|[^!])+$"]

    found = finds(side, patterns, LONG)

    assert found == [
        [True, False, False, False],
        [False] * 4,
        [False] * 4,
        [True, False, False, False],
        [False] * 4,
        [True, False, True, True],
    ]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "missing"),
        ("(?=a)", "without look-around"),
        ("(a)\\1", "without look-around and back references"),
        ("\\p{Garay}", "Garay"),
        ("\\p{Kawi}", "not known to every engine; name the characters"),
        ("[\\P{L}]", "write it outside"),
        ("\\C", "write the character as"),
        ("(?i)\ufb05", "name both of them"),
        ("(?i)[\ufb00-\ufb05]", "name both of them"),
        ("\\pL{1000}", "repeat less"),
    ],
)
def test_a_pattern_that_engines_read_differently_is_refused_with_the_remedy(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError, match=problem):
        common_pattern(pattern)


def test_what_newer_releases_of_re2_know_is_spelled_so_that_older_ones_know_it_too() -> None:
    assert common_pattern("(?<x>a)(?P<y>b)") == "(a)(b)"
    assert common_pattern("\\pL") == "[\\p{L}\\x{2EBF0}-\\x{2EE5D}]"
    assert common_pattern("[^\\p{L}a]\\P{L}") == ("[^\\p{L}\\x{2EBF0}-\\x{2EE5D}a][^\\p{L}\\x{2EBF0}-\\x{2EE5D}]")
    for same in ("^[a-z0-9._%+-]+@([a-z0-9-]+\\.)+[a-z]{2,}$", "[]a-]", "a{,2}|[[:^alpha:]-]", "(?i:ŽLUŤ)\\x{1F600}$"):
        assert common_pattern(same) == same
