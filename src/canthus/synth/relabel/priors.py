"""What the fitted face model and a network say of the labels of a data set, and weights found by a rehearsal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.align.aligner import Aligner
from canthus.errors import InputError, SchemeError
from canthus.face3d.fit import Fitter
from canthus.geometry.crop import box_of
from canthus.reader.image import read
from canthus.synth.photographs import Photographs
from canthus.synth.relabel.denoise import (
    Choice,
    Doubles,
    Estimates,
    choose,
    degrade,
    frames,
    in_frame,
    in_pixels,
    noise_fields,
    split_noise,
    spread,
)
from canthus.synth.table import Faces2D
from canthus.types import Image

BATCH = 64
"""Pictures in memory at a time."""
SAME = 0.01
"""Labels of the set and of the table differ by less, pixels."""
DRAWS = 4
"""Times that each good label is made bad in a rehearsal."""


@dataclass(frozen=True, eq=False)
class Prior:
    """A network whose predictions are averaged with those of the mirrored picture.

    Attributes:
        aligner: The network.
        size: Faces are shown to it no larger than this, the longer side of the box in pixels; inf = as they are.
    """

    aligner: Aligner
    size: float = np.inf

    @classmethod
    def open(cls, path: Path, scheme: str, size: float = np.inf) -> "Prior":
        """Load a bundle.

        Raises:
            BundleError: missing or damaged.
            SchemeError: it predicts another scheme.
        """
        aligner = Aligner.open(path)
        if aligner.card.scheme != scheme:
            raise SchemeError(f"{path} predicts scheme {aligner.card.scheme}, the labels are of scheme {scheme}")
        return cls(aligner, size)

    def points(self, pictures: Sequence[Path], labels: Doubles, tick: Callable[[int], None] | None = None) -> Doubles:
        """Predictions from the boxes of labels.

        Args:
            pictures: Of F faces.
            labels: Shape (F, P, 2), pixels.
            tick: Told the number of faces done, as they are done.

        Returns:
            Shape (F, P, 2), pixels.

        Raises:
            ReadError: a picture cannot be read.
        """
        parts = []
        for at in range(0, len(pictures), BATCH):
            images = [read(path) for path in pictures[at : at + BATCH]]
            parts.append(self._some(images, labels[at : at + BATCH]))
            if tick:
                tick(len(images))
        return np.concatenate(parts)

    def _some(self, images: Sequence[Image], labels: Doubles) -> Doubles:
        shown = [_reduced(image, points, self.size) for image, points in zip(images, labels, strict=True)]
        smaller = np.stack([factor for _, factor in shown])[:, None]
        boxes = box_of((labels + 0.5) * smaller - 0.5)
        points = self._predict([image for image, _ in shown], boxes)
        scheme = self.aligner.scheme
        if scheme.mirror_scheme == scheme.name:
            last = np.array([image.shape[1] - 1 for image, _ in shown])
            turned = np.stack([last - boxes[:, 2], boxes[:, 1], last - boxes[:, 0], boxes[:, 3]], 1)
            mirrored = self._predict([np.ascontiguousarray(image[:, ::-1]) for image, _ in shown], turned)
            back = [scheme.mirrored(one, width + 1) for one, width in zip(mirrored, last, strict=True)]
            points = (points + np.stack(back)) / 2
        whole: Doubles = (points + 0.5) / smaller - 0.5
        return whole

    def _predict(self, images: Sequence[Image], boxes: NDArray[Any]) -> Doubles:
        faces = self.aligner.align_many(images, [box[None] for box in boxes])
        return np.concatenate([face.points[..., :2] for face in faces]).astype(np.float64)


def _reduced(image: Image, points: Doubles, size: float) -> tuple[Image, Doubles]:
    """The picture with a face at most so large, and by what its width and height shrank."""
    box = box_of(points)
    factor = size / float(max(box[2:] - box[:2]))
    if factor >= 1:
        return image, np.ones(2)
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small, np.array([width / image.shape[1], height / image.shape[0]])


def fitted(table: Photographs, faces: Faces2D, path: Path) -> tuple[Doubles, Doubles]:
    """The fitted points of the faces of a data set.

    Args:
        table: Of `canthus synth fit`.
        faces: Of the set.
        path: Of the table, for errors.

    Returns:
        Points (F, P, 2) in pixels and the inter-ocular distance seen from the front (F,); NaN for a face that was not
        fitted.

    Raises:
        SchemeError: the table is of another scheme.
        InputError: it is a table of another set, split or version of the labels.
    """
    if table.scheme != faces.scheme:
        raise SchemeError(f"{path}: fits of scheme {table.scheme}, the labels are of scheme {faces.scheme}")
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(table.columns["images"].tolist()):
        rows.setdefault(name, []).append(row)
    points, unit = np.full(faces.points.shape, np.nan), np.full(len(faces.images), np.nan)
    for face, name in enumerate(faces.images):
        labels = faces.points[face]
        same = [
            row
            for row in rows.get(name, [])
            if np.allclose(table.columns["labels"][row], labels, rtol=0, atol=SAME, equal_nan=True)
        ]
        if name in rows and not same:
            raise InputError(f"{path}: {name} has other labels there; fit the set again with canthus synth fit")
        if same:
            points[face], unit[face] = table.columns["fitted"][same[0], :, :2], table.columns["inter_ocular"][same[0]]
    if not np.isfinite(unit).any():
        raise InputError(f"{path}: is a table of another set or split: none of the {len(unit)} pictures is in it")
    return points, unit


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What weights are chosen on: well-labelled faces, their fits and a face model.

    Attributes:
        good: Table of fits of a well-labelled set.
        fitter: Made for that set's manner, with the noise that the fits of the noisy set believe in.
        prior: Shows faces as small as those of the noisy set.
        noise: Mean error of the noisy labels by group, over the inter-ocular distance.
        draws: Times that each good label is made bad.
        seed: Of the draws.
    """

    good: Photographs
    fitter: Fitter
    prior: Prior
    noise: Mapping[str, float]
    draws: int = DRAWS
    seed: int = 0

    def choose(self, noisy: Estimates, axes: Doubles) -> Choice:
        """The weights that bring good labels with the noise of the noisy ones nearest to the truth.

        The good labels get what the noisy ones and the net disagree on, face by face, as much as their noise is. The
        rest of the disagreement is the net's error, and its errors on the good set are taken as large as that.

        Args:
            noisy: Labels and predictions of the set that is to be cleaned.
            axes: Of its faces. Shape (F, 2, 2).

        Raises:
            ShapeError: the noise is larger than labels and net disagree.
            ReadError: a picture cannot be read.
        """
        scheme, rng = self.fitter.scheme, np.random.default_rng(self.seed)
        truth = self.good.columns["labels"].astype(np.float64)
        unit = self.good.columns["inter_ocular"].astype(np.float64)
        groups = {name: scheme.groups[name] for name in self.noise}
        pictures = [self.good.folder / self.good.name(face) for face in range(len(self.good))]
        place, fields = frames(truth, unit, scheme), noise_fields(noisy, axes, scheme)
        fields = fields[np.isfinite(fields).all((1, 2))]
        off = in_frame(self.prior.points(pictures, truth) - truth, place)
        for name, points in groups.items():
            factor, error = split_noise(fields, self.noise[name], points)
            fields[:, list(points)] *= factor
            off[:, list(points)] *= error / spread(off, points)
        labels = [degrade(truth, place, fields, rng) for _ in range(self.draws)]
        label = np.concatenate(labels)
        fit = np.concatenate([self.fitter.fit(one).points[..., :2] for one in labels])
        net = np.tile(truth + in_pixels(off, place), (self.draws, 1, 1))
        whole = np.tile(truth, (self.draws, 1, 1))
        return choose(whole, Estimates(label, fit, net), np.tile(unit, self.draws), groups)
