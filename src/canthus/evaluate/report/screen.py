"""A study as tables on a terminal."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from canthus.evaluate.report.study import Study, percent


def show(study: Study, console: Console) -> None:
    """Print the figures, the other systems beside them, and where the error lies."""
    result, protocol = study.result, study.result.protocol
    console.print(f"[bold]{protocol.name}[/]: {protocol}", highlight=False)
    for source in study.sources:
        console.print(_systems(study, source), "")
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
        told = f"calibration error {known.calibration_error:.3f}, far points found {known.far_precision:.3f} (AP)"
        console.print(f"scores: {told}", highlight=False)
    for text in (*result.caveats, protocol.note):
        if text:
            console.print(f"[yellow]beware:[/] {text}", highlight=False)


def _systems(study: Study, source: str) -> Table:
    """The subject and the others in one kind of boxes; below the subject's, what papers report."""
    shown = study.columns()
    rows = []
    for entry in sorted(
        (entry for entry in study.entries if entry.boxes == source), key=lambda entry: entry.result.nme
    ):
        cells = [entry.label, *(percent(read(entry)) for read in shown.values())]
        rows.append([f"[bold]{cell}[/]" for cell in cells] if entry.label == study.entries[0].label else cells)
    for paper in study.published if source == study.sources[0] else ():
        known = {"NME": paper.nme, "AUC": paper.auc, "failures": paper.failure_rate}
        figures = [percent(known.get(name)) for name in shown]
        rows.append([f"{paper.system}, published{' (doubtful)' if paper.doubt else ''}", *figures])
    boxes = f", {source} boxes" if source else ""
    return _grid(f"{study.result.faces} faces{boxes}", [f"{name} %" for name in shown], rows)


def _grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is words and the rest numbers."""
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column(title, overflow="fold")
    for name in head:
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid
