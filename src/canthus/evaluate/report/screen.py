"""A study, or a comparison, as tables on a terminal.

Names of files and models are printed as they are: square brackets in them are no markup.
"""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from canthus.evaluate.compare import Comparison
from canthus.evaluate.report.study import Study, percent


def show(study: Study, console: Console) -> None:
    """Print the figures of all systems, then those of the subject by region and by class of faces."""
    result, protocol = study.result, study.result.protocol
    console.print(f"[bold]{escape(protocol.name)}[/]: {escape(str(protocol))}", highlight=False)
    for source in study.sources:
        console.print(_systems(study, source), "")
    if study.interval is not None:
        console.print(f"NME {percent(result.nme)} %, {study.interval}", highlight=False)
        console.print(f"({study.interval.method})\n", highlight=False)
    regions = [(name.replace("_", " "), percent(value)) for name, value in result.regions.items() if name != "all"]
    seen = [(f"{name} points", percent(value)) for name, value in result.visibility.items()]
    console.print(_grid("region", ("NME %",), [*regions, *seen]), "")
    for title, rows in (("|yaw| in the bins of the protocol", result.bins), *result.cuts.items()):
        if rows:
            cells = [(row.name, f"{row.faces}", *map(percent, (row.nme, row.auc, row.failure_rate))) for row in rows]
            console.print(_grid(title, ("faces", "NME %", "AUC %", "failures %"), cells), "")
    if result.contour is not None:
        along, across = (percent(float(np.nanmean(part))) for part in (result.contour.tangent, result.contour.normal))
        console.print(f"contour: {along} % along, {across} % across", highlight=False)
    if result.reliability is not None:
        known = result.reliability
        text = f"calibration error {known.calibration_error:.3f}, average precision of finding far points"
        console.print(f"scores: {text} {known.far_precision:.3f}", highlight=False)
    for text in (*result.caveats, protocol.note):
        if text:
            console.print(f"[yellow]note:[/] {escape(text)}", highlight=False)


def show_comparison(found: Comparison, names: tuple[str, str], console: Console) -> None:
    """Print the differences between two systems.

    Args:
        found: The comparison.
        names: Names of A and B.
        console: Where to print.
    """
    console.print(f"[bold]{escape(found.protocol.name)}[/]: {escape(str(found.protocol))}", highlight=False)
    what = f"A = {names[0]}, B = {names[1]}, {found.faces} faces"
    console.print(f"{what}; intervals of {100 * found.level:g} % over {found.units}", markup=False)
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("points", "A, %", "B, %", "A - B", "interval", "A wins", "better"):
        grid.add_column(column, justify="left" if column == "points" else "right", no_wrap=True)
    for row in (found.total, *found.regions):
        better = ("A" if row.difference < 0 else "B") if row.decided else "-"
        numbers = (f"{100 * row.a:.3f}", f"{100 * row.b:.3f}", f"{100 * row.difference:+.3f}")
        interval = f"{100 * row.low:+.3f} .. {100 * row.high:+.3f}"
        grid.add_row(escape(row.name.replace("_", " ")), *numbers, interval, f"{100 * row.wins:.1f} %", better)
    console.print(grid)


def _systems(study: Study, source: str) -> Table:
    """All systems with one kind of boxes, best first; with the subject's boxes, also the published figures."""
    shown = study.columns()
    rows = []
    for entry in sorted(
        (entry for entry in study.entries if entry.boxes == source), key=lambda entry: entry.result.nme
    ):
        cells = [escape(entry.label), *(percent(read(entry)) for read in shown.values())]
        rows.append([f"[bold]{cell}[/]" for cell in cells] if entry.label == study.entries[0].label else cells)
    for paper in study.published if source == study.sources[0] else ():
        known = {"NME": paper.nme, "AUC": paper.auc, "failures": paper.failure_rate}
        figures = [percent(known.get(name)) for name in shown]
        rows.append([f"{escape(paper.system)}, published{' (doubtful)' if paper.doubt else ''}", *figures])
    boxes = f", {source} boxes" if source else ""
    return _grid(f"{study.result.faces} faces{boxes}", [f"{name} %" for name in shown], rows)


def _grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is text and whose other columns are numbers."""
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column(escape(title), overflow="fold")
    for name in head:
        grid.add_column(escape(name), justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid
