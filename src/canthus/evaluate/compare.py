"""Is A better than B on the same faces: paired differences with their bootstrap interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.evaluate import metrics
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.result import Labels, as_plain
from canthus.evaluate.score import CHUNK, evaluate_points
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A - B on the same faces.

    Attributes:
        name: What was compared.
        a: Mean error of A, a fraction.
        b: Mean error of B, a fraction.
        difference: Mean of A - B; negative = A is better.
        low: Lower end of its interval.
        high: Upper end.
        wins: Share of faces on which A is better, ties counted half.
    """

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    wins: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """A against B.

    Attributes:
        protocol: What the errors mean.
        faces: That both found.
        level: Confidence of the intervals.
        units: What was drawn: "faces", or "identities" where several faces show one.
        total: All points that count.
        regions: Each group of the scheme.
    """

    protocol: Protocol
    faces: int
    level: float
    units: str
    total: Difference
    regions: tuple[Difference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [{name: getattr(row, name) for name in Difference.__slots__} for row in (self.total, *self.regions)]
        tree = {
            "protocol": self.protocol.as_dict(),
            "faces": self.faces,
            "level": self.level,
            "units": self.units,
            "rows": rows,
        }
        plain: dict[str, Any] = as_plain(tree)
        return plain


def bootstrap_interval(
    differences: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile bootstrap intervals of means [Efron, 1979], clusters drawn whole.

    Frames of one video, or pictures of one person, are no independent faces: drawing them one by one makes the interval
    too narrow. A resample draws as many clusters as there are; its mean is over all faces of those drawn.

    Args:
        differences: G quantities of each face. Shape (F, G), F > 0.
        clusters: Number of the cluster of each face, from 0 without gaps; each its own by default. Shape (F,).
        level: Of confidence, 0..1.
        resamples: How many.
        seed: Of the draws.

    Returns:
        Lower and upper ends. Each (G,).

    Raises:
        ShapeError: no faces, a cluster is missing, or the level is not between 0 and 1.
    """
    differences = np.asarray(differences, np.float64)
    if differences.ndim != 2 or not len(differences) or not 0 < level < 1:
        raise ShapeError(
            f"an interval needs (F, G) values and a level between 0 and 1, not {differences.shape}, {level}"
        )
    table = np.column_stack([differences, np.ones(len(differences))])  # (F, G + 1): sums and sizes
    if clusters is not None:
        if len(clusters) != len(table) or not np.bincount(clusters).all():
            raise ShapeError("clusters are numbered from 0 without gaps, one for each face")
        table = np.column_stack([np.bincount(clusters, column) for column in table.T])
    generator, count = np.random.default_rng(seed), len(table)
    drawn = np.empty((resamples, table.shape[1]))
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, count, count), minlength=count) @ table
    low, high = np.quantile(drawn[:, :-1] / drawn[:, -1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def compare_points(
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    protocol: Protocol | str,
    labels: Labels | None = None,
    identities: tuple[str, ...] = (),
    level: float = 0.95,
) -> Comparison:
    """Compare two predictions of the same faces.

    Args:
        truth: Shape (F, P, 2 or 3), pixels.
        first: A. Same shape.
        second: B. Same shape.
        protocol: Or its name.
        labels: What else is known of the faces.
        identities: Person or video of each face: they are drawn whole. Length F, or none.
        level: Confidence of the intervals.

    Raises:
        ProtocolError: the labels do not fit the protocol, or a face has no prediction.
        ShapeError: the three are not of the same faces.
    """
    results = [evaluate_points(truth, points, protocol, labels) for points in (first, second)]
    rules, scheme = results[0].protocol, Scheme.open(results[0].protocol.scheme)
    errors = {"all": tuple(result.errors for result in results)}
    if rules.mask == "all":
        for name, group in scheme.groups.items():
            a, b = (_region_errors(truth, points, list(group), rules, labels) for points in (first, second))
            errors[name] = a, b
    clusters = np.unique(identities, return_inverse=True)[1] if identities else None
    if clusters is not None and clusters.max() + 1 == len(truth):
        clusters = None
    gaps = np.column_stack([a - b for a, b in errors.values()])
    low, high = bootstrap_interval(gaps, clusters, level)
    wins = (gaps < 0).mean(0) + (gaps == 0).mean(0) / 2
    rows = [
        Difference(name, float(a.mean()), float(b.mean()), *map(float, (gap.mean(), least, most, share)))
        for (name, (a, b)), gap, least, most, share in zip(errors.items(), gaps.T, low, high, wins, strict=True)
    ]
    return Comparison(rules, len(truth), level, "faces" if clusters is None else "identities", rows[0], tuple(rows[1:]))


def _region_errors(
    truth: NDArray[Any],
    points: NDArray[Any],
    group: list[int],
    protocol: Protocol,
    labels: Labels | None,
) -> Array:
    """Mean error of each face over the points of a group. Shape (F,)."""
    scheme = Scheme.open(protocol.scheme)
    errors = np.empty(len(truth))
    for start in range(0, len(truth), CHUNK):
        part = slice(start, start + CHUNK)
        true, found = (array[part, :, : protocol.dims] for array in (truth, points))
        given = labels.boxes[part] if labels and labels.boxes is not None and protocol.normaliser_box == "set" else None
        unit = metrics.normalisers(true, protocol.normaliser, scheme, given)
        errors[part] = metrics.distances(found[:, group], true[:, group]).mean(-1) / unit
    return errors
