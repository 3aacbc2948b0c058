"""The picture of an ablation: errors with their spread, and relative gains beside those of the paper."""

from typing import TYPE_CHECKING, Any

import numpy as np

from canthus.evaluate.report.figure import COLOURS, check_matplotlib
from canthus.study.outcome import Outcome, title_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS, PAPER = COLOURS[0], COLOURS[1]


def picture_of(outcome: Outcome) -> "Figure":
    """One band for each measure: errors of all seeds and their means on the left, gains on the right.

    Raises:
        ExtraMissingError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    rows, measures = outcome.ablation.rows, outcome.ablation.measures
    height = (0.34 * len(rows) + 1.3) * len(measures)
    figure = Figure(figsize=(10, height), dpi=130, layout="constrained")
    grid = figure.subplots(len(measures), 2, squeeze=False, sharey="row", width_ratios=(3, 2))
    for (left, right), measure in zip(grid, measures, strict=True):
        cells = [outcome.cells[measure.name][row.name] for row in rows]
        _errors(left, cells)
        _gains(right, cells)
        left.set_yticks(range(len(rows)), [row.name for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.set_title(title_of(outcome, measure), loc="left", fontsize="small")
        for axes in (left, right):
            axes.grid(axis="x", color="#e4e7ec", linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_axisbelow(True)
    figure.legend(*grid[0, 1].get_legend_handles_labels(), frameon=False, ncols=2, loc="outside lower right")
    return figure


def _errors(axes: Any, cells: list[Any]) -> None:
    """Small dots: seeds; large dots: means, with bars of one standard deviation to each side."""
    for place, cell in enumerate(cells):
        axes.plot(list(cell.values.values()), [place] * len(cell.values), ".", color=OURS, alpha=0.4, markersize=5)
    means, spreads = np.array([cell.error for cell in cells]).T
    axes.errorbar(means, range(len(cells)), xerr=np.nan_to_num(spreads), fmt="o", color=OURS, markersize=6, capsize=3)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.set_xlabel("error, %")


def _gains(axes: Any, cells: list[Any]) -> None:
    """Bars to the right: the error falls."""
    places = np.arange(len(cells))
    means, spreads = np.array([cell.relative for cell in cells]).T
    paper = np.array([cell.paper_relative for cell in cells])
    axes.barh(places - 0.18, means, 0.34, color=OURS, label="ours")
    axes.errorbar(means, places - 0.18, xerr=np.nan_to_num(spreads), fmt="none", ecolor="#23304a", capsize=2)
    axes.barh(places + 0.18, paper, 0.34, color=PAPER, label="paper")
    axes.axvline(0, color="#6b7685", linewidth=0.8)
    axes.set_xlabel("gain, % of the error of the row it is compared with")
