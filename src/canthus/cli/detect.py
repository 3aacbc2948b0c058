"""`canthus detect`: landmarks of the faces in images."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.pipeline import Result
    from canthus.writer import ResultFolder


OF_DETECTOR = "the detector's"


class Device(StrEnum):
    """Where the network runs."""

    cpu = "cpu"
    cuda = "cuda"
    openvino = "openvino"


class Precision(StrEnum):
    """Variants of a network."""

    fp32 = "fp32"
    int8 = "int8"


def detect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders, patterns as 'set/**/*.png'.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("canthus-out"),
    kinds: Annotated[str, typer.Option("--format", help="json, csv, pts, or several: json,csv.")] = "json",
    overlay: Annotated[bool, typer.Option(help="Draw the faces onto the images as well.")] = False,
    boxes: Annotated[Path | None, typer.Option(help="Where the faces are, .csv or .json; none is looked for.")] = None,
    boxes_columns: Annotated[str, typer.Option(help="Beginning of the columns of boxes: tight_ for tight_x0.")] = "",
    detector: Annotated[
        str | None, typer.Option(show_default="opencv", help="What looks for faces: own, opencv, mtcnn or none.")
    ] = None,
    detector_model: Annotated[
        Path | None, typer.Option(show_default="the one in the package", help="A bundle of the detector own.")
    ] = None,
    min_face: Annotated[
        float | None, typer.Option(min=1, show_default=OF_DETECTOR, help="Smallest face, longer side in pixels.")
    ] = None,
    max_faces: Annotated[int | None, typer.Option(min=1, help="Faces an image at most, the most certain.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, show_default=OF_DETECTOR, help="Confidence from which a face counts.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, max=1, show_default=OF_DETECTOR, help="Boxes that overlap more are one face.")
    ] = None,
    max_side: Annotated[
        int | None,
        typer.Option(min=32, show_default=OF_DETECTOR, help="Larger images are shrunk to it to look for faces."),
    ] = None,
    model: Annotated[Path | None, typer.Option(show_default="the one in the package", help="A bundle.")] = None,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.cpu,
    threads: Annotated[int, typer.Option(min=0, help="Threads on the CPU; 0 = all cores.")] = 0,
    passes: Annotated[
        int, typer.Option(min=1, help="Times a found face is aligned; given boxes are taken as they are.")
    ] = 2,
    batch: Annotated[int, typer.Option(min=1, help="Faces that go through the network at once.")] = 32,
    precision: Annotated[Precision, typer.Option(help="int8 is faster and slightly less accurate.")] = Precision.fp32,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Stages of a cascade after which to stop.", show_default="all")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Skip images that an earlier run has done.")] = False,
) -> None:
    """Find the faces in images, and their landmarks.

    Example: canthus detect photos -o out --format json,csv --overlay

    Exit codes: 0 all done; 1 some images failed and are listed; 2 wrong usage; 3 nothing done; 130 interrupted.
    """
    import cv2
    from rich.console import Console

    from canthus.detect.detector import DEFAULT, DETECTORS, Detector, options_of
    from canthus.detect.given import BoxFile
    from canthus.pipeline import Pipeline
    from canthus.reader.files import root_of
    from canthus.writer import KINDS, ResultFolder

    chosen = [kind.strip() for kind in kinds.split(",")]
    if set(chosen) - set(KINDS):
        raise typer.BadParameter(f"{kinds!r} is not some of {', '.join(KINDS)}", param_hint="--format")
    if boxes_columns and boxes is None:
        raise typer.BadParameter("names the columns of a file that --boxes gives", param_hint="--boxes-columns")
    named = [name for name in DETECTORS if name != "given"]
    if detector not in (None, *named):
        raise typer.BadParameter(f"{detector!r} is not one of {', '.join(named)}", param_hint="--detector")
    asked = {
        "bundle": detector_model,
        "min_face": min_face,
        "max_faces": max_faces,
        "threshold": threshold,
        "overlap": overlap,
        "max_side": max_side,
    }
    options = {name: value for name, value in asked.items() if value is not None}
    if foreign := sorted(options.keys() - set(options_of(detector or DEFAULT))):
        flags = ", ".join("--detector-model" if name == "bundle" else f"--{name.replace('_', '-')}" for name in foreign)
        raise typer.BadParameter(f"the detector {detector or DEFAULT} has no {flags}", param_hint="--detector")
    if overlay and out.resolve() in {Path(path).resolve() for path in paths}:
        raise typer.BadParameter("overlays and the images they show need different folders", param_hint="--out")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # canthus itself says what is wrong with a file
    cv2.setNumThreads(threads or -1)
    files = _images(paths, out)
    given = None if boxes is None else BoxFile.open(boxes, boxes_columns)
    engine = {"device": device.value, "threads": threads} if (detector or DEFAULT) == "own" else {}
    pipeline = Pipeline.open(
        model,
        Detector.open(detector, **options, **engine),
        device=device.value,
        threads=threads,
        precision=precision.value,
        batch=batch,
        passes=passes,
        depth=depth,
    )
    settings = _settings(
        model, boxes, [precision, detector, passes, depth, options, boxes_columns, _stamp(detector_model)]
    )
    console, report = Console(stderr=True), Report()
    with ResultFolder(out, files, root_of(paths), chosen, overlay=overlay, settings=settings, resume=resume) as sink:
        todo = [file for file in files if not sink.done(file)]
        report.skipped = len(files) - len(todo)
        _write(pipeline.files(todo, given), len(todo), sink, report, console)
    report.show(console, out)
    if report.failures:
        raise typer.Exit(1)


@dataclass
class Report:
    """What became of a run."""

    images: int = 0
    faces: int = 0
    faceless: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> str:
        """Images and faces a second."""
        spent = max(self.seconds, 1e-6)
        return f"{self.images / spent:.1f} images/s, {self.faces / spent:.1f} faces/s"

    def show(self, console: "Console", out: Path) -> None:
        """Print the summary, and all that failed."""
        from rich.table import Table

        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        rows = {
            "images": f"{self.images}" + f", {self.skipped} more were done before" * bool(self.skipped),
            "faces": f"{self.faces}" + f"; none in {self.faceless} images" * bool(self.faceless),
            "time": f"{self.seconds:.1f} s, {self.rate}",
            "results": str(out),
            "failed": f"[red]{len(self.failures)} images" if self.failures else "",
        }
        for name, value in rows.items():
            if value:
                table.add_row(f"[bold]{name}", value)
        console.print(table)
        for failure in self.failures:
            console.print(f"  {failure}", markup=False, highlight=False, soft_wrap=True)


def _images(paths: list[str], out: Path) -> list[Path]:
    """The images to work on: not those that lie in the folder of the results, where this lies in a folder of images."""
    from canthus.reader.files import find

    place = out.resolve()
    below = any(place.is_relative_to(Path(path).resolve()) and place != Path(path).resolve() for path in paths)
    return [file for file in find(paths) if not (below and file.resolve().is_relative_to(place))]


def _settings(model: Path | None, boxes: Path | None, others: list[object]) -> str:
    """A hash of all that the results depend on beside the images."""
    from hashlib import sha256

    from canthus import __version__
    from canthus.runtime.bundle import Bundle

    text = [__version__, Bundle.open(model).card.model_dump_json(), *map(str, others)]
    content = b"" if boxes is None else boxes.read_bytes()
    return sha256("\n".join(text).encode() + content).hexdigest()[:16]


def _stamp(file: Path | None) -> object:
    """What changes when a file does."""
    return None if file is None else (file.stat().st_size, file.stat().st_mtime_ns)


def _write(results: "Iterable[Result]", count: int, sink: "ResultFolder", report: Report, console: "Console") -> None:
    """Write each result as it comes, under a progress bar."""
    from time import perf_counter

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.errors import InputError

    start = perf_counter()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=count, rate="")
        for result in results:
            try:
                if result.error is not None or result.image is None:
                    report.failures.append(str(result.error))
                else:
                    sink.write(result.path, result.image, result.faces)
                    report.images += 1
                    report.faces += len(result.faces)
                    report.faceless += len(result.faces) == 0
            except InputError as error:
                report.failures.append(str(error))
            report.seconds = perf_counter() - start
            progress.update(task, advance=1, rate=report.rate)
