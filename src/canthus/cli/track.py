"""`canthus track`: faces followed through a video."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from canthus.cli.options import MODEL, DetectorName, Device, MaxFaces, ModelFile, Overlay, Precision, Resume, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from canthus.video.run import Request, Summary
    from canthus.video.window import LiveWindow

TRACKING = "Tracking"
START = "Landmark model that starts a face from the points of --model, e.g. of the recipe local_global_start."
FOLLOW = "Landmark model that follows a face from its points in the frame before, e.g. of local_global_follow."


def track(
    source: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO|CAMERA|DIR|-",
            help="A video; a camera, e.g. 0; a folder of images; - = a video on standard input.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("canthus-out"),
    kinds: Annotated[
        str, typer.Option("--format", help="Result files: csv, jsonl, parquet, pts; several as csv,jsonl.")
    ] = "csv",
    overlay: Overlay = False,
    log: Annotated[
        bool, typer.Option("--log", help="Also write and print why faces are found, lost and found again.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the frames in a window while they are tracked.")] = False,
    resume: Resume = False,
    smooth: Annotated[
        Literal["off", "online", "offline"],
        typer.Option(help="Smoothing of the points; offline looks at all frames.", rich_help_panel=TRACKING),
    ] = "online",
    every: Annotated[
        int, typer.Option(min=1, help="Search for new faces every so many frames.", rich_help_panel=TRACKING)
    ] = 15,
    max_faces: MaxFaces = None,
    detector: DetectorName = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01, show_default="25", help="Frames per second of a folder of images.", rich_help_panel=TRACKING
        ),
    ] = None,
    model: ModelFile = None,
    start: Annotated[Path | None, typer.Option(help=START, show_default="none", rich_help_panel=MODEL)] = None,
    follow: Annotated[Path | None, typer.Option(help=FOLLOW, show_default="--model", rich_help_panel=MODEL)] = None,
    precision: Precision = "fp32",
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Follow the faces in a video: landmarks in every frame, and a number for each face that stays.

    Example: canthus track talk.mp4 -o out --overlay

    When a run is interrupted, the results are complete up to the frame that it had reached.

    Exit codes: 0 all done; 1 some frames could not be read, the others are in the results; 2 wrong usage;
    3 nothing done, or the disk is full; 130 interrupted; 143 terminated.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # canthus itself says what is wrong with a camera
    import cv2
    from rich.console import Console

    from canthus.batch.folder import fingerprint
    from canthus.track.tracker import Tracker
    from canthus.video.results import Wanted
    from canthus.video.run import Request
    from canthus.video.window import LiveWindow

    if detector == "none":
        raise typer.BadParameter("a video needs a detector that finds faces", param_hint="--detector")
    wanted = Wanted(_kinds(kinds), overlay, log)
    cv2.setNumThreads(1)
    console = Console(stderr=True)
    engine: dict[str, Any] = {"device": device, "threads": threads, "precision": precision}
    options: dict[str, Any] = {"smooth": smooth, "every": every, "max_faces": max_faces}
    settings = {"every": every, "max_faces": max_faces, "detector": detector, "precision": precision, "device": device}
    settings["models"] = fingerprint(model, [start, follow], [])
    request = Request(source, out, wanted, rate, resume, settings)
    with LiveWindow(source) if show else nullcontext() as window:
        tracker = Tracker.open(model, start=start, follow=follow, detector=detector, **engine, **options)
        summary = _run(tracker, request, console, window)
    _show(summary, console, out)
    if summary.faults:
        raise typer.Exit(1)


def _kinds(text: str) -> tuple[str, ...]:
    """The formats of --format."""
    from canthus.video.results import KINDS

    chosen = tuple(dict.fromkeys(kind.strip() for kind in text.split(",")))
    if set(chosen) - set(KINDS):
        raise typer.BadParameter(
            f"{text!r}: choose one or several of {', '.join(KINDS)}, with commas between", param_hint="--format"
        )
    return chosen


def _run(tracker: Any, request: "Request", console: "Console", window: "LiveWindow | None") -> "Summary":
    """Track under a progress bar."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.video.run import follow

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(summary: "Summary") -> None:
            of = "" if summary.total is None else f"/{summary.total}"
            text = f"{summary.frames}{of} frames, {summary.rate:.0f} frames/s"
            bar.update(task, total=summary.total, completed=summary.frames, description=text)
            if request.wanted.log:
                for event in summary.events:
                    console.print(event, markup=False, highlight=False, soft_wrap=True)

        told: Callable[[Summary], None] = progress
        return follow(tracker, request, told, window)


def _show(summary: "Summary", console: "Console", out: Path) -> None:
    """Print the counts of a run and every fault."""
    from canthus.cli.counts import show_counts

    before = f", {summary.resumed} of them by an earlier run" * bool(summary.resumed)
    rows = {
        "frames": f"{summary.frames}, {summary.length:.1f} s of video{before}",
        "faces": str(summary.faces),
        "time": f"{summary.seconds:.1f} s, {summary.rate:.1f} frames/s",
        "results": str(out),
        "failed": f"{len(summary.faults)}" if summary.faults else "",
    }
    show_counts(rows, summary.faults, console)
