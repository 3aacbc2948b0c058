"""The content of a report: systems measured on the same faces, the first of which is the subject of the report."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate.bootstrap import RESAMPLES, clusters_of, percentiles, resampled_means
from canthus.evaluate.cut import cut_values
from canthus.evaluate.published import Published, published
from canthus.evaluate.result import Result
from canthus.evaluate.table import Table
from canthus.geometry.transform import apply, fit_similarity
from canthus.schemes.scheme import Scheme

SHAPES = 2000
"""Largest number of faces that the mean face is computed from."""
FEWEST = 10
"""Smallest number of faces, or of identities, for which a bootstrap interval is given."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bootstrap interval of the headline figure.

    Attributes:
        low: Lower end, a fraction.
        high: Upper end, a fraction.
        units: What the bootstrap draws: "faces", or "identities" where several faces show one person.
        count: Number of units.
        level: Confidence level, 0..1.
        resamples: Number of resamples.
    """

    low: float
    high: float
    units: str
    count: int
    level: float = 0.95
    resamples: int = RESAMPLES

    def __str__(self) -> str:
        return f"{100 * self.level:g} % interval {percent(self.low)} to {percent(self.high)} %"

    @property
    def method(self) -> str:
        """How the interval was computed."""
        return f"bootstrap over {self.count:,} {self.units}, {self.resamples:,} resamples, percentiles"


@dataclass(frozen=True, eq=False)
class Entry:
    """One system with one kind of boxes.

    Attributes:
        name: Name of the system.
        boxes: Name of the boxes that the system got, as "tight"; empty = not known.
        result: Its figures.
        mapped: Whether its points went through a linear map that removes the difference in annotation bias.
        consensus: Mean distance to the consensus of several networks, a fraction; NaN = there is none.
    """

    name: str
    boxes: str
    result: Result
    mapped: bool = False
    consensus: float = float("nan")

    @property
    def label(self) -> str:
        """Name of the system, and whether its points were mapped."""
        return f"{self.name} (mapped)" if self.mapped else self.name

    @property
    def inner(self) -> float:
        """Mean error of the points that are not on the contour, a fraction; NaN where there are none."""
        return self.result.regions.get("inner", float("nan"))


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that a report shows.

    Attributes:
        title: Headline.
        truth: F true faces.
        predictions: Points of the subject on the same faces, in the same order.
        entries: The subject, then the systems to compare it with.
        command: Command that repeats the study; empty = not known.
    """

    title: str
    truth: Table
    predictions: Table
    entries: tuple[Entry, ...]
    command: str = ""

    @property
    def result(self) -> Result:
        """Figures of the subject."""
        return self.entries[0].result

    @cached_property
    def scheme(self) -> Scheme:
        """Landmark scheme of the points."""
        return Scheme.open(self.result.protocol.scheme)

    @property
    def rivals(self) -> list[Entry]:
        """Other systems with the same boxes as the subject, without those whose points were mapped; best first."""
        same = [entry for entry in self.entries[1:] if entry.boxes == self.entries[0].boxes and not entry.mapped]
        return sorted(same, key=lambda entry: entry.result.nme)

    @cached_property
    def interval(self) -> Interval | None:
        """Interval of the NME of the subject over the faces found; None with too few faces or without their yaw."""
        errors = np.where(np.isfinite(self.result.errors), self.result.errors, np.nan)[:, None]  # (F, 1)
        protocol = self.result.protocol
        if protocol.aggregation == "bins":
            if self.truth.yaw is None:
                return None
            cut = cut_values("|yaw|", np.abs(self.truth.yaw), protocol.bins)
            used = [number for number in range(len(cut.classes)) if (cut.index == number).any()]
            errors = np.where(cut.index[:, None] == used, errors, np.nan)  # (F, B)
        clusters = clusters_of(self.truth.identities, self.result.faces)
        count = self.result.faces if clusters is None else int(clusters.max()) + 1
        if count < FEWEST or not np.isfinite(errors).any(0).all():
            return None
        means = resampled_means(errors, clusters).mean(1, keepdims=True)
        (low,), (high,) = percentiles(means)
        return Interval(float(low), float(high), "faces" if clusters is None else "identities", count)

    @cached_property
    def published(self) -> list[Published]:
        """Published figures under this protocol."""
        return published(self.result.protocol.name)

    @property
    def sources(self) -> list[str]:
        """Names of the boxes that systems got, those of the subject first."""
        return list(dict.fromkeys(entry.boxes for entry in self.entries))

    def systems(self) -> dict[str, dict[str, Entry]]:
        """Entries by label and boxes, the best with the subject's boxes first."""
        found: dict[str, dict[str, Entry]] = {}
        for entry in sorted(self.entries, key=lambda entry: (entry.boxes != self.sources[0], entry.result.nme)):
            found.setdefault(entry.label, {})[entry.boxes] = entry
        return found

    def columns(self) -> dict[str, Callable[[Entry], float]]:
        """Figures to compare systems by, as fractions; those that no entry has are omitted."""
        every: dict[str, Callable[[Entry], float]] = {
            "NME": lambda entry: entry.result.nme,
            f"inner {len(self.scheme.groups['inner'])}": lambda entry: entry.inner,
            "AUC": lambda entry: entry.result.auc,
            "failures": lambda entry: entry.result.failure_rate,
            "consensus": lambda entry: entry.consensus,
        }
        return {name: read for name, read in every.items() if any(np.isfinite(read(entry)) for entry in self.entries)}

    def ranked(self) -> NDArray[np.intp]:
        """Indices of the faces from the smallest error to the largest; those not found last."""
        return np.argsort(self.result.errors, kind="stable")

    @cached_property
    def mean_face(self) -> NDArray[Any]:
        """Mean of the true shapes, free of position, size and rotation; mean 0, larger side 1. Shape (P, 2).

        Points that are annotated in no face are NaN, and do not count in the mean and the size.
        """
        every = self.truth.points[..., :2].astype(np.float64)
        known = np.isfinite(every).all(2).any(0)
        plane = every[:, known]
        whole = plane[np.isfinite(plane).all((1, 2))][:SHAPES]
        if not len(whole):
            whole = np.where(np.isnan(plane), np.nanmedian(plane, axis=0), plane)[:SHAPES]
        mean = _unit(np.median(whole - whole.mean(1, keepdims=True), axis=0))
        for _ in range(3):
            mean = _unit(apply(fit_similarity(whole, np.broadcast_to(mean, whole.shape)), whole).mean(0))
        full = np.full(every.shape[1:], np.nan)
        full[known] = mean
        return full


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a number in per cent; a dash where it is not known."""
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.{digits}f}"


def _unit(shape: NDArray[Any]) -> NDArray[Any]:
    centred = shape - shape.mean(0)
    unit: NDArray[Any] = centred / np.ptp(centred, axis=0).max()
    return unit
