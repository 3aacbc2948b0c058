"""`canthus detect`: landmarks of the faces in image files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canthus.cli.options import (
    DETECTION,
    IN_PACKAGE,
    MODEL,
    Depth,
    DetectorName,
    Device,
    MaxFaces,
    ModelFile,
    Overlay,
    Precision,
    Resume,
    Threads,
)

if TYPE_CHECKING:
    from collections import Counter

    from rich.console import Console

    from canthus.batch import Summary
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
        str, typer.Option("--format", help="Result files: json, csv, pts, ljson, npz, mat; several as json,csv.")
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
    detector_model: Annotated[
        Path | None,
        typer.Option(
            show_default=IN_PACKAGE, help="Model of the detector own: a .canthus bundle.", rich_help_panel=DETECTION
        ),
    ] = None,
    min_face: Annotated[
        float | None,
        typer.Option(
            min=1,
            show_default="own: 3 % of the longer side, at least 20",
            help="Smallest face to find: longer side of its box in pixels.",
            rich_help_panel=DETECTION,
        ),
    ] = None,
    max_faces: MaxFaces = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, show_default="own: 0.5", help="Minimum detection confidence.", rich_help_panel=DETECTION
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            show_default="own: 0.4",
            help="Boxes that overlap by more than this (intersection over union) are one face.",
            rich_help_panel=DETECTION,
        ),
    ] = None,
    max_side: Annotated[
        int | None,
        typer.Option(
            min=32,
            show_default="own: 1920",
            help="Shrink larger images for detection to this longer side in pixels.",
            rich_help_panel=DETECTION,
        ),
    ] = None,
    model: ModelFile = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            show_default="that of the model",
            help="Landmark scheme of the results, as 68, 84 or 39_left; the error of the conversion is told.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    passes: Annotated[
        int,
        typer.Option(
            min=1, help="Alignment passes per detected face; given boxes get one pass.", rich_help_panel=MODEL
        ),
    ] = 2,
    batch: Annotated[int, typer.Option(min=1, help="Faces per call of the model.", rich_help_panel=MODEL)] = 32,
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
    import cv2
    from rich.console import Console

    from canthus.align.aligner import Aligner
    from canthus.batch import fingerprint, image_files
    from canthus.detect.detector import DEFAULT
    from canthus.detect.given import BoxFile
    from canthus.pipeline import Pipeline
    from canthus.reader.files import root_of, skipped
    from canthus.writer.images import ResultFolder

    chosen, name = _kinds(kinds), detector or DEFAULT
    asked = {"bundle": detector_model, "min_face": min_face, "max_faces": max_faces, "threshold": min_confidence}
    options = _detector_options(name, {**asked, "overlap": overlap, "max_side": max_side})
    if boxes_columns and boxes is None:
        raise typer.BadParameter("names the columns of a file that --boxes gives", param_hint="--boxes-columns")
    _check_folders(overlay, out, paths)
    cv2.setNumThreads(threads or -1)
    files = image_files(paths, out)
    given = None if boxes is None else BoxFile.open(boxes, boxes_columns)
    engine: dict[str, Any] = {"device": device, "threads": threads, "precision": precision}
    console = Console(stderr=True)
    pipeline = Pipeline.open(model, name, **engine, **options, batch=batch, passes=passes, depth=depth)
    pipeline = _in_scheme(pipeline, scheme, console)
    sheet = Aligner.open(model, **engine, batch=batch, maps=True).sheet if maps else None
    way = [precision, detector, passes, depth, options, boxes_columns, pipeline.scheme]
    settings = fingerprint(model, [boxes, detector_model], way)
    sink = ResultFolder(
        out, files, root_of(paths), chosen, overlay=overlay, maps=sheet, settings=settings, resume=resume
    )
    with sink:
        summary = _run(pipeline, files, sink, given, console)
    _show(summary, console, out)
    _show_skipped(skipped(paths, out), console)
    if summary.failures:
        raise typer.Exit(1)


def _check_folders(overlay: bool, out: Path, paths: list[str]) -> None:
    """Refuse to write overlays beside the images that they show."""
    if overlay and os.path.realpath(out) in map(os.path.realpath, paths):
        raise typer.BadParameter("overlays and the images they show need different folders", param_hint="--out")


def _in_scheme(pipeline: "Pipeline", scheme: str | None, console: "Console") -> "Pipeline":
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


def _detector_options(name: str, asked: dict[str, Any]) -> dict[str, Any]:
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
    pipeline: "Pipeline", files: list[Path], sink: "ResultFolder", boxes: "BoxFile | None", console: "Console"
) -> "Summary":
    """Process the files under a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.batch import process_files

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(files), rate="")

        def progress(summary: "Summary") -> None:
            finished = summary.skipped + summary.images + len(summary.failures)
            bar.update(task, completed=finished, rate=summary.rate)

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
