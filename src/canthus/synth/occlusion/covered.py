"""What the factory makes of photographs and of turned views, second: copies with something before the face."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, ReadError, ShapeError
from canthus.geometry.crop import box_of, crop_matrix
from canthus.geometry.pixels import cut, inside
from canthus.geometry.transform import Matrix, apply, scale_of
from canthus.reader.image import read
from canthus.synth.factory import Made, Task
from canthus.synth.occlusion.occlude import KINDS, Occluded, occlude
from canthus.synth.photographs import Photographs, open_photographs
from canthus.types import Floats, Image
from canthus.work.jobs import INDEX, SETTINGS, digest

Columns = Mapping[str, NDArray[Any]]

OTHERS = 2
"""Pictures of other people that an occluder may be cut from."""
SCHEME = "68"
"""Whose points tell where to put something before a turned face."""
NEEDED = ("images", "identities", "azimuth", f"points_{SCHEME}", f"visible_{SCHEME}")


@dataclass(frozen=True)
class Copies:
    """Occluded copies of fitted photographs.

    Attributes:
        fits: Table of `canthus synth fit`.
        pictures: Folder of the set that was fitted.
        count: Copies wanted; every photograph is copied alike often.
        seed: Chooses what is put before which face.
        size: Side of a copy, pixels.
        margin: Side of a copy over the longer side of the box of the labels.
        residual: Fits with more error are left out, a share of the inter-ocular distance.
    """

    fits: Path
    pictures: Path
    count: int
    seed: int = 0
    size: int = 256
    margin: float = 2.0
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
        good = np.flatnonzero(self.photographs.columns["error"] <= self.residual)
        return _plan(good, self.count, self.seed, outcomes)

    def picture(self, face: int) -> Image:
        """The photograph of a face."""
        return self.photographs.picture(face)

    def make(self, task: Task) -> Made | str:
        """A copy with its labels, or why there is none."""
        photographs = self.photographs
        columns, face, scheme = photographs.columns, task.face, photographs.scheme
        labels = columns["labels"][face]
        matrix = crop_matrix(box_of(labels), self.size, self.margin)
        try:
            image = cut(_picture(self, face), matrix, self.size)
            made, seed = _cover(self, task, image, apply(matrix, labels.astype(np.float64)), scheme)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {
            "sources": photographs.name(face),
            "identities": photographs.person(face),
            "seed": seed,
            "kind": made.kind,
            "turn": np.float32(0),
            "azimuth": np.float32(photographs.azimuth[face]),
            "pose": columns["pose"][face],
            "error": columns["error"][face],
        }
        for name in photographs.schemes:
            points = _moved(matrix, columns[f"points_{name}"][face])
            visible = _seen(points, columns[f"visible_{name}"][face], made)
            row |= {f"points_{name}": points, f"visible_{name}": visible}
        row[f"outline_{scheme}"] = _moved(matrix, np.concatenate([labels, columns["fitted"][face, :, 2:]], 1))
        return Made(made.image, row)

    @property
    def people(self) -> NDArray[Any]:
        """Who is in each photograph."""
        return self.photographs.columns["identities"]


@dataclass(frozen=True)
class CoveredViews:
    """Occluded copies of turned views, of their size and with their labels.

    Attributes:
        views: Folder of a run of `canthus synth profile`.
        count: Copies wanted; every view is copied alike often.
        seed: Chooses what is put before which face.
    """

    views: Path
    count: int
    seed: int = 0

    @property
    def columns(self) -> Columns:
        """Index of the run."""
        return _open_views(self.views)

    @property
    def people(self) -> NDArray[Any]:
        """Who is in each view."""
        return self.columns["identities"]

    def settings(self) -> dict[str, Any]:
        """All that the result depends on."""
        _open_views(self.views)  # complains better of what is no run
        return {"kind": "occluded", "views": digest(self.views / INDEX), "count": self.count, "seed": self.seed}

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """Copies of the views, in a random order, round after round."""
        return _plan(np.arange(len(self.people)), self.count, self.seed, outcomes)

    def picture(self, face: int) -> Image:
        """A view."""
        return read(self.views / str(self.columns["images"][face]))

    def make(self, task: Task) -> Made | str:
        """A copy with the labels of its view, or why there is none."""
        columns, face = self.columns, task.face
        try:
            places = columns[f"points_{SCHEME}"][face, :, :2].astype(np.float64)
            made, seed = _cover(self, task, _picture(self, face), places, SCHEME)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {name: value[face] for name, value in columns.items() if name != "images"}
        row |= {"seed": seed, "kind": made.kind}
        for name in [name for name in columns if name.startswith("visible_")]:
            row[name] = _seen(row[name.replace("visible_", "points_")], row[name], made)
        return Made(made.image, row)


def _plan(faces: NDArray[np.intp], count: int, seed: int, outcomes: Mapping[Task, str]) -> list[Task]:
    """Tasks for the copies that are missing: the faces in a random order, round after round, without refused ones."""
    barred = {task.face for task, reason in outcomes.items() if reason}
    order = [int(face) for face in np.random.default_rng(seed).permutation(faces) if int(face) not in barred]
    missing = count - sum(not reason for reason in outcomes.values())
    first = len(outcomes)
    return [Task(first + at, order[(first + at) % len(order)]) for at in range(missing)] if order else []


def _cover(
    order: Copies | CoveredViews, task: Task, image: Image, places: NDArray[np.float64], scheme: str
) -> tuple[Occluded, int]:
    """The picture with something before it that the task's number chooses, and the seed of that."""
    rng = np.random.default_rng((order.seed, task.number))
    kind, seed = str(rng.choice(KINDS)), int(rng.integers(2**31))
    others = tuple(_picture(order, other) for other in strangers(order.people, task.face, rng))
    return occlude(image, places, scheme, seed, others, kind), seed


def strangers(people: NDArray[Any], face: int, rng: np.random.Generator) -> list[int]:
    """Pictures of other people than that of a face; fewer than OTHERS where there are not as many.

    Args:
        people: Who is in each picture. Shape (F,).
        face: Number of the picture.
        rng: Random numbers.
    """
    others = np.flatnonzero(people != people[face])
    return [int(other) for other in rng.choice(others, min(OTHERS, len(others)), replace=False)]


def _seen(points: Floats, visible: NDArray[np.bool_], made: Occluded) -> NDArray[np.bool_]:
    """Which of the visible points (P, 3) lie in the picture and under nothing. Shape (P,)."""
    return visible & ~made.hides(points[:, :2]) & inside(points[:, :2], made.alpha.shape)


def _moved(matrix: Matrix, points: NDArray[Any]) -> Floats:
    """Points (P, 3) with depth under a map of the picture."""
    depth = points[:, 2:] * float(scale_of(matrix))
    return np.concatenate([apply(matrix, points[:, :2].astype(np.float64)), depth], 1).astype(np.float32)


@cache
def _open_views(folder: Path) -> Columns:
    """The index of a run of turned views; once in a process."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            columns = dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{folder}: not a whole run of canthus synth profile: {error}; make one") from error
    missing = [name for name in NEEDED if name not in columns]
    if settings.get("kind") != "views" or missing:
        what = f"{missing[0]!r} is missing" if missing else f"it holds {settings.get('kind')!r}"
        raise InputError(f"{folder}: not a run of canthus synth profile: {what}; make one")
    return columns


@lru_cache(64)
def _picture(order: Copies | CoveredViews, face: int) -> Image:
    return order.picture(face)
