"""Numbers over time as a line of text, for where a picture would not be shown."""

from collections.abc import Mapping, Sequence

_STEPS = "▁▂▃▄▅▆▇█"


def sparklines(title: str, lines: Mapping[str, Sequence[float | None]]) -> str:
    """Markdown: a line of bars for each name, with the least and the greatest number; bars begin at zero."""
    widest = max(map(len, lines))
    return "\n".join(["```", title, *(f"{name:<{widest}} {_line(values)}" for name, values in lines.items()), "```"])


def _line(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "nothing"
    highest = max(known) or 1
    bars = "".join(" " if v is None else _STEPS[round((len(_STEPS) - 1) * v / highest)] for v in values)
    return f"{bars} {min(known):,.0f} to {max(known):,.0f}"
