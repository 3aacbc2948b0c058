"""Figures of a tracked video on a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from canthus.evaluate.report.study import percent
from canthus.evaluate.video.score import VideoScore


def show_video(found: VideoScore, console: Console) -> None:
    """Print the figures with the protocol of the errors."""
    console.print(f"[bold]{escape(found.protocol.name)}[/]: {escape(str(found.protocol))}", highlight=False)
    grid = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    jitter = f"{percent(found.jitter)}; still {percent(found.jitter_still)}, moving {percent(found.jitter_moving)}"
    lost = f"{found.lost}, of them regained with the old number {found.regained}; longest {found.longest:.2f} s"
    for name, value in {
        "labelled frames": str(len(found.errors)),
        "error of tracked frames, %": percent(found.error),
        "AUC, %": percent(found.auc),
        "failures, %": percent(found.failure_rate),
        "jitter, % of the face": jitter,
        "lag, frames": f"{found.lag:.2f}",
        "changes of identity": str(found.switches),
        "times lost": lost if found.lost else "0",
    }.items():
        grid.add_row(name, value)
    console.print(grid)
    if found.protocol.note:
        console.print(f"[yellow]note:[/] {escape(found.protocol.note)}", highlight=False)
