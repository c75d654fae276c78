"""Tables in Markdown, as the UI shows them in metadata."""

from collections.abc import Iterable, Sequence

WIDEST = 40


def table(names: Sequence[str], rows: Iterable[Sequence[object]], *, widest: int = WIDEST) -> str:
    """A table with a head; nothing is shown for None, and of a long value its first ``widest`` characters."""
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(cell(value, widest) for value in row)} |" for row in rows)])


def cell(value: object, widest: int = WIDEST) -> str:
    """A value as the text of a cell, cut short where it is longer than ``widest``."""
    text = "" if value is None else str(value)
    return (text if len(text) <= widest else text[: widest - 1] + "…").replace("|", "\\|").replace("\n", " ")
