"""Result of scoring: the figures, their protocol, the number of faces, and tables by point, region and class."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate import metrics
from canthus.evaluate.cut import Cut
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.reliability import Curve
from canthus.version import __version__

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the faces besides their points.

    Attributes:
        images: Name of each face's image. Length F, or none.
        boxes: Boxes that come with the data set, x0 y0 x1 y1. Shape (F, 4), pixels.
        visible: Which points can be seen. Shape (F, P).
        yaw: Yaw of each head in degrees. Shape (F,).
        cuts: Divisions into classes to report by.
    """

    images: tuple[str, ...] = ()
    boxes: NDArray[Any] | None = None
    visible: Mask | None = None
    yaw: Array | None = None
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one class of faces.

    Attributes:
        name: Name of the class.
        faces: Number of faces.
        nme: Mean error, a fraction.
        auc: Area under the cumulative error distribution up to the threshold, 0..1.
        failure_rate: Share of failures, 0..1.
    """

    name: str
    faces: int
    nme: float
    auc: float
    failure_rate: float


@dataclass(frozen=True, eq=False)
class Contour:
    """Mean absolute error of each contour point, split into two parts.

    Attributes:
        tangent: Part along the contour, a fraction. Shape (C,).
        normal: Part across the contour, a fraction. Shape (C,).
    """

    tangent: Array
    normal: Array


@dataclass(frozen=True, eq=False)
class Reliability:
    """Quality of the scores.

    Attributes:
        curve: Claimed probability against true share of points near their truth.
        calibration_error: Expected calibration error.
        brier: Brier score: mean square of score - outcome.
        far_precision: Average precision of finding points far from their truth by a low score.
        occluded_precision: Average precision of finding occluded points; NaN where visibility is not known.
    """

    curve: Curve
    calibration_error: float
    brier: float
    far_precision: float
    occluded_precision: float


@dataclass(frozen=True, eq=False)
class Result:
    """The figures of a system under a protocol, with their parts.

    Attributes:
        protocol: Scoring rules.
        errors: Error of each face, a fraction; infinite = not found. Shape (F,).
        points: Mean error of each point over the faces found, a fraction; NaN = never scored. Shape (P,).
        regions: Mean error of each group of the scheme.
        bins: Figures of the protocol's bins of yaw; none without bins or yaw.
        cuts: Figures of each class, by title of the division.
        visibility: Mean error of "visible" and "occluded" points; none where visibility is not known.
        contour: Error along and across the contour; None without a contour.
        reliability: Quality of the scores; None without scores.
        caveats: Reasons why the figures may not be comparable with others of this protocol.
    """

    protocol: Protocol
    errors: Array
    points: Array
    regions: Mapping[str, float]
    bins: tuple[Row, ...] = ()
    cuts: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    visibility: Mapping[str, float] = field(default_factory=dict)
    contour: Contour | None = None
    reliability: Reliability | None = None
    caveats: tuple[str, ...] = ()

    @property
    def faces(self) -> int:
        """F, the number of true faces."""
        return len(self.errors)

    @property
    def missing(self) -> int:
        """Number of faces that were not found: failures that the mean error leaves out."""
        return int(np.isinf(self.errors).sum())

    @property
    def nme_images(self) -> float:
        """Mean error of the faces found."""
        return mean_error(self.errors)

    @property
    def nme_bins(self) -> float:
        """Mean of the mean errors of the bins; NaN without bins."""
        return float(np.mean([row.nme for row in self.bins])) if self.bins else float("nan")

    @property
    def nme(self) -> float:
        """Normalised mean error as the protocol aggregates it, a fraction."""
        return self.nme_bins if self.protocol.aggregation == "bins" else self.nme_images

    @property
    def auc(self) -> float:
        """Area under the cumulative error distribution up to the threshold, 0..1."""
        return metrics.auc(self.errors, self.protocol.threshold)

    @property
    def failure_rate(self) -> float:
        """Share of faces over the threshold or not found, 0..1."""
        return metrics.failure_rate(self.errors, self.protocol.threshold)

    def as_dict(self) -> dict[str, Any]:
        """All figures, without the errors of single faces, as plain values for JSON; NaN becomes None."""
        tree: dict[str, Any] = {
            "canthus": __version__,
            "protocol": {**self.protocol.as_dict(), "text": str(self.protocol)},
            "faces": self.faces,
            "missing": self.missing,
            "nme": self.nme,
            "nme_images": self.nme_images,
            "nme_bins": self.nme_bins,
            "auc": self.auc,
            "failure_rate": self.failure_rate,
            "caveats": self.caveats,
            "regions": self.regions,
            "bins": [asdict(row) for row in self.bins],
            "cuts": {title: [asdict(row) for row in rows] for title, rows in self.cuts.items()},
            "visibility": self.visibility,
            "points": self.points,
        }
        if self.contour is not None:
            tree["contour"] = {"tangent": self.contour.tangent, "normal": self.contour.normal}
        if self.reliability is not None:
            tree["reliability"] = asdict(self.reliability)
        plain: dict[str, Any] = as_plain(tree)
        return plain


def mean_error(errors: NDArray[Any]) -> float:
    """Mean over the faces that were found; NaN when there are none."""
    found = errors[np.isfinite(errors)]
    return float(found.mean()) if found.size else float("nan")


def as_plain(value: Any) -> Any:
    """The value with arrays and tuples as lists, and numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return as_plain(value.tolist())
    return None if isinstance(value, float) and not np.isfinite(value) else value
