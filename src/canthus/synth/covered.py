"""What the factory makes of photographs, second: copies with something before the face."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ReadError, ShapeError
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import Matrix, apply, compose, scale_of, similarity
from canthus.synth.factory import Made, Task
from canthus.synth.layers import Scene, frame_of
from canthus.synth.occlude import KINDS, OPAQUE, occlude
from canthus.synth.occluders import OCCLUDERS
from canthus.synth.photographs import Photographs, digest, open_photographs
from canthus.synth.pixels import inside, nearest
from canthus.types import Floats, Image

OTHERS = 2
"""Pictures of other people that an occluder may be cut from."""


@dataclass(frozen=True)
class Copies:
    """Occluded copies of fitted photographs.

    Attributes:
        fits: Table of `canthus synth fit`.
        pictures: Folder of the set that was fitted.
        count: Copies wanted; every photograph is copied alike often.
        seed: Chooses what is put before which face.
        size: Side of a copy, pixels.
        extent: Side of a copy over the longer side of the box of the labels.
        residual: Fits with more error are left out, a share of the inter-ocular distance.
    """

    fits: Path
    pictures: Path
    count: int
    seed: int = 0
    size: int = 256
    extent: float = 2.0
    residual: float = 0.05

    @property
    def photographs(self) -> Photographs:
        """What copies are made of."""
        return open_photographs(self.fits, self.pictures)

    def settings(self) -> dict[str, Any]:
        """All that the result depends on."""
        values = {name: value for name, value in vars(self).items() if not isinstance(value, Path)}
        return {"kind": "occluded", "fits": digest(self.fits), **values}

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """Copies of the photographs whose labels a face fits, in a random order, round after round."""
        barred = {task.face for task, reason in outcomes.items() if reason}
        good = np.flatnonzero(self.photographs.columns["error"] <= self.residual)
        faces = [int(face) for face in np.random.default_rng(self.seed).permutation(good) if int(face) not in barred]
        missing = self.count - sum(not reason for reason in outcomes.values())
        if not faces:
            return []
        first = len(outcomes)
        return [Task(first + at, faces[(first + at) % len(faces)]) for at in range(missing)]

    def make(self, task: Task) -> Made | str:
        """A copy with its labels, or why there is none."""
        photographs = self.photographs
        columns, face, scheme = photographs.columns, task.face, photographs.scheme
        rng = np.random.default_rng((self.seed, task.number))
        kind, seed = str(rng.choice(KINDS)), int(rng.integers(2**31))
        labels = columns["labels"][face]
        matrix = crop_matrix(box_of(labels), self.size, self.extent)
        try:
            image = cut_whole(_picture(self, face), matrix, self.size)
            others = tuple(_picture(self, other) for other in self._others(face, rng))
            places = apply(matrix, labels.astype(np.float64))
            made = occlude(image, places, scheme, seed, others, kind)
            covered = covered_by(image, places, scheme, seed, others, kind)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {
            "sources": photographs.name(face),
            "identities": photographs.person(face),
            "seed": seed,
            "kind": kind,
            "turn": np.float32(0),
            "azimuth": np.float32(photographs.azimuth[face]),
            "pose": columns["pose"][face],
            "error": columns["error"][face],
        }
        for name in photographs.schemes:
            points = _moved(matrix, columns[f"points_{name}"][face])
            seen = columns[f"visible_{name}"][face] & ~covered[nearest(points[:, :2], covered.shape)]
            row |= {f"points_{name}": points, f"visible_{name}": seen & inside(points[:, :2], covered.shape)}
        row[f"outline_{scheme}"] = _moved(matrix, np.concatenate([labels, columns["fitted"][face, :, 2:]], 1))
        return Made(made.image, row)

    def _others(self, face: int, rng: np.random.Generator) -> list[int]:
        """Photographs of other people; fewer where there are not as many."""
        people = self.photographs.columns["identities"]
        strangers = np.flatnonzero(people != people[face])
        return [int(other) for other in rng.choice(strangers, min(OTHERS, len(strangers)), replace=False)]


def covered_by(
    image: Image, points: NDArray[np.float64], scheme: str, seed: int, others: tuple[Image, ...], kind: str
) -> NDArray[np.bool_]:
    """Where `occlude` with the same arguments puts something that hides. Shape (H, W)."""
    if kind not in OCCLUDERS:
        return np.zeros(image.shape[:2], bool)
    rng = np.random.default_rng(seed)
    layer = OCCLUDERS[kind](Scene(image, points, scheme, frame_of(points, scheme), others, rng))
    return np.asarray(layer.alpha > OPAQUE)


def cut_whole(image: Image, matrix: Matrix, size: int) -> Image:
    """The picture under a map, (size, size, 3); what lies outside it repeats its border."""
    margin = int(np.ceil(0.75 * size / scale_of(matrix)))
    wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return warp(wide.astype(np.uint8, copy=False), compose(matrix, similarity(shift=(-margin, -margin))), size)


def _moved(matrix: Matrix, points: NDArray[Any]) -> Floats:
    """Points (P, 3) with depth under a map of the picture."""
    depth = points[:, 2:] * float(scale_of(matrix))
    return np.concatenate([apply(matrix, points[:, :2].astype(np.float64)), depth], 1).astype(np.float32)


@lru_cache(64)
def _picture(order: Copies, face: int) -> Image:
    return order.photographs.picture(face)
