"""`canthus evaluate`: how good are these landmarks, by which protocol."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from canthus.align.aligner import Aligner
    from canthus.evaluate.protocol import Protocol
    from canthus.evaluate.report.study import Study
    from canthus.evaluate.run import Peers
    from canthus.evaluate.table import Table

FILES, MODEL, RULES, OUT = "What is scored", "Our model", "How it is scored", "Output"


def evaluate(
    data: Annotated[str | None, typer.Option(help="A data set, as wild68.", rich_help_panel=FILES)] = None,
    split: Annotated[str, typer.Option(help="Its split or part.", rich_help_panel=FILES)] = "test",
    root: Annotated[
        Path | None,
        typer.Option(envvar="CANTHUS_DATA", help="Folder in which the data sets lie.", rich_help_panel=FILES),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="A named protocol: its set, subset and rules.", rich_help_panel=FILES)
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="A file of true points instead.", rich_help_panel=FILES)] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Points to score: .npz, .csv, .json, .mat, or a folder of .pts.", rich_help_panel=FILES),
    ] = None,
    origin: Annotated[
        int,
        typer.Option(
            min=0,
            max=1,
            help="Number of the first pixel in the predictions; .pts know their own.",
            rich_help_panel=FILES,
        ),
    ] = 0,
    model: Annotated[
        Path | None, typer.Option(help="A bundle to run; else the one in the package.", rich_help_panel=MODEL)
    ] = None,
    boxes: Annotated[
        str | None, typer.Option(help="true, jitter, both, or a box of the set.", rich_help_panel=MODEL)
    ] = None,
    peers: Annotated[
        bool | None,
        typer.Option(help="Other systems that the set brings along; else if it does.", rich_help_panel=MODEL),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="0 = all cores.", rich_help_panel=MODEL)] = 1,
    precision: Annotated[Literal["fp32", "int8"], typer.Option(help="int8 is faster.", rich_help_panel=MODEL)] = "fp32",
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Stages of a cascade to run.", show_default="all", rich_help_panel=MODEL),
    ] = None,
    scheme: Annotated[str | None, typer.Option(help="Landmark scheme; else 68.", rich_help_panel=RULES)] = None,
    normaliser: Annotated[
        Literal["inter-ocular", "inter-pupil", "box", "diagonal"] | None,
        typer.Option(metavar="NAME", help="inter-ocular, inter-pupil, box or diagonal.", rich_help_panel=RULES),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of AUC and failures, as 0.08.", rich_help_panel=RULES)
    ] = None,
    mask: Annotated[
        Literal["all", "visible", "annotated"] | None, typer.Option(help="Points that count.", rich_help_panel=RULES)
    ] = None,
    missing: Annotated[
        Literal["refuse", "failure"],
        typer.Option(help="A face without prediction: refuse to score, or a failure.", rich_help_panel=RULES),
    ] = "refuse",
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures.", rich_help_panel=OUT)] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a report: HTML, Markdown, CSV, JSON, plots.", rich_help_panel=OUT)
    ] = None,
    protocols: Annotated[bool, typer.Option("--protocols", help="List the protocols.", rich_help_panel=OUT)] = False,
) -> None:
    """Measure landmarks by a stated protocol: our model's on a data set, or anybody's.

    Our model:   canthus evaluate --data wild68 --split test --report out

    A protocol:  canthus evaluate --protocol 300w-full-interocular --predictions mine.csv

    Two files:   canthus evaluate --truth truth.npz --predictions mine.npz --normaliser box --json out.json
    """
    if protocols:
        _list_protocols()
        return
    if sum(value is not None for value in (truth, data, protocol)) == 0:
        raise typer.BadParameter("say what to score against: --data, --protocol, or --truth")
    if truth is not None and (data is not None or predictions is None):
        raise typer.BadParameter("--truth takes --predictions beside it, and no --data")
    from canthus.evaluate.measure import study_predictions
    from canthus.evaluate.report.figure import check_matplotlib
    from canthus.evaluate.table import load_table
    from canthus.schemes.scheme import Scheme

    if report is not None:
        check_matplotlib()
    changes = {"scheme": scheme, "normaliser": normaliser, "threshold": threshold, "mask": mask}
    if truth is not None:
        rules = _rules(protocol).changed(**changes)
        true = load_table(truth, Scheme.open(rules.scheme))
    else:
        rules, true = _open_set(data, split, root, protocol, changes)
    if predictions is not None:
        found = load_table(predictions, Scheme.open(rules.scheme), origin)
        study = study_predictions(true, found, rules, predictions.stem, missing)
    else:
        from canthus.align.aligner import Aligner

        aligner = Aligner.open(model, threads=threads, precision=precision, depth=depth)
        study = _run(aligner, true, rules, boxes, _peers(rules, root, true, peers))
    _tell(replace(study, command=shlex.join(["canthus", *sys.argv[1:]])), as_json, report)


def _list_protocols() -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    from canthus.evaluate.protocol import PROTOCOLS

    grid = Grid("protocol", "what it means", "source", box=None, padding=(0, 2, 0, 0))
    for protocol in PROTOCOLS.values():
        grid.add_row(f"[bold]{protocol.name}", str(protocol), protocol.source)
    Console().print(grid)


def _rules(name: str | None) -> "Protocol":
    from canthus.evaluate.protocol import Protocol

    return Protocol.open(name) if name else Protocol()


def _open_set(
    data: str | None, split: str, root: Path | None, name: str | None, changes: Mapping[str, str | float | None]
) -> "tuple[Protocol, Table]":
    """The protocol to score by, and the labels of its set."""
    from canthus.data.catalogue import open_set
    from canthus.evaluate.measure import protocol_of
    from canthus.evaluate.table import table_of_samples
    from canthus.schemes.scheme import Scheme

    rules = _rules(name)
    if root is None:
        raise typer.BadParameter("say where the data sets lie: --root, or the environment variable CANTHUS_DATA")
    place, part = (data, split) if data else (rules.set, rules.subset)
    samples = open_set(place, root, part, **dict(rules.options))
    rules = rules.changed(set=place, subset=part) if name else protocol_of(place, part, samples)
    rules = rules.changed(**changes)
    return rules, table_of_samples(samples, root / (place.partition(":")[2] or place), Scheme.open(rules.scheme))


def _peers(rules: "Protocol", root: Path | None, true: "Table", wanted: bool | None) -> "Peers | None":
    """Other systems' points, if the set has them and they are wanted."""
    from canthus.evaluate.run import load_peers

    path = (root or Path()) / rules.set / f"{rules.subset}_peers.npz"
    return load_peers(path, true) if wanted or (wanted is None and path.is_file()) else None


def _run(aligner: "Aligner", true: "Table", rules: "Protocol", boxes: str | None, peers: "Peers | None") -> "Study":
    """Run our model in each kind of boxes, with a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from canthus.evaluate.measure import sources_of, study_model

    sources = sources_of(true, boxes, rules)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("faces", total=len(true) * len(sources))
        name = aligner.card.name
        return study_model(true, aligner, rules, name, sources, peers, lambda count: bar.advance(task, count))


def _tell(study: "Study", as_json: Path | None, report: Path | None) -> None:
    """Tables on the screen, then the files that were asked for."""
    from rich.console import Console

    from canthus.evaluate.report.screen import show
    from canthus.evaluate.report.tables import as_json as json_of
    from canthus.evaluate.report.write import write_report
    from canthus.work.files import replace_whole

    console = Console()
    show(study, console)
    if as_json is not None:
        with replace_whole(as_json) as path:
            path.write_text(json_of(study), encoding="utf-8")
        console.print(f"figures: {as_json}", highlight=False, soft_wrap=True)
    if report is not None:
        console.print(f"report: {write_report(study, report)}", highlight=False, soft_wrap=True)
