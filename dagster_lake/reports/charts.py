"""Charts as SVG text, small enough to stand inside a page."""

import io
from collections.abc import Callable, Sequence

BLUE, RED, GREY = "#2b6cb0", "#c05621", "#718096"


def bar_chart(labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """Horizontal bars, the first at the top, each with its value."""

    def draw(axes) -> None:  # type: ignore[no-untyped-def]  # matplotlib's types would be imported with it
        bars = axes.barh(range(len(labels)), values, color=BLUE, height=0.7)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.bar_label(bars, labels=[f"{v:,.0f}" for v in values], padding=4, fontsize=9, color="#2d3748")
        axes.set_xlabel(unit)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.15)

    return _svg(draw, height=0.7 + 0.32 * max(len(labels), 2))


def column_chart(labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """Columns over time, oldest at the left."""

    def draw(axes) -> None:  # type: ignore[no-untyped-def]
        axes.bar(range(len(labels)), values, color=BLUE, width=0.7 if len(labels) > 3 else 0.4)
        axes.set_ylabel(unit)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        _time_axis(axes, labels)
        if len(labels) <= 3:
            axes.set_xlim(-2, len(labels) + 1)

    return _svg(draw, height=3.0)


def line_chart(labels: Sequence[str], lines: dict[str, Sequence[float]], unit: str) -> str:
    """Lines over time, each named at its right end; values start at zero."""

    def draw(axes) -> None:  # type: ignore[no-untyped-def]
        for (name, values), color in zip(lines.items(), (BLUE, RED, GREY), strict=False):
            axes.plot(range(len(values)), values, color=color, linewidth=1.8, marker="o", markersize=3)
            axes.annotate(
                name, (len(values) - 1, values[-1]), xytext=(6, 0), textcoords="offset points", color=color, va="center"
            )
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        _time_axis(axes, labels)

    return _svg(draw, height=3.0)


def _time_axis(axes, labels: Sequence[str]) -> None:  # type: ignore[no-untyped-def]
    step = max(1, -(-len(labels) // 12))
    ticks = range(0, len(labels), step)
    axes.set_xticks(list(ticks), [labels[i] for i in ticks], rotation=30, ha="right")


def _svg(draw: "Callable[[object], None]", height: float) -> str:
    # The object interface, not pyplot: pyplot keeps global state, and a run may render on any thread.
    import matplotlib
    from matplotlib.figure import Figure

    # Labels are data: a dollar sign in one begins no formula.
    with matplotlib.rc_context({"svg.hashsalt": "lake", "font.size": 10, "text.parse_math": False}):
        figure = Figure(figsize=(8.6, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both", color="#edf2f7", zorder=0)
        axes.set_axisbelow(True)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]
