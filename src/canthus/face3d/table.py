"""The table of fits of a data set: made over several processes, and kept in an .npz file.

The file is one that `formats.load` reads (images, points of the set's scheme in 3D, pose); it also holds the
coefficients of each fit, and for every scheme S of the model points_S and visible_S. docs/face-model.md lists all
arrays.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, InputError, ShapeError
from canthus.face3d.fit import Fit, FitOptions, Fitter
from canthus.face3d.labels import points_of, visibility
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import WeakPerspective
from canthus.work.arrays import Arrays, joined, load_arrays, save_arrays
from canthus.work.crew import Report
from canthus.work.folder import claim, digest
from canthus.work.units import make

Doubles = NDArray[np.float64]

CHUNK = 64
"""Number of faces in a unit of work."""
NO_TABLE, MAKE_ONE = "not a table of fits", "canthus synth fit makes one"
"""Error and remedy for a file that is no table."""


@dataclass(frozen=True, eq=False)
class Faces2D:
    """F faces with 2D labels of one scheme, to be fitted.

    Attributes:
        images: Name of the picture of each face. Length F.
        identities: Person or source picture; empty = not known. Length F.
        points: Labels. Shape (F, P, 2), pixels.
        sizes: Width and height of the pictures; NaN = not known. Shape (F, 2).
        scheme: Scheme of the labels.
    """

    images: tuple[str, ...]
    identities: tuple[str, ...]
    points: Doubles
    sizes: Doubles
    scheme: str

    def __post_init__(self) -> None:
        count = len(self.images)
        if not len(self.identities) == len(self.points) == len(self.sizes) == count:
            raise ShapeError(f"{count} images, but {len(self.points)} faces and {len(self.sizes)} sizes")

    def __len__(self) -> int:
        return len(self.images)

    def thinned(self, limit: int | None) -> "Faces2D":
        """At most `limit` of the faces, evenly spread; None = all."""
        if limit is None or len(self) <= limit:
            return self
        chosen = np.linspace(0, len(self) - 1, limit).round().astype(int)
        return Faces2D(
            tuple(self.images[index] for index in chosen),
            tuple(self.identities[index] for index in chosen),
            self.points[chosen],
            self.sizes[chosen],
            self.scheme,
        )


@dataclass(frozen=True)
class FitJob:
    """Everything that a fit depends on beside the faces; a value that processes can be sent.

    Attributes:
        model: File of the face model.
        landmarks: File of its landmark vertices; None = landmarks.json beside the model.
        scheme: Scheme of the labels.
        outline: The contour of the labels lies on the outline that is seen; False = on the true jaw.
        options: Options of the fit; None = the defaults.
        bias: Annotation bias (P, 3) of the labels, as bytes of float64; empty = none.
    """

    model: Path
    landmarks: Path | None
    scheme: str
    outline: bool = True
    options: FitOptions | None = None
    bias: bytes = b""

    def fitter(self) -> Fitter:
        """The fitter that the job describes; prepared once in a process."""
        return _fitter(self)

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on beside the faces, for JSON."""
        files = [self.model, self.landmarks or self.model.with_name("landmarks.json")]
        return {
            "files": [digest(path) for path in files],
            "scheme": self.scheme,
            "outline": self.outline,
            "options": asdict(self.options or FitOptions()),
            "annotation_bias": sha256(self.bias).hexdigest(),
        }

    @property
    def offsets(self) -> Doubles | None:
        """The annotation bias as an array. Shape (P, 3), cm; None = none."""
        return np.frombuffer(self.bias).reshape(-1, 3) if self.bias else None


@cache
def _fitter(job: FitJob) -> Fitter:
    fitter = Fitter(MorphableModel.open(job.model, job.landmarks), job.scheme, job.outline, job.options)
    return fitter if job.offsets is None else fitter.with_bias(job.offsets)


def fit_of(columns: Arrays, scheme: str) -> Fit:
    """The fits in a table.

    Args:
        columns: Columns of the table, F rows.
        scheme: Scheme of the labels.
    """
    table = {name: value.astype(np.float64) for name, value in columns.items() if value.dtype == np.float32}
    count = len(columns["images"])
    return Fit(
        scheme=scheme,
        camera=WeakPerspective(table["scale"], table["rotation"], table["shift"], np.zeros(count)),
        identity=table["identity"],
        expression=table["expression"],
        points=table["fitted"],
        residual=table["residual"],
        inter_ocular=table["inter_ocular"],
        problems=("",) * count,
    )


def fit_columns(job: FitJob, points: Doubles, sizes: Doubles) -> dict[str, NDArray[Any]]:
    """The columns of the table for some faces, one row for each; `problem` says why a row is NaN.

    Args:
        job: How to fit.
        points: Labels. Shape (F, P, 2), pixels.
        sizes: Width and height of the pictures. Shape (F, 2).
    """
    fitter = job.fitter()
    model, fit = fitter.model, fitter.fit(points, sizes)
    columns: dict[str, NDArray[Any]] = {
        "problem": np.array(fit.problems, str),
        "labels": points,
        "fitted": fit.points,
        "residual": fit.residual,
        "error": fit.error,
        "inter_ocular": fit.inter_ocular,
        "pose": fit.camera.pose,
        "scale": fit.camera.scale,
        "rotation": fit.camera.rotation,
        "shift": fit.camera.shift,
        "identity": fit.identity,
        "expression": fit.expression,
    }
    for scheme, seen in visibility(model, fit, model.landmarks.points).items():
        columns[f"visible_{scheme}"] = seen
        columns[f"points_{scheme}"] = points_of(model, fit, scheme, bias=job.offsets)
    return {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in columns.items()}


@dataclass(frozen=True, eq=False)
class _Part:
    """The unit of work: some faces, and the file of their columns."""

    path: Path
    job: FitJob
    points: Doubles
    sizes: Doubles

    @property
    def finished(self) -> bool:
        return self.path.is_file()

    def make(self, report: Report) -> None:
        save_arrays(self.path, fit_columns(self.job, self.points, self.sizes), compress=False)


def fit_faces(
    job: FitJob, faces: Faces2D, workers: int = 1, tick: Callable[[int], None] | None = None, parts: Path | None = None
) -> Arrays:
    """Fit faces; the result does not depend on the number of processes.

    Args:
        job: How to fit.
        faces: Faces to fit.
        workers: Number of processes, each with one thread; 1 = this one.
        tick: Receives the number of faces that were fitted, as they are.
        parts: Folder that keeps finished parts, so that a call that was killed can be repeated; None = keep nothing.

    Returns:
        The columns of `fit_columns`, F rows.

    Raises:
        ShapeError: there is no face, or its scheme is not the job's.
        OutputError: the folder holds the parts of something else, or cannot be written.
    """
    if faces.scheme != job.scheme or not len(faces):
        raise ShapeError(f"{len(faces)} faces of scheme {faces.scheme!r} for a fit of scheme {job.scheme!r}")
    job.fitter()  # reports what is wrong with the model before a folder is made
    with _folder(parts) as folder:
        what = sha256(faces.points.tobytes() + faces.sizes.tobytes()).hexdigest()
        claim(folder, {**job.settings(), "faces": what})
        units = [
            _Part(folder / f"{at:07d}.npz", job, faces.points[at : at + CHUNK], faces.sizes[at : at + CHUNK])
            for at in range(0, len(faces), CHUNK)
        ]
        done = []
        for unit in make(units, workers):
            done.append(load_arrays(unit.path, "a damaged part", "remove it and run the same command again"))
            if tick:
                tick(len(unit.points))
    return joined(done)


@contextmanager
def _folder(parts: Path | None) -> Iterator[Path]:
    """The folder of the parts, or one that vanishes."""
    if parts is not None:
        yield parts
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def forget(parts: Path) -> None:
    """Remove the parts of a call that has finished."""
    shutil.rmtree(parts, ignore_errors=True)


def write_table(path: Path, faces: Faces2D, columns: Arrays, job: FitJob, folder: Path) -> list[str]:
    """Write the faces that could be fitted.

    Args:
        path: The .npz file to write.
        faces: Faces that were fitted.
        columns: Result of `fit_faces`.
        job: How they were fitted.
        folder: Folder of the pictures; the table names it relative to its own folder.

    Returns:
        A line for each face that could not be fitted: its image and the reason.

    Raises:
        DataError: no face could be fitted.
        OutputError: the file cannot be written.
    """
    failed = columns["problem"] != ""
    failures = [f"{image}: {why}" for image, why in zip(faces.images, columns["problem"], strict=True) if why]
    if failed.all():
        raise DataError(f"none of the {len(failed)} faces could be fitted; the first: {failures[0]}")
    kept: dict[str, NDArray[Any]] = {name: value[~failed] for name, value in columns.items() if name != "problem"}
    kept["images"] = np.array(faces.images)[~failed]
    kept["identities"] = np.array(faces.identities)[~failed]
    kept["points"] = kept[f"points_{faces.scheme}"]
    kept["scheme"] = np.array(faces.scheme)
    kept["folder"] = np.array(os.path.relpath(folder.resolve(), path.resolve().parent))
    kept["failures"] = np.array(failures, str)
    kept["annotation_bias"] = np.zeros((0, 3)) if job.offsets is None else job.offsets
    save_arrays(path, kept)
    return failures


def read_bias(path: Path, count: int) -> bytes:
    """The annotation bias that an earlier table was fitted with, for `FitJob`.

    Args:
        path: A table.
        count: Number of points of the scheme.

    Raises:
        InputError: no table, or one without an annotation bias of so many points.
    """
    bias = load_arrays(path, NO_TABLE, MAKE_ONE, ["annotation_bias"])["annotation_bias"].astype(np.float64)
    if bias.shape != (count, 3):
        raise InputError(
            f"{path}: was fitted without an annotation bias of {count} points; fit it again with --annotation-bias"
        )
    return bias.tobytes()
