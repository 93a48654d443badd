"""The style of all figures: print size, one style per method, colour-blind safe colours."""

from __future__ import annotations

import itertools
import math
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cl_moe.analysis.data import StudyData

__all__ = (
    "COLUMN",
    "OTHER",
    "PAGE",
    "AbsentError",
    "Style",
    "context",
    "evenly",
    "figure",
    "grid",
    "legend",
    "percent",
    "short",
    "styles",
    "task_axis",
)

COLUMN, PAGE = 3.5, 7.0  # inches: the width of one column of a two-column page, and of the page
# Okabe & Ito (2008), jfly.uni-koeln.de/color, without yellow (too light to print) and black.
RED, BLUE, GREEN, PINK, ORANGE, SKY = COLOURS = (
    "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "p")
SOLID, DASHED, DOTTED = DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)))


class AbsentError(Exception):
    """A figure cannot be drawn because its data are not in the study; the message names them."""


class Style(NamedTuple):
    """A method's colour, marker and dash, the same in every figure."""

    colour: str
    marker: str
    dash: Any

    def line(self, **more: Any) -> dict[str, Any]:
        """Return keywords for ``Axes.plot``."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.dash, **more}


OTHER = Style("#B8B8B8", "", SOLID)
"""The style of methods that are not highlighted."""

# The style of a type of method, the same in every study, so that figures can be compared. Methods
# of one family share a colour. References are grey or black, and never solid.
FIXED: Mapping[str, Style] = types.MappingProxyType(
    {
        "moe": Style(RED, "o", SOLID),
        "dense": Style(BLUE, "s", SOLID),
        "dense_wide": Style(BLUE, "h", DASHED),
        "ewc": Style(GREEN, "^", SOLID),
        "ewc_avalanche": Style(GREEN, "<", DASHED),
        "si": Style(GREEN, ">", DOTTED),
        "mas": Style(GREEN, "p", DASHED),
        "rwalk": Style(GREEN, "8", DOTTED),
        "replay": Style(PINK, "D", SOLID),
        "agem": Style(PINK, "*", DASHED),
        "lwf": Style(SKY, "v", SOLID),
        "packnet": Style(ORANGE, "X", SOLID),
        "progressive": Style(ORANGE, "P", DASHED),
        "ridge": Style("#999999", "1", DASHED),
        "nearest_mean": Style("#999999", "2", DOTTED),
        "single_task": Style("#555555", "d", (0, (5, 2))),
        "joint": Style("#000000", "x", (0, (1, 1.5))),
    }
)


def styles(data: StudyData) -> dict[str, Style]:
    """Return the look of every method.

    The method that stands for a type in :data:`FIXED` has that style, in every study. The
    others take, in the study's order, the style that is most different from those before.
    """
    found = {method: FIXED[kind] for method, kind in _plain(data) if kind in FIXED}
    for method in data.method_names:
        if method not in found:
            found[method] = _rarest_style(found.values())
    return {method: found[method] for method in data.method_names}


def _plain(data: StudyData) -> Iterator[tuple[str, str]]:
    """Yield the method that stands for every type, and the type."""
    for kind in dict.fromkeys(map(str, data.methods["type"])):
        yield str(data.of_type(kind)), kind.replace("-", "_")


def _rarest_style(taken: Iterable[Style]) -> Style:
    """Return the style whose marker, then colour, then dash is rarest among those taken.

    As long as there is one, it is a marker in a colour that is not taken: points have no dash. The
    colour of the mixture is used last.
    """
    taken = list(taken)
    markers, colours, dashes = (Counter(style[i] for style in taken) for i in (1, 0, 2))
    points = Counter(style[:2] for style in taken)
    styles = [Style(*parts) for parts in itertools.product((*COLOURS[1:], RED), MARKERS, DASHES)]

    def use(style: Style) -> tuple[int, ...]:
        colour, marker, dash = style
        of_parts = (markers[marker], colours[colour], dashes[dash])
        return (style in taken, points[colour, marker], *of_parts)

    return min(styles, key=use)


@contextmanager
def context(*, formulas: bool = False) -> Iterator[None]:
    """Set fonts (7 to 8 points, as text in vector files) and thin lines within the context.

    Args:
        formulas: whether ``$...$`` in a text is a formula; in a name it is not.
    """
    settings = {
        **sns.axes_style("ticks"),
        "font.size": 7.5, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7.5,
        "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.linewidth": 0.6,
        "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
        "ytick.major.size": 2.5, "lines.linewidth": 1.2, "lines.markersize": 3.5,
        "axes.titlepad": 3.0, "axes.labelpad": 2.0, "legend.frameon": False,
        "text.parse_math": formulas, "pdf.fonttype": 42, "svg.fonttype": "none", "savefig.dpi": 220,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


def figure(width: float, height: float) -> Figure:
    """Return an empty figure without pyplot state; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def grid(
    panels: int, *, most: int, height: float, panel: float | None = None, **more: Any
) -> tuple[Figure, list[Axes]]:
    """Return a page-wide figure with panels in rows of similar length.

    Args:
        panels: number of panels.
        most: most panels per row.
        height: inches per row.
        panel: inches per column, for panels of a fixed shape; by default they fill the page.
        more: keywords for ``Figure.subplots``.
    """
    rows = math.ceil(panels / most)
    columns = math.ceil(panels / rows)
    # A narrow figure for few panels.
    width = PAGE * max(columns / most, 0.5) if rows == 1 else PAGE
    if panel is not None:
        width = min(PAGE, 1.8 + panel * columns)  # labels at the left, a colour bar at the right
    drawn = figure(width, height * rows + 0.45)
    axes = drawn.subplots(rows, columns, squeeze=False, **more).flatten()
    for spare in axes[panels:]:
        spare.set_visible(False)
    for last in axes[max(0, panels - columns) : panels]:
        last.tick_params(labelbottom=True)  # also where the panel below is empty
    return drawn, list(axes[:panels])


def percent(axis: Any, *, sign: bool = False) -> None:
    """Label an axis of shares (0..1) in per cent."""

    def text(share: float, _: object) -> str:
        points = round(100 * share, 6) + 0.0
        return f"{points:+g}" if sign and points else f"{points:g}"

    axis.set_major_formatter(FuncFormatter(text))


def task_axis(ax: Axes, count: int) -> None:
    """Make x the number of tasks learned, 1..count, with whole numbers as ticks."""
    ax.set_xlim(0.7, count + 0.3)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if count <= 8:
        ax.set_xticks(range(1, count + 1))


def legend(drawn: Figure, shown: dict[str, Style], more: Sequence[Line2D] = ()) -> None:
    """Add one legend of the methods (and of other labelled lines) above all panels.

    The figure grows by the rows of the legend; the panels keep their size.
    """
    handles = [Line2D([], [], label=method, **style.line()) for method, style in shown.items()]
    handles += more
    # Approximate widths in inches; legends are filled by column, as wide as its longest entry.
    wide = np.array([0.4 + 0.058 * len(str(line.get_label())) for line in handles])
    columns = next(
        (n for n in range(len(wide), 1, -1)
         if sum(part.max() for part in np.array_split(wide, n)) <= drawn.get_figwidth()), 1,
    )  # fmt: skip
    rows = math.ceil(len(handles) / columns)
    drawn.set_figheight(drawn.get_figheight() + 0.15 * (rows - 1))
    drawn.legend(
        handles=handles, loc="outside upper center", ncols=columns,
        handlelength=2.2, handletextpad=0.6, columnspacing=1.0,
    )  # fmt: skip


def evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` of 0..count-1, evenly spread, first and last among them.

    >>> evenly(3, 5), evenly(100, 5)
    ([0, 1, 2], [0, 25, 50, 74, 99])
    """
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()})


def short(names: Sequence[str], most: int = 16) -> list[str]:
    """Return names with the middle of long ones replaced by an ellipsis.

    >>> short(["mnist", "fashion-mnist-inverted-100"])
    ['mnist', 'fashion-…ted-100']
    """
    half = most // 2
    return [n if len(n) <= most else f"{n[:half]}…{n[-(most - half - 1) :]}" for n in names]
