"""Tables of the page: systems on the same faces, published figures, and errors with a bar for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from canthus.evaluate.report.study import Study, percent
from canthus.evaluate.result import Row

NARROW = 4
"""Largest number of columns that a phone shows without scrolling, where the width is not shared with bars."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and a doubt about it; empty = none."""

    text: str
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, whether it holds words, and whether a group of columns starts with it."""

    title: str
    words: bool = False
    start: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table.

    Attributes:
        name: First cell, the heading of the row.
        cells: The other cells.
        own: Whether the row is that of the subject.
        bar: Length of a bar behind the name, in % of the longest; None = a table without bars.
    """

    name: str
    cells: list[Cell]
    own: bool = False
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        title: Title of the table, for readers who do not see it.
        columns: All columns; those of a table with bars leave out the bars.
        lines: Rows.
        groups: Titles above all columns but the first, and the number of columns that each spans.
        bars: Whether the rows have bars.
    """

    title: str
    columns: list[Column]
    lines: list[Line]
    groups: tuple[tuple[str, int], ...] = ()
    bars: bool = False

    @property
    def wide(self) -> bool:
        """Whether a phone has to scroll it."""
        return len(self.columns) > NARROW and not self.bars


def systems_grid(study: Study) -> Grid:
    """All systems, with a group of columns for each kind of boxes."""
    shown = study.columns()
    lines = []
    for label, by_boxes in study.systems().items():
        found = [by_boxes.get(source) for source in study.sources]
        cells = [Cell(percent(read(entry) if entry else None)) for entry in found for read in shown.values()]
        lines.append(Line(label, cells, own=label == study.entries[0].label))
    names = [Column(name, start=number == 0) for _ in study.sources for number, name in enumerate(shown)]
    groups = tuple((f"{source} boxes" if source else "", len(shown)) for source in study.sources)
    return Grid("Systems on the same faces", [Column("system"), *names], lines, groups)


def published_grid(study: Study) -> Grid:
    """Published figures and those of the subject, the smallest error first."""
    result = study.result
    own = [Cell(percent(value)) for value in (result.nme, result.auc, result.failure_rate)]
    rows = [(result.nme, Line(study.entries[0].name, [*own, Cell("this report")], own=True))]
    for paper in study.published:
        figures = [Cell(percent(value)) for value in (paper.nme, paper.auc, paper.failure_rate)]
        line = Line(paper.system, [*figures, Cell(paper.source, paper.doubt)])
        rows.append((float("inf") if paper.nme is None else paper.nme, line))
    rows.sort(key=lambda row: (not np.isfinite(row[0]), row[0]))
    titles = [Column(name) for name in ("system", "NME", "AUC", "failures")]
    return Grid("Published figures", [*titles, Column("source", words=True)], [line for _, line in rows])


def regions_grid(study: Study) -> Grid:
    """Error of each region, with a bar."""
    regions = {name.replace("_", " "): value for name, value in study.result.regions.items() if name != "all"}
    lines = [
        Line(name, [Cell(percent(value))], bar=bar)
        for (name, value), bar in zip(regions.items(), _bars(list(regions.values())), strict=True)
    ]
    return Grid("Error of each region", [Column("region"), Column("NME")], lines, bars=True)


def classes_grid(title: str, rows: Sequence[Row]) -> Grid:
    """Figures of each class of faces, with a bar for the error."""
    lines = [
        Line(row.name, [Cell(text) for text in _figures(row)], bar=bar)
        for row, bar in zip(rows, _bars([row.nme for row in rows]), strict=True)
    ]
    titles = ("", "NME", "faces", "AUC", "failures")
    return Grid(title, [Column(name) for name in titles], lines, bars=True)


def _figures(row: Row) -> tuple[str, ...]:
    return percent(row.nme), f"{row.faces:,}", percent(row.auc, 1), percent(row.failure_rate)


def _bars(values: Sequence[float]) -> list[float]:
    """Lengths of the bars in % of the longest; all 0 where that is 0."""
    most = max((value for value in values if np.isfinite(value)), default=0.0) or 1.0
    return [round(100 * value / most, 1) if np.isfinite(value) else 0.0 for value in values]
