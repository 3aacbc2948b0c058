"""Registration of a data set: the common scale and shift of its labels, and maps from its own order, found with a net.

Pictures of some sets were scaled or cut after they had been annotated, so that the labels of all faces are off by one
scale and one shift of their boxes. A network whose own shift is removed by mirroring finds both.

Laws (tested): labels that are moved by a common scale and shift come back; mirroring negates the shift in x.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canthus.data.sample import Sample
from canthus.errors import ShapeError
from canthus.geometry.crop import box_of
from canthus.schemes.transfer import LinearTransfer
from canthus.synth.relabel.priors import Prior

Doubles = NDArray[np.float64]

LEAST = 3
"""Number of known points from which a face has a say."""
TRIM = 2.0
"""Faces whose labels lie more than this many times the median distance from the net are not learnt from."""
MEDIAN_ERROR = 1.2533 * 1.4826
"""Standard error of a median over the median absolute deviation, times sqrt(F), of a normal distribution."""


@dataclass(frozen=True, eq=False)
class Registration:
    """What brings the labels of a set onto the points of a network.

    Attributes:
        scale: Factor by which labels grow around the centres of their boxes.
        shift: Shift over the longer sides of the boxes. Shape (2,).
        error: Standard errors of the scale and of the shift in x and y. Shape (3,).
        faces: Number of faces that it was found from.
        before: Median over the faces of the mean distance of labels and net, over the longer side of the box.
        after: The same after the registration.
    """

    scale: float
    shift: Doubles
    error: Doubles
    faces: int
    before: float
    after: float

    def apply(self, labels: NDArray[np.floating], boxes: NDArray[np.floating]) -> Doubles:
        """Registered labels.

        Args:
            labels: Labels. Shape (F, P, 2), pixels.
            boxes: The boxes that the registration was found with. Shape (F, 4), pixels.
        """
        centre, side = _frames(boxes)
        moved: Doubles = centre + self.scale * (labels - centre) + self.shift * side
        return moved


def register(labels: NDArray[np.floating], found: NDArray[np.floating], boxes: NDArray[np.floating]) -> Registration:
    """The common scale and shift of a set: the medians of those of single faces, each by least squares.

    Args:
        labels: Labels; NaN = not annotated. Shape (F, P, 2), pixels.
        found: Points of a network on the same faces, best the mean over picture and mirror image. Shape (F, P, 2).
        boxes: Boxes of the labels. Shape (F, 4), pixels.

    Raises:
        ShapeError: the shapes do not fit, or no face has three points.
    """
    if labels.shape != found.shape or labels.ndim != 3 or labels.shape[2] != 2 or boxes.shape != (len(labels), 4):
        raise ShapeError(
            f"labels {labels.shape}, points {found.shape} and boxes {boxes.shape} are not of the same faces"
        )
    known = np.isfinite(labels).all(-1) & np.isfinite(found).all(-1)
    usable = known.sum(1) >= LEAST
    if not usable.any():
        raise ShapeError(f"no face has {LEAST} points that both labels and network know")
    labels, found, boxes, known = labels[usable], found[usable], boxes[usable], known[usable]
    centre, side = _frames(boxes)
    start, goal = (np.where(known[..., None], (points - centre) / side, np.nan) for points in (labels, found))
    middles = [np.nanmean(points, 1, keepdims=True) for points in (start, goal)]
    a, b = start - middles[0], goal - middles[1]
    scales = np.nansum(a * b, (1, 2)) / np.nansum(a * a, (1, 2))
    shifts = middles[1][:, 0] - scales[:, None] * middles[0][:, 0]
    each = np.column_stack([scales, shifts])
    common = np.median(each, 0)
    error = MEDIAN_ERROR * np.median(np.abs(each - common), 0) / np.sqrt(len(each))
    moved = common[0] * start + common[1:]
    before, after = (float(np.median(np.nanmean(np.linalg.norm(x - goal, axis=-1), 1))) for x in (start, moved))
    return Registration(float(common[0]), common[1:], error, len(each), before, after)


def net_points(prior: Prior, samples: Sequence[Sample]) -> Doubles:
    """Points of a network on the faces of a set, from their boxes, averaged over picture and mirror image.

    Args:
        prior: The network.
        samples: Faces whose pictures are files.

    Returns:
        Shape (F, P, 2), pixels.

    Raises:
        ReadError: a picture cannot be read.
    """
    corners = boxes_of(samples).astype(np.float64).reshape(-1, 2, 2)
    return prior.points([sample.image for sample in samples], corners)


def boxes_of(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """The boxes of faces: those that the samples give, else those of their points. Shape (F, 4), pixels."""
    return np.stack([box_of(sample.points) if sample.box is None else sample.box for sample in samples])


def learn_map(
    own: NDArray[np.floating], net: NDArray[np.floating], distance: NDArray[np.floating], ridge: float
) -> LinearTransfer:
    """Learn a map from labels in an order of their own to the points of a network.

    Args:
        own: Labels. Shape (F, Q, 2), pixels.
        net: Points of the network on the same faces. Shape (F, P, 2), pixels.
        distance: Distance of the listed counterparts from the network, over the size of the face; faces where it is
            over twice the median are left out: there the network or the label is wrong. Shape (F,).
        ridge: Weight of the squared map, for sets of few faces.

    Raises:
        ShapeError: the shapes do not fit, or no face is left.
    """
    near = distance <= TRIM * np.nanmedian(distance)
    return LinearTransfer.fit(own[near], net[near], ridge)


def map_held_out(
    own: NDArray[np.floating],
    net: NDArray[np.floating],
    distance: NDArray[np.floating],
    fold: NDArray[np.integer],
    ridge: float,
) -> Doubles:
    """Labels in the order of a network, each by a map that was learnt without the fold of its face.

    Args:
        own: Labels. Shape (F, Q, 2), pixels.
        net: Points of the network on the same faces. Shape (F, P, 2), pixels.
        distance: As for `learn_map`. Shape (F,).
        fold: Number of the part of each face; faces of one person belong to one part. Shape (F,).
        ridge: As for `learn_map`.

    Returns:
        Shape (F, P, 2), pixels.

    Raises:
        ShapeError: there is only one part, or a part leaves no face to learn from.
    """
    parts = np.unique(fold)
    if len(parts) < 2:
        raise ShapeError("labels of one part cannot be mapped by what the others teach; make two or more parts")
    mapped = np.full(net.shape, np.nan)
    for part in parts:
        held = fold == part
        mapped[held] = learn_map(own[~held], net[~held], distance[~held], ridge).apply(own[held].astype(np.float64))
    return mapped


def _frames(boxes: NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Centres (F, 1, 2) and longer sides (F, 1, 1) of boxes."""
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None].astype(np.float64)
    return centre, (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None, None].astype(np.float64)
