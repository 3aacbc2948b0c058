"""The plot of the cumulative error distribution for papers and slides; the only module here that loads matplotlib."""

from typing import TYPE_CHECKING

from canthus.errors import need
from canthus.evaluate.report.ced import ced_curve, spread
from canthus.evaluate.report.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0068b5", "#d55e00", "#00a078", "#d070b0", "#e69f00", "#5ab8ee", "#23272e", "#702810")
"""Colours of the systems, those of the page on a light background: distinct with each kind of colour blindness."""


def check_matplotlib() -> None:
    """Check that plots can be drawn, before the long work starts.

    Raises:
        ExtraMissingError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise need("report") from error


def ced_figure(study: Study) -> "Figure":
    """Cumulative error distributions of the subject and of the other systems, to be saved as SVG or PNG."""
    check_matplotlib()
    from matplotlib.figure import Figure

    entries, threshold = [study.entries[0], *study.rivals[: len(COLOURS) - 1]], study.result.protocol.threshold
    figure = Figure(figsize=(9.2, 4.4), dpi=160)
    axes = figure.add_axes((0.07, 0.13, 0.58, 0.84))
    ends = []
    for index, (entry, colour) in reversed(list(enumerate(zip(entries, COLOURS, strict=False)))):
        x, y = ced_curve(entry.result.errors, threshold)
        axes.plot(100 * x, 100 * y, color=colour, linewidth=1.2 if index else 2.4)
        ends.append((100 * float(y[-1]), entry.result.auc, entry.label, colour))
    axes.set(xlim=(0, 100 * threshold), ylim=(0, 100), xlabel=f"error, % of {study.result.protocol.unit}")
    axes.set_ylabel("faces with at most this error, %")
    axes.grid(color="#e4e7ec", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    ends.sort()
    for (end, area, label, colour), height in zip(ends, spread([end[0] for end in ends], 5, 1, 99), strict=True):
        axes.annotate(
            f"{label}, AUC {100 * area:.1f} %",
            (1, end / 100),
            (1.08, height / 100),
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 0},
            va="center",
            fontsize="small",
            parse_math=False,
        )
    return figure
