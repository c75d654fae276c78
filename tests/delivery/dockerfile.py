"""Reads the Dockerfile and .dockerignore as Docker would."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, and the rest with continued lines joined."""

    word: str
    rest: str
    line: int


@dataclass(frozen=True)
class Copy:
    """A COPY: from another stage or, without ``stage``, from the build context."""

    sources: tuple[str, ...]
    target: str
    stage: str | None


@dataclass(frozen=True)
class Stage:
    """What stands between one FROM and the next; the last one is the image."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[str]:
        """What follows each ``word``."""
        return [one.rest for one in self.instructions if one.word == word]

    def copies(self) -> list[Copy]:
        return [copied(rest) for rest in self.all("COPY")]


@dataclass(frozen=True)
class Dockerfile:
    """The arguments before the first FROM, with their defaults, and the stages."""

    arguments: dict[str, str]
    stages: tuple[Stage, ...]

    @property
    def image(self) -> Stage:
        return self.stages[-1]


def read_dockerfile(text: str) -> Dockerfile:
    """Raises ValueError for what this reader does not know."""
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[Instruction]]] = []
    for one in _instructions(text):
        if one.word == "FROM":
            base, _, name = (part.strip() for part in re.split(r"(\s+AS\s+|$)", one.rest, maxsplit=1, flags=re.I))
            stages.append((name or str(len(stages)), base, []))
        elif stages:
            stages[-1][2].append(one)
        elif one.word == "ARG":
            name, _, value = one.rest.partition("=")
            arguments[name] = value
        else:
            raise ValueError(f"line {one.line}: {one.word} before FROM")
    return Dockerfile(arguments, tuple(Stage(name, base, tuple(inside)) for name, base, inside in stages))


def copied(rest: str) -> Copy:
    """The parts of a COPY. Raises ValueError for options that this reader does not know."""
    *parts, target = shlex.split(rest)
    options = [part for part in parts if part.startswith("--")]
    if unknown := [option for option in options if not option.startswith("--from=")]:
        raise ValueError(f"COPY {unknown}: this reader knows --from only")
    stage = options[0].removeprefix("--from=") if options else None
    return Copy(tuple(part for part in parts if part not in options), target, stage)


def pairs(rest: str) -> dict[str, str]:
    """The names and values of an ENV or a LABEL."""
    return dict(part.split("=", 1) for part in shlex.split(rest))


def filled(text: str, values: dict[str, str]) -> str:
    """``text`` with $NAME and ${NAME} replaced."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values.get(found[1] or found[2], ""), text)


def _instructions(text: str) -> Iterator[Instruction]:
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or joined):
            continue
        joined, first = joined + line.strip(), first or number
        if joined.endswith("\\"):
            joined = joined[:-1].rstrip() + " "
            continue
        word, _, rest = joined.partition(" ")
        yield Instruction(word.upper(), rest.strip(), first)
        joined, first = "", 0


# ---- the build context -----------------------------------------------------------------------------------------------


def context_files(root: Path) -> list[str]:
    """Every file that Docker is given, relative to ``root``: of the patterns that match it, the last one decides."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    rules = [(pattern.startswith("!"), _matcher(pattern.lstrip("!"))) for pattern in patterns]
    wanted = [pattern[1:].split("*")[0] for pattern in patterns if pattern.startswith("!")]

    def taken(path: str) -> bool:
        levels = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
        matching = [back for back, matcher in rules if any(matcher.fullmatch(level) for level in levels)]
        return not matching or matching[-1]

    found = []
    for folder, folders, files in os.walk(root):
        here = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
        folders[:] = [
            name for name in folders if taken(here + name) or any(w.startswith(f"{here}{name}/") for w in wanted)
        ]
        found += [here + name for name in files if taken(here + name)]
    return sorted(found)


def _matcher(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces))
