"""`canthus synth fit`: a table of fits of a 3D face model to the 2D landmarks of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.options import NO_ROOT, SCHEME, Root, Workers
from canthus.cli.synth.screen import FaceModel, LabelNoise, Landmarks, Split, progress, tell

if TYPE_CHECKING:
    from canthus.face3d.table import Faces2D, FitJob
    from canthus.synth.fits import FitSummary


def fit(
    face_model: FaceModel,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write (.npz).")],
    data: Annotated[str | None, typer.Option(help="Name of a data set, e.g. wild68.")] = None,
    split: Split = "train",
    root: Root = None,
    points: Annotated[
        Path | None, typer.Option(help="File of landmarks instead of a set: .csv, .json, .npz, .pts.")
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help=SCHEME, show_default="as in the file, else by their number"),
    ] = None,
    landmarks: Landmarks = None,
    true_jaw: Annotated[
        bool, typer.Option("--true-jaw", help="Contours lie on the jaw, as in 3D labels, not on the visible outline.")
    ] = False,
    annotation_bias: Annotated[
        bool, typer.Option(help="Learn the constant offset of each label from the face model first.")
    ] = True,
    annotation_bias_from: Annotated[
        Path | None, typer.Option(help="Table whose annotation bias is used instead.")
    ] = None,
    noise: LabelNoise = 0.012,
    limit: Annotated[int | None, typer.Option(min=1, help="Fit at most N faces, evenly spread over the set.")] = None,
    workers: Workers = 1,
) -> None:
    """Fit a 3D face model to the 2D landmarks of a data set: pose, shape, and 3D points of every scheme.

    Example: canthus synth fit --face-model face.npz --data wild68 --root data -o data/fits_wild68/train.npz

    The reader `fits` reads the table as a data set (fits:fits_wild68). A contact sheet is written beside the table
    (train.png). Run the same command again to resume.

    Exit codes: 0 all faces fitted; 1 some were not, and are listed; 2 wrong usage; 3 nothing done.
    """
    from canthus.face3d.fit import FitOptions
    from canthus.face3d.table import FitJob, read_bias
    from canthus.schemes.scheme import Scheme
    from canthus.synth.fits import make_table

    if out.suffix != ".npz":
        raise typer.BadParameter("a table is an .npz file", param_hint="--out")
    faces, folder = _faces(data, split, root, points, scheme)
    faces = faces.thinned(limit)
    bias = b"" if annotation_bias_from is None else read_bias(annotation_bias_from, Scheme.open(faces.scheme).count)
    job = FitJob(face_model, landmarks, faces.scheme, not true_jaw, FitOptions(noise=noise), bias)
    if annotation_bias and not bias:
        job = _learn(job, faces)
    with progress(len(faces)) as tick:
        summary = make_table(job, faces, folder, out, workers, tick)
    tell(_lines(out, summary))
    if summary.failures:
        raise typer.Exit(1)


def _faces(
    data: str | None, split: str, root: Path | None, points: Path | None, scheme: str | None
) -> tuple["Faces2D", Path]:
    """The faces to fit, and the folder of their pictures."""
    from canthus.data.catalogue import folder_of
    from canthus.synth.source import open_faces, read_faces

    if (data is None) == (points is None):
        raise typer.BadParameter("give the faces to fit with --data or with --points")
    if points is not None:
        return read_faces(points, scheme), points.parent
    if root is None:
        raise typer.BadParameter(NO_ROOT)
    return open_faces(str(data), root, split), folder_of(str(data), root)


def _learn(job: "FitJob", faces: "Faces2D") -> "FitJob":
    """The job with the learnt annotation bias; a line where there are too few faces."""
    from canthus.face3d.annotation_bias import LEAST
    from canthus.synth.fits import with_learnt_bias

    learnt = with_learnt_bias(job, faces)
    if not learnt.bias:
        tell([f"no annotation bias is learnt from {len(faces)} faces; give {2 * LEAST}, or --annotation-bias-from"])
    return learnt


def _lines(out: Path, summary: "FitSummary") -> list[str]:
    """What was fitted, and what was not."""
    yaws = ", ".join(f"{count} at {low}" for count, low in zip(summary.yaws, ("0-30", "30-60", "60-91"), strict=True))
    lines = [f"no contact sheet: picture {summary.missing} does not exist"] if summary.missing else []
    lines.append(f"{out}: {summary.faces} faces; by yaw {yaws} degrees")
    lines.append(
        f"residual {summary.mean:.2%} of the inter-ocular distance, below {summary.high:.2%} for 95 of 100 faces"
    )
    if summary.failures:
        lines.append(f"{len(summary.failures)} faces were not fitted:")
    return [*lines, *(f"  {failure}" for failure in summary.failures)]
