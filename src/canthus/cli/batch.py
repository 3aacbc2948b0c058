"""`canthus batch`: the faces of any number of pictures and videos as Parquet tables."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from canthus.cli.options import (
    BatchSize,
    Depth,
    DetectorModel,
    DetectorName,
    Device,
    MaxFaces,
    MaxSide,
    MinConfidence,
    MinFace,
    ModelFile,
    Overlap,
    Overlay,
    Passes,
    Precision,
    ResultScheme,
)

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.batch.run import Engine, Progress, Request, Summary

ENGINE = "Engine"
"""Title of a group of options in the help."""
INPUT = "Pictures, videos, folders, quoted patterns, lists (.txt: a path a line), Parquet tables of paths or bytes."


def batch(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help=INPUT)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables.")] = Path("canthus-out"),
    column: Annotated[
        str | None,
        typer.Option(
            help="Column of Parquet tables that holds paths or pictures.", show_default="the only one that may"
        ),
    ] = None,
    overlay: Overlay = False,
    engine: Annotated[
        Literal["processes", "ray"],
        typer.Option(help="What shares the work: processes of this machine, or Ray.", rich_help_panel=ENGINE),
    ] = "processes",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of processes that share the work.", show_default="all cores", rich_help_panel=ENGINE
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster, e.g. auto or 10.0.0.1:6379.",
            show_default="this machine alone",
            rich_help_panel=ENGINE,
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0, help="GPUs for each process on Ray; 0.25 = four share one.", rich_help_panel=ENGINE)
    ] = 0,
    detector: DetectorName = None,
    detector_model: DetectorModel = None,
    min_face: MinFace = None,
    max_faces: MaxFaces = None,
    min_confidence: MinConfidence = None,
    overlap: Overlap = None,
    max_side: MaxSide = None,
    model: ModelFile = None,
    scheme: ResultScheme = None,
    passes: Passes = 2,
    batch: BatchSize = 32,
    depth: Depth = None,
    precision: Precision = "fp32",
    device: Device = "cpu",
) -> None:
    """Find the faces in any number of pictures and videos; write them as Parquet tables: a row for each face.

    faces/*.parquet holds source, index, time, box, confidence, pose, points and scores of each face; pictures/*.parquet
    has a row for each picture and frame, with its number of faces, or the reason why it failed.

    Example: canthus batch examples/astronaut.jpg -o out --workers 2

    Run the same command again to resume; with other workers or another engine it goes on as well.

    Exit codes: 0 all done; 1 some pictures failed and are listed; 2 wrong usage; 3 nothing done, or the run had to
    stop; 130 interrupted; 143 terminated.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # canthus itself says what is wrong with a file
    from dataclasses import replace

    from rich.console import Console

    from canthus.batch.run import Request
    from canthus.batch.setup import Setup
    from canthus.cli.detect import detector_options, in_scheme
    from canthus.detect.detector import DEFAULT

    name, console = detector or DEFAULT, Console(stderr=True)
    asked = {"bundle": detector_model, "min_face": min_face, "max_faces": max_faces, "threshold": min_confidence}
    options = detector_options(name, {**asked, "overlap": overlap, "max_side": max_side})
    if engine != "ray" and (address is not None or gpus):
        raise typer.BadParameter("is for --engine ray", param_hint="--gpus" if address is None else "--address")
    setup = Setup(model, name, tuple(options.items()), device, 1, precision, depth, batch, passes)
    setup = replace(setup, scheme=in_scheme(setup.open(), scheme, console).scheme)
    files = () if detector_model is None else (detector_model,)
    if engine == "processes" and device != "cpu":
        workers = workers or 1  # they would share one GPU
    with _engine(engine, workers, address, gpus) as chosen:
        summary = _run(Request(tuple(inputs), out, setup, overlay, column, files), chosen, console)
    _show(summary, console, out)
    if summary.failed:
        raise typer.Exit(1)


def _engine(name: str, workers: int | None, address: str | None, gpus: float) -> "AbstractContextManager[Engine]":
    """The engine of --engine."""
    from canthus.batch.processes import Processes
    from canthus.work.crew import cores

    if name == "processes":
        return nullcontext(Processes(workers or cores()))
    from canthus.batch.cluster import Cluster

    return Cluster(workers, address, gpus)


def _run(request: "Request", engine: "Engine", console: "Console") -> "Summary":
    """Work under a progress bar."""
    from datetime import timedelta

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from canthus.batch.run import run

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(*columns, console=console, transient=True) as bar:
        shown = bar.add_task("", total=None, rate="")

        def watch(progress: "Progress") -> None:
            left = "" if progress.left is None else f", {timedelta(seconds=round(progress.left))} left"
            text = f"{progress.rate:.1f} pictures/s{left}"
            bar.update(shown, total=progress.total, completed=progress.done, rate=text)

        return run(request, engine, watch)


def _show(summary: "Summary", console: "Console", out: Path) -> None:
    """Print the counts of a run and the first failures."""
    from canthus.cli.counts import show_counts

    progress = summary.progress
    before = f", {progress.resumed:,} of {progress.total:,} by an earlier run" * bool(progress.resumed)
    rows = {
        "pictures": f"{summary.pictures:,}{before}",
        "faces": f"{summary.faces:,}" + f"; no face in {summary.faceless:,} pictures" * bool(summary.faceless),
        "time": f"{progress.seconds:.1f} s, {progress.rate:.1f} pictures/s",
        "results": str(out),
        "failed": f"{summary.failed:,} pictures, all listed in {out / 'pictures'}" if summary.failed else "",
    }
    show_counts(rows, summary.failures, console)
