"""`canthus evaluate`: the error of landmarks by a stated protocol."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from canthus.cli.options import (
    MODEL,
    NO_ROOT,
    ROOT,
    RULES,
    TRUTH,
    Depth,
    JsonFile,
    ModelFile,
    NormaliserName,
    Precision,
    ProtocolName,
    SchemeName,
    Threads,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canthus.align.aligner import Aligner
    from canthus.evaluate.measure import Changes, LabelledSet
    from canthus.evaluate.report.study import Study

DATA = "Faces to score"


def evaluate(
    data: Annotated[str | None, typer.Option(help="Name of a data set, e.g. wild68.", rich_help_panel=DATA)] = None,
    split: Annotated[str, typer.Option(help="Split or subset of the data set.", rich_help_panel=DATA)] = "test",
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help=ROOT, rich_help_panel=DATA)] = None,
    truth: Annotated[Path | None, typer.Option(help=TRUTH, rich_help_panel=DATA)] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="File or folder of points to score, as for --truth; without it the model runs.", rich_help_panel=DATA
        ),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(
            help="Table or folder of canthus track, to score against the labels of its video in --truth.",
            rich_help_panel=DATA,
        ),
    ] = None,
    origin: Annotated[
        int,
        typer.Option(
            min=0,
            max=1,
            help="Coordinate of the first pixel in the predictions: 0, or 1 as in MATLAB. Ignored for .pts.",
            rich_help_panel=DATA,
        ),
    ] = 0,
    model: ModelFile = None,
    box_source: Annotated[
        str | None,
        typer.Option(
            help="Boxes given to the model: true, jitter, both, or the name of a box of the data set.",
            show_default="the protocol's; both where there are jittered ones",
            rich_help_panel=MODEL,
        ),
    ] = None,
    peers: Annotated[
        bool | None,
        typer.Option(
            help="Also score the points of other systems that come with the data set.",
            show_default="if there are any",
            rich_help_panel=MODEL,
        ),
    ] = None,
    depth: Depth = None,
    precision: Precision = "fp32",
    threads: Threads = 0,
    protocol: ProtocolName = None,
    scheme: SchemeName = None,
    normaliser: NormaliserName = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Error from which a face is a failure, and limit of the AUC, as a fraction of the normaliser.",
            show_default="the protocol's, else 0.08",
            rich_help_panel=RULES,
        ),
    ] = None,
    mask: Annotated[
        Literal["all", "visible", "annotated"] | None,
        typer.Option(
            help="Points to score: all, those labelled visible, or those that are annotated.",
            show_default="the protocol's, else all",
            rich_help_panel=RULES,
        ),
    ] = None,
    missing: Annotated[
        Literal["refuse", "failure"],
        typer.Option(
            help="A face without prediction: refuse to score, or count it as a failure.", rich_help_panel=RULES
        ),
    ] = "refuse",
    as_json: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a report: HTML, Markdown, CSV, JSON and plots.")
    ] = None,
    protocols: Annotated[bool, typer.Option("--protocols", help="List the named protocols and stop.")] = False,
) -> None:
    """Measure the error of landmarks by a stated protocol.

    Example: canthus evaluate --data wild68 --split test --root data --report out

    Example: canthus evaluate --protocol 300w-full-interocular --root data --predictions mine.csv

    Example: canthus evaluate --truth truth.npz --predictions mine.npz --normaliser box --json out.json

    Example: canthus evaluate --tracks out --truth videos/001/annot

    The first runs a model on a data set, the second scores your points on a data set, the third
    scores one file against another, the fourth a tracked video against labels of its frames. Every
    figure is printed with its protocol.
    """
    if protocols:
        _list_protocols()
        return
    _check_kept([truth, predictions, tracks], as_json, report)
    changes = {"scheme": scheme, "normaliser": normaliser, "threshold": threshold, "mask": mask}
    if tracks is not None:
        if truth is None or any(other is not None for other in (data, predictions, report, scheme)):
            raise typer.BadParameter("--tracks needs --truth; it excludes --data, --predictions, --report, --scheme")
        _show_tracks(tracks, truth, protocol, changes, as_json)
        return
    if truth is None and data is None and protocol is None:
        raise typer.BadParameter("say what to score against: --data, --protocol, or --truth")
    if truth is not None and (data is not None or predictions is None):
        raise typer.BadParameter("--truth needs --predictions, and excludes --data")
    if truth is None and root is None:
        raise typer.BadParameter(NO_ROOT)
    from canthus.evaluate.measure import labelled_files, labelled_set, study_predictions
    from canthus.evaluate.report.write import check_extra
    from canthus.evaluate.table import load_table

    if report is not None:
        check_extra()
    if truth is not None:
        faces = labelled_files(truth, protocol, changes)
    else:
        faces = labelled_set(root or Path(), data, split, protocol, changes)
    if predictions is not None:
        found = load_table(predictions, faces.scheme, origin)
        study = study_predictions(faces.truth, found, faces.protocol, predictions.stem, missing)
    else:
        from canthus.align.aligner import Aligner

        aligner = Aligner.open(model, threads=threads, precision=precision, depth=depth)
        study = _run(aligner, faces, box_source, peers)
    _show(replace(study, command=shlex.join(["canthus", *sys.argv[1:]])), as_json, report)


def _check_kept(sources: "Sequence[Path | None]", as_json: Path | None, report: Path | None) -> None:
    """Refuse to write over a file that is read; of a folder that is read, over the table of results in it."""
    from canthus.evaluate.report.write import PLOTS, TEXTS

    tables = ["faces.csv", *(f"tracks{ending}" for ending in (".csv", ".jsonl", ".parquet"))]
    given = [source for source in sources if source is not None]
    read = [path for source in given for path in (source, *(source / name for name in tables)) if path.exists()]
    written = [("--json", as_json, as_json)] if as_json is not None and str(as_json) != "-" else []
    if report is not None:
        written += [("--report", report / name, report) for name in (*TEXTS, *PLOTS)]
        written += [("--report", report, report)] if report.is_file() else []
    for option, out, named in written:
        if out.exists() and any(out.samefile(path) for path in read):
            raise typer.BadParameter(
                f"{named}: would overwrite {out}, which is read; choose another {'file' if out == named else 'folder'}",
                param_hint=option,
            )


def _show_tracks(tracks: Path, truth: Path, protocol: str | None, changes: "Changes", as_json: Path | None) -> None:
    """Score a table of tracks, print its figures, and write them."""
    from rich.console import Console

    from canthus.evaluate.report.video import show_video
    from canthus.evaluate.video.files import score_files

    found = score_files(tracks, truth, protocol, changes)
    console = Console(stderr=str(as_json) == "-")
    show_video(found, console)
    if as_json is not None:
        write_json(json.dumps(found.as_dict(), indent=1), as_json)
        console.print(f"figures: {as_json}", highlight=False, soft_wrap=True, markup=False)


def _list_protocols() -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    from canthus.evaluate.protocol import PROTOCOLS

    grid = Grid("protocol", "what it means", "source", box=None, padding=(0, 2, 0, 0))
    for protocol in PROTOCOLS.values():
        grid.add_row(f"[bold]{protocol.name}", escape(str(protocol)), escape(protocol.source))
    Console().print(grid)


def _run(aligner: "Aligner", faces: "LabelledSet", box_source: str | None, peers: bool | None) -> "Study":
    """Run a model with each kind of boxes, under a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from canthus.evaluate.measure import sources_of, study_model

    sources = sources_of(faces.truth, box_source, faces.protocol)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("faces", total=len(faces.truth) * len(sources))
        return study_model(
            faces.truth,
            aligner,
            faces.protocol,
            aligner.card.name,
            sources,
            faces.peers(peers),
            lambda count: bar.advance(task, count),
        )


def _show(study: "Study", as_json: Path | None, report: Path | None) -> None:
    """Print tables, then write the files that were asked for."""
    from rich.console import Console

    from canthus.evaluate.report.screen import show
    from canthus.evaluate.report.tables import as_json as json_of
    from canthus.evaluate.report.write import write_report

    console = Console(stderr=str(as_json) == "-")
    show(study, console)
    if as_json is not None:
        write_json(json_of(study), as_json)
        console.print(f"figures: {as_json}", highlight=False, soft_wrap=True, markup=False)
    if report is not None:
        console.print(f"report: {write_report(study, report)}", highlight=False, soft_wrap=True, markup=False)
