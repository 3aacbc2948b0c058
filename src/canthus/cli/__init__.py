"""The command line: one module per verb, which imports what it needs when it runs.

Exit codes: 0 all done; 1 some inputs failed and are listed at the end; 2 wrong usage; 3 nothing could be done;
130 interrupted.
"""

import sys
from typing import Annotated

import typer

from canthus.cli.ablate import ablate
from canthus.cli.compare import compare
from canthus.cli.detect import detect
from canthus.cli.evaluate import evaluate
from canthus.cli.export import export
from canthus.cli.info import info
from canthus.cli.recipes import recipes
from canthus.cli.synth import app as synth
from canthus.cli.train import train
from canthus.errors import CanthusError

app = typer.Typer(
    name="canthus",
    help="Facial landmarks in photographs: find them, measure errors, train models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for verb in (detect, evaluate, compare, train, recipes, ablate, export, info):
    app.command()(verb)
app.add_typer(synth, name="synth")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Facial landmarks in photographs: find them, measure errors, train models.

    canthus VERB --help explains each verb and its options.

    Example: canthus detect examples/astronaut.jpg -o out --overlay
    """
    if show:
        from canthus.version import __version__

        print(f"canthus {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of canthus becomes one message on standard error and exit code 3."""
    try:
        app()
    except CanthusError as error:
        print(f"canthus: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("canthus: interrupted", file=sys.stderr)
        sys.exit(130)
