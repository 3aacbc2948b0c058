"""Occluded copies of photographs and of rotated views, as orders for the factory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ReadError, ShapeError
from canthus.geometry.crop import box_of, crop_matrix
from canthus.geometry.pixels import cut, inside
from canthus.geometry.transform import Matrix, apply, scale_of
from canthus.synth.faces import LabelledFaces, open_fits, open_views
from canthus.synth.factory import Made, Task
from canthus.synth.occlusion.occlude import KINDS, Occluded, occlude
from canthus.types import Floats, Image
from canthus.work.folder import INDEX, digest

OTHERS = 2
"""Number of pictures of other people that an occluder may be cut from."""
SCHEME = "68"
"""Scheme whose points an occluder is placed by on a rotated view."""


@dataclass(frozen=True)
class Copies:
    """Occluded copies of fitted photographs.

    Attributes:
        fits: Table of `canthus synth fit`.
        pictures: Folder of the set that was fitted.
        count: Number of copies wanted; every photograph is copied equally often.
        seed: Seed of the occluders.
        size: Side of a copy, pixels.
        margin: Side of a copy over the longer side of the box of the labels.
        residual: Fits with a larger error are omitted, as a share of the inter-ocular distance.
    """

    fits: Path
    pictures: Path
    count: int
    seed: int = 0
    size: int = 256
    margin: float = 2.0
    residual: float = 0.05

    @property
    def faces(self) -> LabelledFaces:
        """The photographs."""
        return open_fits(self.fits, self.pictures)

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, for JSON."""
        values = {name: value for name, value in vars(self).items() if not isinstance(value, Path)}
        return {"kind": "occluded", "fits": digest(self.fits), **values}

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """Copies of the photographs that are fitted well, in a random order, again and again."""
        good = np.flatnonzero(self.faces.columns["error"] <= self.residual)
        return _plan(good, self.count, self.seed, outcomes)

    def make(self, task: Task) -> Made | str:
        """A copy with its labels, or the reason why there is none."""
        faces, face = self.faces, task.face
        columns, scheme = faces.columns, faces.scheme
        labels = columns["labels"][face]
        matrix = crop_matrix(box_of(labels), self.size, self.margin)
        try:
            image = cut(_picture(self, face), matrix, self.size)
            made, seed = _cover(self, task, image, apply(matrix, labels.astype(np.float64)), scheme)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {
            "sources": faces.name(face),
            "identities": faces.person(face),
            "seed": seed,
            "kind": made.kind,
            "turn": np.float32(0),
            "azimuth": np.float32(faces.azimuth[face]),
            "pose": columns["pose"][face],
            "error": columns["error"][face],
        }
        for name in faces.schemes:
            points = _moved(matrix, columns[f"points_{name}"][face])
            visible = _seen(points, columns[f"visible_{name}"][face], made)
            row |= {f"points_{name}": points, f"visible_{name}": visible}
        row[f"outline_{scheme}"] = _moved(matrix, np.concatenate([labels, columns["fitted"][face, :, 2:]], 1))
        return Made(made.image, row)


@dataclass(frozen=True)
class CoveredViews:
    """Occluded copies of rotated views, of their size and with their labels.

    Attributes:
        views: Folder of a run of `canthus synth profile`.
        count: Number of copies wanted; every view is copied equally often.
        seed: Seed of the occluders.
    """

    views: Path
    count: int
    seed: int = 0

    @property
    def faces(self) -> LabelledFaces:
        """The views."""
        return open_views(self.views)

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, for JSON."""
        open_views(self.views)  # has the better error where there is no run
        return {"kind": "occluded", "views": digest(self.views / INDEX), "count": self.count, "seed": self.seed}

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """Copies of the views, in a random order, again and again."""
        return _plan(np.arange(len(self.faces)), self.count, self.seed, outcomes)

    def make(self, task: Task) -> Made | str:
        """A copy with the labels of its view, or the reason why there is none."""
        columns, face = self.faces.columns, task.face
        try:
            points = columns[f"points_{SCHEME}"][face, :, :2].astype(np.float64)
            made, seed = _cover(self, task, _picture(self, face), points, SCHEME)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {name: value[face] for name, value in columns.items() if name != "images"}
        row |= {"seed": seed, "kind": made.kind}
        for name in [name for name in columns if name.startswith("visible_")]:
            row[name] = _seen(row[name.replace("visible_", "points_")], row[name], made)
        return Made(made.image, row)


def _plan(faces: NDArray[np.intp], count: int, seed: int, outcomes: Mapping[Task, str]) -> list[Task]:
    """Tasks for the copies that are missing: the faces in a random order, again and again, without refused ones."""
    barred = {task.face for task, reason in outcomes.items() if reason}
    order = [int(face) for face in np.random.default_rng(seed).permutation(faces) if int(face) not in barred]
    missing = count - sum(not reason for reason in outcomes.values())
    first = len(outcomes)
    return [Task(first + at, order[(first + at) % len(order)]) for at in range(missing)] if order else []


def _cover(
    order: Copies | CoveredViews, task: Task, image: Image, points: NDArray[np.float64], scheme: str
) -> tuple[Occluded, int]:
    """The picture with an occluder that the number of the task chooses, and the seed of the occluder."""
    rng = np.random.default_rng((order.seed, task.number))
    kind, seed = str(rng.choice(KINDS)), int(rng.integers(2**31))
    identities = order.faces.columns["identities"]
    others = tuple(_picture(order, other) for other in other_people(identities, task.face, rng))
    return occlude(image, points, scheme, seed, others, kind), seed


def other_people(identities: NDArray[Any], face: int, rng: np.random.Generator) -> list[int]:
    """Random pictures of other people than that of a face: OTHERS of them, or as many as there are.

    Args:
        identities: Person in each picture. Shape (F,).
        face: Number of the picture.
        rng: Random numbers.
    """
    others = np.flatnonzero(identities != identities[face])
    return [int(other) for other in rng.choice(others, min(OTHERS, len(others)), replace=False)]


def _seen(points: Floats, visible: NDArray[np.bool_], made: Occluded) -> NDArray[np.bool_]:
    """Which of the visible points (P, 3) lie in the picture and under no occluder. Shape (P,)."""
    return visible & ~made.hides(points[:, :2]) & inside(points[:, :2], made.alpha.shape)


def _moved(matrix: Matrix, points: NDArray[Any]) -> Floats:
    """Points (P, 3) with depth under a map of the picture."""
    depth = points[:, 2:] * float(scale_of(matrix))
    return np.concatenate([apply(matrix, points[:, :2].astype(np.float64)), depth], 1).astype(np.float32)


@lru_cache(64)
def _picture(order: Copies | CoveredViews, face: int) -> Image:
    return order.faces.picture(face)
