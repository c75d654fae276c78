"""Regular expressions of contracts are RE2's; this writes them so that Java, Spark's language, means the same.

Both know most of it. What they read differently is spelled another way here, and what Java cannot say is refused.
"""

import re

_WORD = "[0-9A-Za-z_]"
_BOUNDARY = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_BOUNDARY = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"
_SPACE = "\\t\\n\\f\\r "
_ESCAPES = {"s": f"[{_SPACE}]", "S": f"[^{_SPACE}]", "b": _BOUNDARY, "B": _NO_BOUNDARY, "v": "\\x0B"}
_SAME = set("dDwWAztnrfa")
_REPETITION = re.compile(r"\{[0-9]+(,[0-9]*)?\}")
_GROUP = re.compile(r"\((\?P?<\w+>|\?([a-zA-Z-]*)([:)]))?")
_HEXADECIMAL = re.compile(r"\\x([0-9A-Fa-f]{2}|\{[0-9A-Fa-f]+\})")
_PROPERTY = re.compile(r"\\([pP])(\w|\{\w+\})")
_NAMED_CLASS = re.compile(r"\[:(\^?)(\w+):\]")
_NAMED_CLASSES = {
    name.lower(): name
    for name in [
        "Alnum",
        "Alpha",
        "ASCII",
        "Blank",
        "Cntrl",
        "Digit",
        "Graph",
        "Lower",
        "Print",
        "Punct",
        "Space",
        "Upper",
        "XDigit",
    ]
}


class PatternError(ValueError):
    """A pattern that Java cannot say; the message names the part."""


def java_pattern(pattern: str) -> str:
    """``pattern``, valid in RE2, for ``java.util.regex`` with the flag UNIX_LINES. Raises PatternError."""
    found, at = [], 0
    while at < len(pattern):
        part, at = _next(pattern, at)
        found.append(part)
    return "".join(found)


def _next(pattern: str, at: int) -> tuple[str, int]:
    """What stands at ``at``, as Java spells it, and where the next part begins."""
    character = pattern[at]
    if character == "\\":
        return _escape(pattern, at)
    if character == "[":
        return _class(pattern, at)
    if character == "(":
        return _group(pattern, at)
    if character == "$":
        return "\\z", at + 1  # Java's $ also stands before a line feed at the end
    if character == "{" and not _REPETITION.match(pattern, at):
        return "\\{", at + 1
    return character, at + 1


def _escape(pattern: str, at: int, *, in_class: bool = False) -> tuple[str, int]:
    letter = pattern[at + 1]
    if match := _HEXADECIMAL.match(pattern, at) or (letter in "pP" and _PROPERTY.match(pattern, at)):
        return (_property(match) if letter in "pP" else match[0]), match.end()
    if letter == "Q" and not in_class:
        end = pattern.find("\\E", at)
        quoted = pattern[at + 2 :] if end < 0 else pattern[at + 2 : end]
        return re.sub(r"([^\w\s])", r"\\\1", quoted, flags=re.ASCII), len(pattern) if end < 0 else end + 2
    if in_class and letter == "s":
        return _SPACE, at + 2
    if letter in _ESCAPES and not (in_class and letter in "SbB"):
        return _ESCAPES[letter], at + 2
    if (letter in _SAME and not (in_class and letter in "Az")) or not (letter.isalnum() and letter.isascii()):
        return pattern[at : at + 2], at + 2
    raise PatternError(f"{pattern[at : at + 2]!r} means another thing, or nothing, in Java's regular expressions")


def _property(match: re.Match[str]) -> str:
    name = match[2].strip("{}")
    return f"\\{match[1]}{{{name if len(name) <= 2 else f'Is{name}'}}}"


def _group(pattern: str, at: int) -> tuple[str, int]:
    match = _GROUP.match(pattern, at)
    assert match is not None
    flags = match[2] or ""
    if unknown := set(flags) - set("is-"):
        raise PatternError(f"the flag {''.join(sorted(unknown))!r} means another thing in Java's regular expressions")
    if match[1] is None or match[3] is None:
        return "(", match.end()  # names of groups have no use here, and Java's may not have underscores
    # Without u, Java's i is about ASCII letters alone.
    return f"(?{flags.replace('i', 'iu')}{match[3]}", match.end()


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression. Java nests and intersects them, so brackets and ampersands inside are escaped."""
    found, at = ["["], at + 1
    if pattern[at] == "^":
        found.append("^")
        at += 1
    start = at
    while pattern[at] != "]" or at == start:
        character = pattern[at]
        if match := _NAMED_CLASS.match(pattern, at):
            found.append(_named_class(match))
            at = match.end()
        elif character == "\\":
            part, at = _escape(pattern, at, in_class=True)
            found.append(part)
        else:
            found.append("\\" + character if character in "[]&^" else character)
            at += 1
    return "".join((*found, "]")), at + 1


def _named_class(match: re.Match[str]) -> str:
    if match[2] == "word":
        return "\\W" if match[1] else "\\w"
    return f"\\{'P' if match[1] else 'p'}{{{_NAMED_CLASSES[match[2]]}}}"
