"""`canthus compare`: is A better than B, and by more than chance."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Points of one system.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Points of the other.")],
    truth: Annotated[Path, typer.Option(help="True points; column `identity` keeps faces of one person together.")],
    protocol: Annotated[str | None, typer.Option(help="A named protocol to score by.")] = None,
    scheme: Annotated[str | None, typer.Option(help="Landmark scheme; else 68.")] = None,
    normaliser: Annotated[Literal["inter-ocular", "inter-pupil", "box", "diagonal"] | None, typer.Option()] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence of the intervals.")] = 0.95,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Compare two systems face by face: difference of NME with its bootstrap interval, win rate, each region.

    Example: canthus compare mine.npz theirs.npz --truth truth.csv
    """
    from rich.console import Console
    from rich.table import Table

    from canthus.evaluate.compare import compare_points
    from canthus.evaluate.pairing import paired
    from canthus.evaluate.protocol import Protocol
    from canthus.evaluate.table import load_table
    from canthus.schemes.scheme import Scheme
    from canthus.work.files import replace_whole

    rules = Protocol.open(protocol) if protocol else Protocol()
    rules = rules.changed(scheme=scheme, normaliser=normaliser)
    points = Scheme.open(rules.scheme)
    true = load_table(truth, points)
    a, b = (paired(load_table(path, points), true) for path in (first, second))
    found = compare_points(true.points, a.points, b.points, rules, true.labels(points, "set"), true.identities, level)
    console = Console()
    console.print(f"[bold]{rules.name}[/]: {rules}", highlight=False)
    console.print(f"A = {first}, B = {second}, {found.faces} faces; intervals of {100 * level:g} % over {found.units}")
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("points", "A, %", "B, %", "A - B", "interval", "A wins", "better"):
        grid.add_column(column, justify="left" if column == "points" else "right", no_wrap=True)
    for row in (found.total, *found.regions):
        better = ("A" if row.difference < 0 else "B") if row.decided else "-"
        numbers = (f"{100 * row.a:.3f}", f"{100 * row.b:.3f}", f"{100 * row.difference:+.3f}")
        interval = f"{100 * row.low:+.3f} .. {100 * row.high:+.3f}"
        grid.add_row(row.name.replace("_", " "), *numbers, interval, f"{100 * row.wins:.1f} %", better)
    console.print(grid)
    if as_json is not None:
        with replace_whole(as_json) as path:
            path.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
