"""Fits of a whole data set as a table on disk, made over several processes.

The table is an .npz that `formats.load` reads (images, points of the set's scheme in 3D, pose); beside that it holds
the coefficients, and for every scheme of the model points_SCHEME and visible_SCHEME. docs/face-model.md lists it all.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, InputError, ShapeError
from canthus.face3d.fit import Fit, FitOptions, Fitter
from canthus.face3d.labels import points_of, visibility
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import WeakPerspective
from canthus.work.files import replace_whole
from canthus.work.jobs import claim, digest, spread

Doubles = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

CHUNK = 64
"""Faces a process takes at a time."""


@dataclass(frozen=True, eq=False)
class Faces2D:
    """What is fitted: F faces of one scheme.

    Attributes:
        images: Name of the picture of each. Length F.
        identities: Person or source picture; empty = not known. Length F.
        points: Shape (F, P, 2), pixels.
        sizes: Width and height of the pictures; NaN = not known. Shape (F, 2).
        scheme: Of the points.
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


@dataclass(frozen=True)
class Job:
    """What a process needs to fit its share.

    Attributes:
        model: File of the face model.
        landmarks: File of its landmark vertices; None = beside it.
        scheme: Of the labels.
        outline: The contour of the labels is the outline that is seen.
        options: Of the fit; None = the usual.
        style: Offsets (P, 3) of the labels, as bytes of float64; empty = none.
    """

    model: Path
    landmarks: Path | None
    scheme: str
    outline: bool = True
    options: FitOptions | None = None
    style: bytes = b""

    def fitter(self) -> Fitter:
        """The fitter that the job describes; prepared once in a process."""
        return _fitter(self)

    def settings(self) -> dict[str, Any]:
        """All that the result depends on, but for the faces; for JSON."""
        files = [self.model, self.landmarks or self.model.with_name("landmarks.json")]
        return {
            "files": [digest(path) for path in files],
            "scheme": self.scheme,
            "outline": self.outline,
            "options": asdict(self.options or FitOptions()),
            "style": sha256(self.style).hexdigest(),
        }

    @property
    def offsets(self) -> Doubles | None:
        """The style as an array (P, 3)."""
        return np.frombuffer(self.style).reshape(-1, 3) if self.style else None


@cache
def _fitter(job: Job) -> Fitter:
    fitter = Fitter(MorphableModel.open(job.model, job.landmarks), job.scheme, job.outline, job.options)
    return fitter if job.offsets is None else fitter.styled(job.offsets)


def fit_of(columns: Columns, scheme: str) -> Fit:
    """The fits of the faces in a table, from its columns; `scheme` is that of the labels."""
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


def fit_columns(job: Job, points: Doubles, sizes: Doubles) -> dict[str, NDArray[Any]]:
    """The columns of the table for some faces, one row each; `problem` tells why a row is NaN."""
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
        columns[f"points_{scheme}"] = points_of(model, fit, scheme, style=job.offsets)
    return {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in columns.items()}


def fit_faces(
    job: Job, faces: Faces2D, workers: int = 1, tick: Callable[[int], None] | None = None, parts: Path | None = None
) -> Columns:
    """Fit faces over processes; the result does not depend on how many.

    Args:
        job: How.
        faces: What.
        workers: Processes, each with one BLAS thread; 1 = this one.
        tick: Told the number of faces done, as they are done.
        parts: Folder that keeps what is done, so that a call that was killed can be repeated; None = nothing is kept.

    Returns:
        The columns of `fit_columns`, F rows.

    Raises:
        ShapeError: there is no face, or its scheme is not the job's.
        OutputError: the folder holds the parts of something else, or cannot be written.
    """
    if faces.scheme != job.scheme or not len(faces.images):
        raise ShapeError(f"{len(faces.images)} faces of scheme {faces.scheme!r} for a fit of scheme {job.scheme!r}")
    if parts is not None:
        job.fitter()  # says what is wrong with the model before a folder is made
        what = sha256(faces.points.tobytes() + faces.sizes.tobytes()).hexdigest()
        claim(parts, {**job.settings(), "faces": what})
    starts = range(0, len(faces.images), CHUNK)
    files = [None if parts is None else parts / f"{at:07d}.npz" for at in starts]
    shares = [
        (job, faces.points[at : at + CHUNK], faces.sizes[at : at + CHUNK], file)
        for at, file in zip(starts, files, strict=True)
    ]
    made = spread(_fit_part, [share for share in shares if not _is_made(share[3])], workers)
    done = []
    for *_, file in shares:
        done.append(_read_part(file) if _is_made(file) else next(made))
        if tick:
            tick(len(done[-1]["error"]))
    return {name: np.concatenate([part[name] for part in done]) for name in done[0]}


def forget(parts: Path) -> None:
    """Take the parts of a call away that has come to its end."""
    shutil.rmtree(parts, ignore_errors=True)


def _is_made(file: Path | None) -> bool:
    return file is not None and file.is_file()


def _read_part(file: Path | None) -> dict[str, NDArray[Any]]:
    assert file is not None
    with np.load(file, allow_pickle=False) as archive:
        return dict(archive)


def _fit_part(job: Job, points: Doubles, sizes: Doubles, file: Path | None) -> dict[str, NDArray[Any]]:
    columns = fit_columns(job, points, sizes)
    if file is not None:
        with replace_whole(file) as part:
            np.savez(part, **columns)  # type: ignore[arg-type]
    return columns


def write_table(path: Path, faces: Faces2D, columns: Columns, job: Job, folder: Path) -> list[str]:
    """Write the faces that were fitted.

    Args:
        path: An .npz file.
        faces: What was fitted.
        columns: Of `fit_faces`.
        job: How it was fitted.
        folder: Where the pictures lie; the table names it as seen from its own folder.

    Returns:
        A line for each face that was not: its image and why.

    Raises:
        DataError: no face was fitted.
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
    kept["style"] = np.zeros((0, 3)) if job.offsets is None else job.offsets
    with replace_whole(path) as part:
        np.savez_compressed(part, **kept)  # type: ignore[arg-type]
    return failures


def read_style(path: Path, count: int) -> bytes:
    """The style that an earlier table was fitted with, for `Job`.

    Args:
        path: A table.
        count: Points of the scheme.

    Raises:
        InputError: no table, or one without a style of so many points.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            style = np.asarray(archive["style"], np.float64)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: not a table of fits: {error}; canthus synth fit makes one") from error
    if style.shape != (count, 3):
        raise InputError(f"{path}: was fitted without a style of {count} points; fit it again with --style")
    return style.tobytes()
