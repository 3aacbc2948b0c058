"""The counts of a run and its failures, on the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from canthus.work.names import printable


def show_counts(rows: Mapping[str, str], failures: Sequence[str], console: Console) -> None:
    """Print what a run did.

    Args:
        rows: Names and values; the row "failed" is red, and rows without a value are left out.
        failures: A line for each.
        console: The terminal.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, "bold"), Text(value, "red" if name == "failed" else ""))
    console.print(table)
    for failure in failures:
        console.print(f"  {printable(failure)}", markup=False, highlight=False, soft_wrap=True)
