"""`canthus synth`: training data from a 3D face model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.synth_denoise import denoise
from canthus.cli.synth_pairs import pairs
from canthus.cli.synth_schemes import schemes
from canthus.cli.synth_video import video

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.synth.factory import Order, Summary
    from canthus.synth.table import Columns, Faces2D, Job

app = typer.Typer(help="Make training data with a 3D face model.", no_args_is_help=True)
app.command("denoise")(denoise)
app.command("pairs")(pairs)
app.command("schemes")(schemes)
app.command("video")(video)


@app.callback()
def synth() -> None:
    """Make training data with a 3D face model.

    Example: canthus synth import FaceXModel -o face.npz
    """


@app.command("import")
def import_model(
    folder: Annotated[Path, typer.Argument(help="FaceXModel of ICT-FaceKit.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The face model to write, .npz.")],
) -> None:
    """Make a face model of ICT-FaceKit as its owners distribute it.

    Example: canthus synth import ICT-FaceKit/FaceXModel -o face.npz
    """
    from canthus.face3d.ict import import_ict

    if out.suffix != ".npz":
        raise typer.BadParameter("a face model is an .npz file", param_hint="--out")
    counts = import_ict(folder, out)
    print(f"{out}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


@app.command()
def fit(
    model: Annotated[Path, typer.Option(help="Face model, .npz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write, .npz.")],
    data: Annotated[str | None, typer.Option(help="A data set, as wild68.")] = None,
    split: Annotated[str, typer.Option(help="Its split.")] = "train",
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")] = None,
    points: Annotated[Path | None, typer.Option(help="A file of landmarks instead: .csv, .json, .npz, .pts.")] = None,
    scheme: Annotated[str | None, typer.Option(help="Of the file's points.", show_default="by their number")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark vertices.", show_default="landmarks.json beside the model")
    ] = None,
    true_jaw: Annotated[bool, typer.Option("--true-jaw", help="Contours are on the jaw, as in 3D labels.")] = False,
    style: Annotated[bool, typer.Option(help="Learn how the set places its points first.")] = True,
    style_from: Annotated[Path | None, typer.Option(help="Take the style of this table instead.")] = None,
    noise: Annotated[float, typer.Option(min=1e-4, max=1, help="Error of a label, of the inter-ocular.")] = 0.012,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many faces, evenly spread.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Fit a face model to the 2D landmarks of a data set: pose, shape, and 3D points of every scheme.

    Example: canthus synth fit --model face.npz --data wild68 --root data -o data/fits_wild68/train.npz

    The reader `fits` reads the table as a data set (fits:fits_wild68). Beside it comes a contact sheet, train.png. A
    run that was interrupted goes on with the same command.

    Exit codes: 0 all fitted; 1 some faces were not, and are listed; 2 wrong usage; 3 nothing done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from canthus.data.catalogue import folder_of
    from canthus.face3d.fit import FitOptions
    from canthus.schemes.scheme import Scheme
    from canthus.synth.source import open_faces, read_faces, thinned
    from canthus.synth.table import Job, fit_faces, forget, read_style, write_table

    if (data is None) == (points is None):
        raise typer.BadParameter("say what to fit: --data or --points")
    if out.suffix != ".npz":
        raise typer.BadParameter("a table is an .npz file", param_hint="--out")
    if points is not None:
        faces, folder = read_faces(points, scheme), points.parent
    elif root is None:
        raise typer.BadParameter("say where the data sets lie: --root, or the environment variable CANTHUS_DATA")
    else:
        faces, folder = open_faces(str(data), root, split), folder_of(str(data), root)
    faces = thinned(faces, limit)
    console = Console(stderr=True)
    offsets = b"" if style_from is None else read_style(style_from, Scheme.open(faces.scheme).count)
    job = Job(model, landmarks, faces.scheme, not true_jaw, FitOptions(noise=noise), offsets)
    if style and style_from is None:
        job = _with_style(job, faces, console)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(faces.images))
        parts = out.with_name(f".{out.name}.parts")
        table = fit_faces(job, faces, workers, lambda count: progress.advance(task, count), parts)
    failures = write_table(out, faces, table, job, folder)
    _fit_sheet(console, out, folder)
    forget(parts)
    _tell(console, out, table, failures)
    if failures:
        raise typer.Exit(1)


@app.command()
def profile(
    model: Annotated[Path, typer.Option(help="Face model, .npz.")],
    fits: Annotated[Path, typer.Option(help="Table of canthus synth fit.")],
    pictures: Annotated[Path, typer.Option(help="Folder of the set that was fitted.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: views/SPLIT for the reader views.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Views to make.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Chooses photographs and turns.")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of a view, pixels.")] = 256,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark vertices.", show_default="landmarks.json beside the model")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Make large-pose views of photographs, as many of each azimuth from -90 to 90 degrees.

    A run that was interrupted goes on with the same command.

    Example: canthus synth profile --model face.npz --fits wild68-train.npz --pictures data/wild68 -o data/views/train

    Exit codes: 0 all made; 1 some could not be; 2 wrong usage; 3 nothing done.
    """
    from canthus.synth.turn.profile import ProfileOptions
    from canthus.synth.turn.turned import Views

    _produce(Views(model, fits, pictures, count, seed, landmarks, ProfileOptions(size=size)), out, workers)


@app.command()
def occlude(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: SET/SPLIT for the reader views:SET.")],
    fits: Annotated[Path | None, typer.Option(help="Table of canthus synth fit.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder of the set that was fitted.")] = None,
    views: Annotated[Path | None, typer.Option(help="A run of canthus synth profile instead of both.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Copies to make.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Chooses what is put before whom.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=32, help="Side of a copy, pixels.", show_default="256, or that of the views")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Make copies of photographs, or of turned views, with something before the face, and say which landmarks it hides.

    A run that was interrupted goes on with the same command.

    Example: canthus synth occlude --fits wild68-train.npz --pictures data/wild68 -o data/occluded/train

    Exit codes: 0 all made; 1 some could not be; 2 wrong usage; 3 nothing done.
    """
    from canthus.synth.occlusion.covered import Copies, CoveredViews

    order: Order
    if views is not None:
        if fits or pictures or size:
            raise typer.BadParameter("views bring their pictures and size: without --fits, --pictures and --size")
        order = CoveredViews(views, count, seed)
    elif fits is None or pictures is None:
        raise typer.BadParameter("say what to copy: --fits and --pictures, or --views")
    else:
        order = Copies(fits, pictures, count, seed, size or 256)
    _produce(order, out, workers)


def _produce(order: "Order", out: Path, workers: int) -> None:
    """Run the factory with a progress bar, and tell what was made."""
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from canthus.synth.factory import produce

    console, start = Console(stderr=True), monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=order.count)
        summary = produce(order, out, workers, lambda count: progress.advance(task, count))
    _tell_run(console, out, summary, monotonic() - start)
    if summary.made < summary.wanted:
        raise typer.Exit(1)


def _tell_run(console: "Console", out: Path, summary: "Summary", seconds: float) -> None:
    """How much was made, where, and what was refused."""
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    lines = [f"{out}: {summary.made} of {summary.wanted} pictures, {size:.0f} MB, {seconds:.0f} s; look at sheet.png"]
    lines.append(f"in every ten degrees of azimuth from -90 to 90: {' '.join(map(str, summary.azimuths))}")
    lines.append(f"refused {summary.rejected_share:.1%} of those tried" + ":" * bool(summary.rejected))
    lines += [f"  {count} {reason}" for reason, count in summary.rejected.items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _fit_sheet(console: "Console", out: Path, folder: Path) -> None:
    """A contact sheet of the fits, where their pictures are files."""
    import numpy as np

    from canthus.synth.labelled import open_labelled
    from canthus.synth.sheet import write_sheet

    faces = open_labelled(out)
    missing = [name for name in faces.columns["images"].tolist() if not (folder / name).is_file()]
    if missing:
        console.print(f"no contact sheet: there is no picture {folder / missing[0]}", highlight=False, soft_wrap=True)
        return
    columns = {**faces.columns, "azimuth": faces.azimuth, "kind": np.full(len(faces), "")}
    write_sheet(out.with_suffix(".png"), folder, columns, margin=1.6)


def _with_style(job: "Job", faces: "Faces2D", console: "Console") -> "Job":
    """The job with the style of a few hundred of the faces, or as it is where there are too few."""
    from dataclasses import replace

    from canthus.face3d.style import LEAST, learn_style
    from canthus.synth.source import thinned

    if len(faces.images) < 2 * LEAST:
        console.print(f"no style is learnt from {len(faces.images)} faces; {2 * LEAST} are needed, or --style-from")
        return job
    return replace(job, style=learn_style(job.fitter(), thinned(faces, 300).points).tobytes())


def _tell(console: "Console", out: Path, table: "Columns", failures: list[str]) -> None:
    """What was made, and what was not."""
    import numpy as np

    error, yaw = table["error"], np.abs(table["pose"][:, 0])
    good = np.isfinite(error)
    shares = ", ".join(
        f"{int(((yaw >= low) & (yaw < high)).sum())} at {low}-{high}" for low, high in ((0, 30), (30, 60), (60, 91))
    )
    console.print(f"{out}: {int(good.sum())} faces; by yaw {shares} degrees", highlight=False, soft_wrap=True)
    mean, worst = error[good].mean(), np.percentile(error[good], 95)
    console.print(f"residual {mean:.2%} of the inter-ocular distance, 95 of 100 below {worst:.2%}", highlight=False)
    if failures:
        console.print(f"[red]{len(failures)} faces were not fitted:")
    for failure in failures:
        console.print(f"  {failure}", markup=False, highlight=False, soft_wrap=True)
