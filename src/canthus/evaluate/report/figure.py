"""The plot of the cumulative error distribution for papers and slides; the only module here that loads matplotlib."""

from typing import TYPE_CHECKING

from canthus.errors import need
from canthus.evaluate.report.plots import ced_curve
from canthus.evaluate.report.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#2459d6", "#e07b1a", "#129384", "#b5469a", "#8a7a12", "#7a5ad0", "#8c6248", "#6b7685")


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
    for index, (entry, colour) in reversed(list(enumerate(zip(entries, COLOURS, strict=False)))):
        x, y = ced_curve(entry.result.errors, threshold)
        label = f"{100 * entry.result.auc:.1f} %  {entry.label}"
        axes.plot(100 * x, 100 * y, color=colour, linewidth=1.2 if index else 2.4, label=label)
    axes.set(xlim=(0, 100 * threshold), ylim=(0, 100), xlabel=f"error, % of {study.result.protocol.unit}")
    axes.set_ylabel("faces with at most this error, %")
    axes.grid(color="#e4e7ec", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], title="AUC", frameon=False, fontsize="small", loc=(1.02, 0.45))
    return figure
