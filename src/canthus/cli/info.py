"""`canthus info`: what a bundle is, and what this installation can do."""

import json
from pathlib import Path
from typing import Annotated

import typer


def info(
    model: Annotated[Path | None, typer.Argument(help="A bundle.", show_default="the one in the package")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole card as JSON.")] = False,
) -> None:
    """Show the card of a model bundle: what it is, what it was trained on, how good it is, what it may be used for.

    Example: canthus info models/compact.canthus
    """
    import onnxruntime
    from rich.console import Console
    from rich.table import Table

    from canthus import __version__
    from canthus.runtime.bundle import Bundle

    bundle = Bundle.open(model)
    card = bundle.card
    for stage in card.stages:
        bundle.arrays(stage)
        for network, variants in stage.parts.items():
            for precision in variants:
                bundle.network(network, precision)
    if as_json:
        print(card.model_dump_json(indent=2))
        return
    console, table = Console(), Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
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
        "measured": "\n".join(json.dumps(entry) for entry in card.measured) or "nothing",
        "canthus": f"{__version__}, ONNX Runtime {onnxruntime.__version__}: "
        + ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()),
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}", value)
    console.print(table)
