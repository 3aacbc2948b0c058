"""The command line: one module per verb, which imports what it needs when it runs.

Exit codes: 0 all done; 1 some inputs failed and are listed at the end; 2 wrong usage; 3 nothing could be done;
130 interrupted (Ctrl-C); 143 terminated (SIGTERM).
"""

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from canthus.cli.ablate import ablate
from canthus.cli.batch import batch
from canthus.cli.compare import compare
from canthus.cli.detect import detect
from canthus.cli.evaluate import evaluate
from canthus.cli.export import export
from canthus.cli.info import info
from canthus.cli.recipes import recipes
from canthus.cli.serve import serve
from canthus.cli.stop import CODES, end_process, leave_signals_to_first, signals_end
from canthus.cli.synth import app as synth
from canthus.cli.track import track
from canthus.cli.train import train
from canthus.errors import CanthusError
from canthus.work.names import printable

app = typer.Typer(
    name="canthus",
    help="Facial landmarks in photographs and videos: find them, measure errors, train models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for verb in (detect, track, batch, serve, evaluate, compare, train, recipes, ablate, export, info):
    app.command()(verb)
app.add_typer(synth, name="synth")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Facial landmarks in photographs and videos: find them, measure errors, train models.

    canthus VERB --help explains each verb and its options.

    Example: canthus detect examples/astronaut.jpg -o out --overlay
    """
    if show:
        from canthus.version import __version__

        print(f"canthus {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of canthus becomes one message on standard error and exit code 3."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text
    leave_signals_to_first()
    try:
        with signals_end():
            app()
    except CanthusError as error:
        print(printable(f"canthus: {error}"), file=sys.stderr)
        end_process(3)
        sys.exit(3)
    except SystemExit as leave:
        if leave.code in CODES:
            print(f"canthus: {CODES[leave.code]}", file=sys.stderr)
            end_process(leave.code)
        raise
