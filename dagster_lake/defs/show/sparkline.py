"""Numbers over time as a line of text, for where a picture would not be shown."""

from collections.abc import Mapping, Sequence

_STEPS = "▁▂▃▄▅▆▇█"


def sparklines(title: str, lines: Mapping[str, Sequence[float | None]]) -> str:
    """Markdown: a line of bars for each name, with the least and the greatest number; bars begin at zero."""
    drawn = [(f"{name} {_between(values)}", _bars(values)) for name, values in lines.items()]
    widest = max(len(head) for head, _ in drawn)
    return "\n".join(["```", title, *(f"{head:<{widest}} {bars}" for head, bars in drawn), "```"])


def _between(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):,.0f} to {max(known):,.0f}" if known else "none"


def _bars(values: Sequence[float | None]) -> str:
    highest = max((value for value in values if value is not None), default=0) or 1
    return "".join(" " if v is None else _STEPS[round((len(_STEPS) - 1) * v / highest)] for v in values)
