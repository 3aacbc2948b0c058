"""What an ablation has shown: errors of every run, their means and spreads over seeds, gains beside the paper's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from canthus.study.plan import Ablation, Measure, Row, first_of, folder_of, measures_of
from canthus.study.run import finished_minutes, result_of


class Figure(NamedTuple):
    """A number over several seeds.

    Attributes:
        mean: Mean over the seeds; NaN = not known.
        spread: Standard deviation over the seeds; NaN for fewer than two.
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
        faces: Number of faces measured; 0 = none yet.
        paper: Figure of the paper; None = there is none.
        base: Cell that the gain is relative to; None = there is none.
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
        """`relative` in the paper; NaN = it has no figures."""
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
        ablation: The plan.
        cells: Cells by the names of measure and row.
        minutes: Minutes of training of each row that is trained, all seeds together and with the stages before it, by
            its name.
        command: Command that repeats it.
        commit: Commit of the code that made the table.
    """

    ablation: Ablation
    cells: dict[str, dict[str, Cell]]
    minutes: dict[str, float]
    command: str
    commit: str


def gather(ablation: Ablation, out: Path, command: str, commit: str) -> Outcome:
    """Read the results of the runs of an ablation.

    Args:
        ablation: The plan.
        out: Folder of the study.
        command: Command that repeats it.
        commit: Commit of the code.
    """
    cells = {
        measure.name: {row.name: _cell(ablation, out, row, place) for row in ablation.rows}
        for place, measure in enumerate(ablation.measures)
    }
    minutes = {
        row.name: sum(
            finished_minutes(folder_of(out, ablation, one, seed)) or 0.0
            for one in ([first_of(row), row] if row.earlier else [row])
            for seed in ablation.seeds
        )
        for row in ablation.rows
        if row.of is None
    }
    return Outcome(ablation, cells, minutes, command, commit)


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


def title_of(outcome: Outcome, measure: Measure) -> str:
    """The set, unit and number of faces of a measure, as a title."""
    unit = {"box": "sqrt(w h) of the labels", "inter-ocular": "the inter-ocular distance"}[measure.normaliser]
    faces = max(cell.faces for cell in outcome.cells[measure.name].values())
    kind = f"{faces} frames, each followed from the one before" if measure.follow else f"{faces} faces from true boxes"
    kind = kind.replace("true", "disturbed") if measure.disturbed else kind
    kind = kind.replace("true boxes", f"boxes off by {measure.displaced:.0%}") if measure.displaced else kind
    kind += f", read by {measure.read}" if measure.read else ""
    depth = "" if measure.depth is None else f", after stage {measure.depth}"
    return f"{measure.name}: {measure.set} {measure.split}, NME in % of {unit}, {kind}{depth}"
