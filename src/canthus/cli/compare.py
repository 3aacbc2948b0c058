"""`canthus compare`: which of two systems is better on the same faces, and is the difference more than chance."""

import json
from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import TRUTH, JsonFile, NormaliserName, ProtocolName, SchemeName, write_json


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Points of one system: a file or folder as for --truth.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Points of the other system.")],
    truth: Annotated[Path, typer.Option(help=TRUTH)],
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence level of the intervals.")] = 0.95,
    as_json: JsonFile = None,
    protocol: ProtocolName = None,
    scheme: SchemeName = None,
    normaliser: NormaliserName = None,
) -> None:
    """Compare two systems face by face: is A better than B, and by more than chance?

    Prints the difference of the errors with its bootstrap interval and the share of faces won, for
    all points and for each region. Where the truth names the person or video of each face (column
    identity), the bootstrap draws whole persons, because their pictures are not independent.

    Example: canthus compare mine.npz theirs.npz --truth truth.csv
    """
    from rich.console import Console

    from canthus.evaluate.compare import compare_tables
    from canthus.evaluate.protocol import Protocol
    from canthus.evaluate.report.screen import show_comparison
    from canthus.evaluate.table import load_table
    from canthus.schemes.scheme import Scheme

    rules = (Protocol.open(protocol) if protocol else Protocol()).changed(scheme=scheme, normaliser=normaliser)
    points = Scheme.open(rules.scheme)
    true, a, b = (load_table(path, points) for path in (truth, first, second))
    found = compare_tables(true, a, b, rules, level)
    show_comparison(found, (str(first), str(second)), Console(stderr=str(as_json) == "-"))
    if as_json is not None:
        write_json(json.dumps(found.as_dict(), indent=1), as_json)
