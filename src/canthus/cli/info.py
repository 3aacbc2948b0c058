"""`canthus info`: the card of a model bundle, and the devices of this installation."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canthus.cli.options import IN_PACKAGE, JsonFile, write_json

if TYPE_CHECKING:
    from canthus.runtime.bundle import Bundle


def info(
    model: Annotated[Path | None, typer.Argument(help="Model: a .canthus bundle.", show_default=IN_PACKAGE)] = None,
    as_json: JsonFile = None,
) -> None:
    """Show the card of a model: system, training data, measured errors, licence and known limits.

    Also checks the file against the hashes in its card, and lists the devices that can run it here.

    Example: canthus info models/local_global.canthus
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from canthus.runtime.bundle import Bundle

    bundle = Bundle.open(model)
    for stage in bundle.card.stages:
        bundle.arrays(stage)
        for network, variants in stage.parts.items():
            for precision in variants:
                bundle.network(network, precision)
    if as_json is not None:
        write_json(bundle.card.model_dump_json(indent=2), as_json)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _rows(bundle).items():
        table.add_row(Text(name, "bold"), Text(value))
    Console().print(table)


def _rows(bundle: "Bundle") -> dict[str, str]:
    """What the screen shows of a bundle, by title."""
    import onnxruntime

    from canthus.runtime.session import installed
    from canthus.version import __version__

    card = bundle.card
    return {
        "bundle": f"{bundle.path} ({bundle.path.stat().st_size / 2**20:.2f} MB, hashes checked)",
        "model": f"{card.name}: {card.points} points, scheme {card.scheme}, system {card.system}",
        "stages": "\n".join(
            f"{stage.name}: {', '.join(stage.parts)}; "
            + (f"crop {stage.crop.size} px, margin {stage.crop.margin}" if stage.crop else "whole pictures")
            for stage in card.stages
        ),
        "precisions": ", ".join(card.precisions),
        "trained on": ", ".join(card.data),
        "paper": card.paper,
        "licence": card.licence,
        "limits": "\n".join(card.limits),
        "measured": "\n".join(map(_figures, card.measured)) or "nothing",
        "canthus": f"{__version__}, ONNX Runtime {onnxruntime.__version__}, devices: {', '.join(installed())}",
    }


def _figures(entry: Mapping[str, Any]) -> str:
    """Measured errors of one protocol as a line."""
    figures = (f"{name.replace('_', ' ')} {value}" for name, value in entry.items() if name != "protocol")
    return f"{entry.get('protocol', 'no protocol')}: {', '.join(figures)}"
