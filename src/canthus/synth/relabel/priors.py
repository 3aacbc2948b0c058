"""The priors that labels are blended with: fits of the face model and predictions of a network; and their weights."""

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
from canthus.face3d.table import Faces2D
from canthus.geometry.crop import box_of
from canthus.reader.image import read
from canthus.synth.faces import LabelledFaces
from canthus.synth.relabel.denoise import (
    Choice,
    Doubles,
    Estimates,
    choose,
    degrade,
    frames,
    in_frame,
    in_pixels,
    mean_length,
    noise_fields,
    split_noise,
)
from canthus.types import Image

BATCH = 64
"""Number of pictures in memory at once."""
SAME = 0.01
"""Labels of the set and of the table are the same when they differ by less, pixels."""
DRAWS = 4
"""Number of times that noise is added to each good label in a rehearsal."""


@dataclass(frozen=True, eq=False)
class Prior:
    """A network whose predictions are averaged with those of the mirrored picture.

    Attributes:
        aligner: The network.
        size: Pictures are reduced until the longer side of the box of the face is at most this, pixels; inf = never.
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
            pictures: Files of the pictures of F faces.
            labels: Labels. Shape (F, P, 2), pixels.
            tick: Receives the number of faces that were predicted, as they are.

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
    """The picture, reduced until the face has at most this size, and the factors of its width and height."""
    box = box_of(points)
    factor = size / float(max(box[2:] - box[:2]))
    if factor >= 1:
        return image, np.ones(2)
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small, np.array([width / image.shape[1], height / image.shape[0]])


def fitted(table: LabelledFaces, faces: Faces2D) -> tuple[Doubles, Doubles]:
    """The fitted points of the faces of a data set.

    Args:
        table: Table of `canthus synth fit`.
        faces: Faces of the set.

    Returns:
        Points (F, P, 2) in pixels and the inter-ocular distance seen from the front (F,); NaN for a face that was not
        fitted.

    Raises:
        SchemeError: the table is of another scheme.
        InputError: it is a table of another set, split or version of the labels.
    """
    if table.scheme != faces.scheme:
        raise SchemeError(f"{table.path}: fits of scheme {table.scheme}, the labels are of scheme {faces.scheme}")
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
            raise InputError(f"{table.path}: {name} has other labels there; fit the set again with canthus synth fit")
        if same:
            points[face], unit[face] = table.columns["fitted"][same[0], :, :2], table.columns["inter_ocular"][same[0]]
    if not np.isfinite(unit).any():
        raise InputError(f"{table.path}: is a table of another set or split: none of the {len(unit)} pictures is in it")
    return points, unit


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What weights are chosen on: well-labelled faces, their fits and a face model.

    Attributes:
        good: Table of fits of a well-labelled set.
        fitter: Fitter with the annotation bias of that set, and the noise that the fits of the noisy set assume.
        prior: The network, with the size of the faces of the noisy set.
        noise: Mean error of the noisy labels by group, over the inter-ocular distance.
        draws: Number of times that noise is added to each good label.
        seed: Seed of the draws.
    """

    good: LabelledFaces
    fitter: Fitter
    prior: Prior
    noise: Mapping[str, float]
    draws: int = DRAWS
    seed: int = 0

    def choose(self, noisy: Estimates, axes: Doubles) -> Choice:
        """The weights that bring good labels, with the noise of the noisy ones added, nearest to the truth.

        The differences of the noisy labels and the net, face by face, are scaled to the noise of the labels and added
        to the good ones. The rest of the differences is the error of the net; its errors on the good set are scaled to
        that.

        Args:
            noisy: Labels and predictions of the set that is to be cleaned.
            axes: Axes of its faces. Shape (F, 2, 2).

        Raises:
            ShapeError: the noise is larger than the differences of labels and net.
            ReadError: a picture cannot be read.
        """
        scheme, rng = self.fitter.scheme, np.random.default_rng(self.seed)
        truth = self.good.columns["labels"].astype(np.float64)
        unit = self.good.columns["inter_ocular"].astype(np.float64)
        groups = {name: scheme.groups[name] for name in self.noise}
        pictures = [self.good.file(face) for face in range(len(self.good))]
        frame, fields = frames(truth, unit, scheme), noise_fields(noisy, axes, scheme)
        fields = fields[np.isfinite(fields).all((1, 2))]
        off = in_frame(self.prior.points(pictures, truth) - truth, frame)
        for name, points in groups.items():
            factor, error = split_noise(fields, self.noise[name], points)
            fields[:, list(points)] *= factor
            off[:, list(points)] *= error / mean_length(off, points)
        labels = [degrade(truth, frame, fields, rng) for _ in range(self.draws)]
        label = np.concatenate(labels)
        fit = np.concatenate([self.fitter.fit(one).points[..., :2] for one in labels])
        net = np.tile(truth + in_pixels(off, frame), (self.draws, 1, 1))
        whole = np.tile(truth, (self.draws, 1, 1))
        return choose(whole, Estimates(label, fit, net), np.tile(unit, self.draws), groups)
