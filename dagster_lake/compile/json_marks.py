"""How JSON passes a reader that changes numbers, or says nothing of what was a string: with its scalars marked.

The string ``"text"`` is given to the reader as ``"|text"`` and the number ``1.10`` as ``"1.10|"``, so that every scalar
but true, false and null is a string: it comes out of the reader as it went in, and the mark says what it was. The
patterns are Java's; RE2 knows no possessive quantifiers and needs none.
"""

MARK = "|"

# Possessive, because Java's other quantifiers recurse once a character.
_CHARACTERS = '(?:[^"\\\\]++|\\\\.)*+'

STRING = f'"{_CHARACTERS}"'
"""A string with its quotes."""

SCALAR = f'"({_CHARACTERS})"|(-?[0-9][-+.0-9eE]*+)'
"""A string, its characters being group 1, or a number, group 2. To be replaced by the groups 2 and 1, as MARKED."""

MARKED_SCALAR = f'(")\\|({_CHARACTERS}")|"([^"|]++)\\|"'
"""A marked string or number. To be replaced by its three groups."""


def marked(first_group: str, second_group: str) -> str:
    """What replaces a SCALAR, given how an engine names its groups."""
    return f'"{second_group}{MARK}{first_group}"'


def re2(pattern: str) -> str:
    """One of these patterns without possessive quantifiers."""
    return pattern.replace("*+", "*").replace("++", "+")
