"""Fit the face model to a data set: learn its annotation bias, fit all faces, write the table and a contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from canthus.face3d.annotation_bias import LEAST, learn_bias
from canthus.face3d.table import Faces2D, FitJob, fit_faces, forget, write_table
from canthus.synth.faces import open_labelled
from canthus.synth.sheet import write_sheet

LEARN_FROM = 300
"""Number of faces, evenly spread over the set, that the annotation bias is learnt from."""
YAWS = (0, 30, 60, 91)
"""Bounds of the ranges in which faces are counted, degrees."""


@dataclass(frozen=True)
class FitSummary:
    """What a table of fits holds.

    Attributes:
        faces: Number of faces that were fitted.
        yaws: Number of them by absolute yaw in 0-30, 30-60 and 60-91 degrees.
        mean: Mean error, as a share of the inter-ocular distance.
        high: Error that 95 of 100 faces stay below.
        failures: A line for each face that could not be fitted.
        missing: A picture without which no contact sheet could be drawn; None = it was drawn.
    """

    faces: int
    yaws: tuple[int, ...]
    mean: float
    high: float
    failures: tuple[str, ...]
    missing: Path | None


def with_learnt_bias(job: FitJob, faces: Faces2D) -> FitJob:
    """The job with the annotation bias of the faces; unchanged where they are fewer than 100.

    Raises:
        ShapeError: too few of the faces could be fitted.
    """
    if len(faces) < 2 * LEAST:
        return job
    return replace(job, bias=learn_bias(job.fitter(), faces.thinned(LEARN_FROM).points).tobytes())


def make_table(
    job: FitJob,
    faces: Faces2D,
    folder: Path,
    out: Path,
    workers: int = 1,
    tick: Callable[[int], None] | None = None,
) -> FitSummary:
    """Fit faces, and write their table with a contact sheet beside it. A call that was killed can be repeated.

        >>> root = Path("data")
        >>> faces = open_faces("wild68", root, "train")
        >>> job = with_learnt_bias(FitJob(Path("face.npz"), None, faces.scheme), faces)
        >>> make_table(job, faces, root / "wild68", Path("wild68-train.npz"), workers=4).mean
        0.018

    Args:
        job: How to fit.
        faces: Faces to fit.
        folder: Folder of their pictures.
        out: The .npz file to write; the sheet is a .png with the same stem.
        workers: Number of processes, each with one thread.
        tick: Receives the number of faces that were fitted, as they are.

    Raises:
        DataError: no face could be fitted.
        OutputError: a file cannot be written.
    """
    parts = out.with_name(f".{out.name}.parts")
    table = fit_faces(job, faces, workers, tick, parts)
    failures = write_table(out, faces, table, job, folder)
    missing = _write_sheet(out, folder)
    forget(parts)
    error, yaw = table["error"], np.abs(table["pose"][:, 0])
    good = np.isfinite(error)
    return FitSummary(
        faces=int(good.sum()),
        yaws=tuple(np.histogram(yaw[good], YAWS)[0].tolist()),
        mean=float(error[good].mean()),
        high=float(np.percentile(error[good], 95)),
        failures=tuple(failures),
        missing=missing,
    )


def _write_sheet(table: Path, folder: Path) -> Path | None:
    """A contact sheet of the fits; returns a picture that is missing, without which none is drawn."""
    faces = open_labelled(table, folder)
    for face in range(len(faces)):
        if not faces.file(face).is_file():
            return faces.file(face)
    columns = {**faces.columns, "azimuth": faces.azimuth, "kind": np.full(len(faces), "")}
    write_sheet(table.with_suffix(".png"), folder, columns, margin=1.6)
    return None
