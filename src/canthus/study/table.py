"""The table of an ablation: means and spreads over seeds, gains beside the paper's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from canthus.study.plan import Ablation, Measure, Row, folder_of, measures_of
from canthus.study.run import finished_minutes, result_of
from canthus.work.files import replace_whole


class Figure(NamedTuple):
    """A number over seeds.

    Attributes:
        mean: NaN = not known.
        spread: Standard deviation over seeds; NaN of fewer than two.
    """

    mean: float
    spread: float

    def text(self, sign: bool = False, digits: int = 2) -> str:
        """As "3.35 ± 0.02"; a dash for what is not known."""
        if not np.isfinite(self.mean):
            return "–"
        spread = f" ± {self.spread:.{digits}f}" if np.isfinite(self.spread) else ""
        return f"{self.mean:{'+' if sign else ''}.{digits}f}{spread}"


@dataclass(frozen=True)
class Cell:
    """One row on one measure; errors in per cent.

    Attributes:
        values: Error by seed.
        faces: How many were measured; 0 = not yet.
        paper: The paper's figure; None = none.
        base: The cell that the gain is told against; None = there is none.
    """

    values: dict[int, float]
    faces: int
    paper: float | None
    base: "Cell | None"

    @property
    def error(self) -> Figure:
        """Mean and spread of the errors."""
        return _figure(list(self.values.values()))

    @property
    def gain(self) -> Figure:
        """By how much the error is below that of `base`, seed by seed."""
        return _figure([before - after for before, after in self._pairs()])

    @property
    def relative(self) -> Figure:
        """`gain` in per cent of the error of `base`."""
        return _figure([100 * (before - after) / before for before, after in self._pairs()])

    @property
    def paper_relative(self) -> float:
        """The same in the paper; NaN = it tells none."""
        if self.base is None or self.paper is None or self.base.paper is None:
            return float("nan")
        return 100 * (self.base.paper - self.paper) / self.base.paper

    def _pairs(self) -> list[tuple[float, float]]:
        before = {} if self.base is None else self.base.values
        return [(before[seed], value) for seed, value in self.values.items() if seed in before]


def _figure(values: Sequence[float]) -> Figure:
    mean = float(np.mean(values)) if len(values) else float("nan")
    return Figure(mean, float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))


@dataclass(frozen=True)
class Outcome:
    """What an ablation has shown so far.

    Attributes:
        ablation: What was asked.
        cells: By the names of measure and row.
        minutes: Of training of each row that is trained, all seeds; by its name.
        command: How to repeat it.
    """

    ablation: Ablation
    cells: dict[str, dict[str, Cell]]
    minutes: dict[str, float]
    command: str


def gather(ablation: Ablation, out: Path, command: str) -> Outcome:
    """Read what the runs of an ablation have left."""
    cells = {
        measure.name: {row.name: _cell(ablation, out, row, place) for row in ablation.rows}
        for place, measure in enumerate(ablation.measures)
    }
    minutes = {
        row.name: sum(finished_minutes(folder_of(out, ablation, row, seed)) or 0.0 for seed in ablation.seeds)
        for row in ablation.rows
        if row.of is None
    }
    return Outcome(ablation, cells, minutes, command)


def _cell(ablation: Ablation, out: Path, row: Row, place: int, chained: bool = False) -> Cell:
    measure = measures_of(ablation, row)[place]
    folders = {seed: folder_of(out, ablation, row, seed) for seed in ablation.seeds}
    found = {seed: result for seed, folder in folders.items() if (result := result_of(folder, measure))}
    base = None if chained else ablation.base(row)
    return Cell(
        {seed: result["nme"] for seed, result in found.items()},
        max((result["faces"] for result in found.values()), default=0),
        ablation.paper_figure(row, ablation.measures[place]),
        None if base is None else _cell(ablation, out, base, place, chained=True),
    )


HEAD = ("row", "error %", "paper", "gain", "gain %", "paper's gain %", "minutes")
"""Gain: by how much the error is below that of another row, in points and in per cent of it."""


def lines_of(outcome: Outcome, measure: Measure) -> list[tuple[str, ...]]:
    """The table of one measure under `HEAD`."""
    lines: list[tuple[str, ...]] = []
    for row in outcome.ablation.rows:
        cell, minutes = outcome.cells[measure.name][row.name], outcome.minutes.get(row.name, 0.0)
        told = (
            cell.error.text(),
            "–" if cell.paper is None else f"{cell.paper:.2f}",
            cell.gain.text(sign=True),
            cell.relative.text(sign=True, digits=1),
            Figure(cell.paper_relative, float("nan")).text(sign=True, digits=1),
            f"{minutes:.1f}" if minutes else "–",
        )
        lines.append((row.name, *told))
    return lines


def title_of(outcome: Outcome, measure: Measure) -> str:
    """What the errors of a measure are."""
    unit = {"box": "sqrt(w h) of the labels", "inter-ocular": "the inter-ocular distance"}[measure.normaliser]
    faces = max(cell.faces for cell in outcome.cells[measure.name].values())
    kind = f"{faces} frames, each followed from the one before" if measure.follow else f"{faces} faces from true boxes"
    depth = "" if measure.depth is None else f", after stage {measure.depth}"
    return f"{measure.name}: {measure.set} {measure.split}, NME in % of {unit}, {kind}{depth}"


def markdown(outcome: Outcome) -> str:
    """The tables as a page."""
    ablation = outcome.ablation
    seeds = ", ".join(map(str, ablation.seeds))
    page = [f"# {ablation.name}", ""]
    if ablation.paper:
        page += [f"Repeats {ablation.paper}.", ""]
    page += [
        f"Mean ± standard deviation over the seeds {seeds}. A gain is told against the row before, or the one in "
        "brackets, seed by seed, in points and in per cent; above 0 the error falls.",
        "",
    ]
    for measure in ablation.measures:
        page += [f"## {title_of(outcome, measure)}", "", _line(HEAD), _line(["---"] * len(HEAD))]
        for row, line in zip(ablation.rows, lines_of(outcome, measure), strict=True):
            against = f" [against {row.against}]" if row.against else ""
            page.append(_line((line[0] + against, *line[1:])))
        page.append("")
    total = sum(outcome.minutes.values())
    page += [f"Training: {total:.1f} minutes in all. Command:", "", f"    {outcome.command}", ""]
    return "\n".join(page)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(outcome: Outcome) -> str:
    """Everything, with the value of each seed; what is not known is null."""

    def plain(cell: Cell) -> dict[str, Any]:
        figures = {name: getattr(cell, name)._asdict() for name in ("error", "gain", "relative")}
        return {
            "values": cell.values,
            "faces": cell.faces,
            **figures,
            "paper": cell.paper,
            "paper_relative": cell.paper_relative,
        }

    tree = {
        "ablation": outcome.ablation.model_dump(mode="json"),
        "cells": {name: {row: plain(cell) for row, cell in rows.items()} for name, rows in outcome.cells.items()},
        "minutes": outcome.minutes,
        "command": outcome.command,
    }
    return json.dumps(_null(tree), indent=1)


def _null(value: Any) -> Any:
    """NaN as null, at any depth."""
    if isinstance(value, dict):
        return {key: _null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_outcome(outcome: Outcome, out: Path) -> None:
    """Write table.md, table.json and table.png, each whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
        ExtraMissingError: matplotlib is not installed.
    """
    from canthus.study.picture import picture_of

    for name, text in (("table.md", markdown(outcome)), ("table.json", as_json(outcome))):
        with replace_whole(out / name) as part:
            part.write_text(text, encoding="utf-8")
    with replace_whole(out / "table.png") as part:
        picture_of(outcome).savefig(part)
