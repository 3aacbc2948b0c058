"""`canthus detect`: landmarks of the faces in image files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canthus.cli.options import (
    DETECTION,
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
    Resume,
    Threads,
)

if TYPE_CHECKING:
    from collections import Counter

    from rich.console import Console

    from canthus.batch.folder import Summary
    from canthus.batch.shared import Task
    from canthus.detect.given import BoxFile
    from canthus.pipeline import Pipeline
    from canthus.writer.images import ResultFolder

FLAGS = {"bundle": "--detector-model", "threshold": "--min-confidence"}
"""Options of detectors that have another name on the command line."""


def detect(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Images, folders, and quoted patterns as 'set/**/*.png'.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("canthus-out"),
    kinds: Annotated[
        str, typer.Option("--format", help="Result files: json, csv, pts, ljson, npz, mat; several: json,csv.")
    ] = "json",
    overlay: Overlay = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Also draw the heatmaps and score maps of each face (score_guided).")
    ] = False,
    resume: Resume = False,
    boxes: Annotated[
        Path | None,
        typer.Option(help="File of face boxes (.csv or .json); skips detection.", rich_help_panel=DETECTION),
    ] = None,
    boxes_columns: Annotated[
        str,
        typer.Option(help="Prefix of the columns to use of --boxes: tight_ for tight_x0.", rich_help_panel=DETECTION),
    ] = "",
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
    threads: Threads = 0,
) -> None:
    """Find the faces in images and the landmarks of each face.

    Each result holds box and confidence of a face, its head pose (degrees), its points (pixels)
    and the reliability of each point.

    Example: canthus detect examples/astronaut.jpg -o out --format json,csv --overlay

    Exit codes: 0 all done; 1 some images failed and are listed; 2 wrong usage; 3 nothing done;
    130 interrupted; 143 terminated.
    """
    import warnings

    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # canthus itself says what is wrong with a file
    warnings.filterwarnings("ignore", module=r"PIL\.")
    from dataclasses import replace

    import cv2
    from rich.console import Console

    from canthus.batch.folder import fingerprint, image_files
    from canthus.batch.setup import Setup
    from canthus.batch.shared import Task
    from canthus.detect.detector import DEFAULT
    from canthus.reader.files import root_of, skipped
    from canthus.writer.images import ResultFolder

    chosen, name = _kinds(kinds), detector or DEFAULT
    asked = {"bundle": detector_model, "min_face": min_face, "max_faces": max_faces, "threshold": min_confidence}
    options = detector_options(name, {**asked, "overlap": overlap, "max_side": max_side})
    _check_folders(overlay, out, paths)
    cv2.setNumThreads(threads or -1)
    files = image_files(paths, out)
    given = _boxes_of(boxes, boxes_columns)
    console = Console(stderr=True)
    setup = Setup(model, name, tuple(options.items()), device, threads, precision, depth, batch, passes)
    pipeline = in_scheme(setup.open(), scheme, console)
    sheet = setup.sheet() if maps else None
    task = Task(replace(setup, scheme=pipeline.scheme), boxes, boxes_columns, overlay, maps)
    way = [precision, detector, passes, depth, options, boxes_columns, pipeline.scheme]
    settings = fingerprint(model, [boxes, detector_model], way)
    sink = ResultFolder(
        out, files, root_of(paths), chosen, overlay=overlay, maps=sheet, settings=settings, resume=resume
    )
    with sink:
        summary = _run(pipeline, task, given, files, sink, console)
    _show(summary, console, out)
    _show_skipped(skipped(paths, out), console)
    if summary.failures:
        raise typer.Exit(1)


def _boxes_of(path: Path | None, columns: str) -> "BoxFile | None":
    """The boxes of --boxes."""
    from canthus.detect.given import BoxFile

    if columns and path is None:
        raise typer.BadParameter("names the columns of a file that --boxes gives", param_hint="--boxes-columns")
    return None if path is None else BoxFile.open(path, columns)


def _check_folders(overlay: bool, out: Path, paths: list[str]) -> None:
    """Refuse to write overlays beside the images that they show."""
    if overlay and os.path.realpath(out) in map(os.path.realpath, paths):
        raise typer.BadParameter("overlays and the images they show need different folders", param_hint="--out")


def in_scheme(pipeline: "Pipeline", scheme: str | None, console: "Console") -> "Pipeline":
    """The pipeline with results in the scheme of --scheme; prints what the conversion costs."""
    from canthus.align.aligner import Aligner
    from canthus.schemes.faces import conversion
    from canthus.schemes.scheme import Scheme

    if scheme is None or not isinstance(pipeline.aligner, Aligner):
        return pipeline
    name = Scheme.open(scheme).name
    if name != pipeline.aligner.scheme.name:
        found = conversion(pipeline.aligner.scheme.name, name)
        console.print(str(found), markup=False, highlight=False, soft_wrap=True)
    return pipeline.in_scheme(name)


def _kinds(text: str) -> list[str]:
    """The formats of --format."""
    from canthus.writer.images import KINDS

    chosen = [kind.strip() for kind in text.split(",")]
    if set(chosen) - set(KINDS):
        raise typer.BadParameter(
            f"{text!r}: choose one or several of {', '.join(KINDS)}, with commas between", param_hint="--format"
        )
    return chosen


def detector_options(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, if the detector has them."""
    from canthus.detect.detector import DETECTORS, options_of

    named = [known for known in DETECTORS if known != "given"]
    if name not in named:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(named)}", param_hint="--detector")
    options = {option: value for option, value in asked.items() if value is not None}
    if foreign := sorted(options.keys() - set(options_of(name))):
        flags = ", ".join(FLAGS.get(option, f"--{option.replace('_', '-')}") for option in foreign)
        raise typer.BadParameter(f"the detector {name} has no {flags}", param_hint="--detector")
    return options


def _run(
    pipeline: "Pipeline",
    task: "Task",
    boxes: "BoxFile | None",
    files: list[Path],
    sink: "ResultFolder",
    console: "Console",
) -> "Summary":
    """Process the files under a progress bar: with the threads of this process, or many with several processes."""
    from dataclasses import replace

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.batch.folder import process_files
    from canthus.batch.shared import process_shared, processes_for

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task("", total=len(files), rate="")

        def progress(summary: "Summary") -> None:
            finished = summary.skipped + summary.images + len(summary.failures)
            bar.update(shown, completed=finished, rate=summary.rate)

        if workers := processes_for(task.setup, files, sink):
            shared = replace(task, setup=replace(task.setup, threads=1))
            return process_shared(shared, files, sink, workers, progress)
        return process_files(pipeline, files, sink, boxes, progress)


def _show_skipped(counts: "Counter[str]", console: "Console") -> None:
    """Print how many files in the folders are not images, by extension."""
    if counts:
        kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
        text = f"{counts.total()} files in the folders are not images and were skipped: {kinds}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _show(summary: "Summary", console: "Console", out: Path) -> None:
    """Print the counts of a run and every failure."""
    from canthus.cli.counts import show_counts

    rows = {
        "images": f"{summary.images}" + f", {summary.skipped} more were finished before" * bool(summary.skipped),
        "faces": f"{summary.faces}" + f"; no face in {summary.faceless} images" * bool(summary.faceless),
        "time": f"{summary.seconds:.1f} s, {summary.rate}",
        "results": str(out),
        "failed": f"{len(summary.failures)} images" if summary.failures else "",
    }
    show_counts(rows, summary.failures, console)
