"""The tables of an ablation as Markdown and as JSON, with the command that made them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from canthus.study.outcome import Cell, Figure, Outcome, title_of
from canthus.study.picture import picture_of
from canthus.study.plan import Measure
from canthus.work.files import replace_whole

HEAD = ("row", "error %", "paper", "gain", "gain %", "paper's gain %", "minutes")
"""Heads of the columns. Gain: the error of another row less that of this one, in points and in per cent of it."""


def lines_of(outcome: Outcome, measure: Measure) -> list[tuple[str, ...]]:
    """The rows of the table of one measure, below `HEAD`."""
    lines: list[tuple[str, ...]] = []
    for row in outcome.ablation.rows:
        cell, minutes = outcome.cells[measure.name][row.name], outcome.minutes.get(row.name, 0.0)
        figures = (
            cell.error.text(),
            "–" if cell.paper is None else f"{cell.paper:.2f}",
            cell.gain.text(sign=True),
            cell.relative.text(sign=True, digits=1),
            Figure(cell.paper_relative, float("nan")).text(sign=True, digits=1),
            f"{minutes:.1f}" if minutes else "–",
        )
        lines.append((row.name, *figures))
    return lines


def markdown(outcome: Outcome) -> str:
    """The tables as a page of Markdown."""
    ablation = outcome.ablation
    seeds = ", ".join(map(str, ablation.seeds))
    page = [f"# {ablation.name}", ""]
    if ablation.paper:
        page += [f"Repeats {ablation.paper}.", ""]
    page += [
        f"Mean ± standard deviation over the seeds {seeds}. A gain is relative to the row before, or to the one in "
        "brackets, seed by seed, in points and in per cent; above 0 the error falls.",
        "",
    ]
    for measure in ablation.measures:
        page += [f"## {title_of(outcome, measure)}", "", _line(HEAD), _line(["---"] * len(HEAD))]
        for row, line in zip(ablation.rows, lines_of(outcome, measure), strict=True):
            against = f" [against {row.against}]" if row.against else ""
            page.append(_line((line[0] + against, *line[1:])))
        page.append("")
    total = sum(outcome.minutes.values())
    page += [
        f"Training: {total:.1f} minutes in all. Commit {outcome.commit}. Command:",
        "",
        f"    {outcome.command}",
        "",
    ]
    return "\n".join(page)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(outcome: Outcome) -> str:
    """Plan, figures with the value of each seed, minutes, command and commit as JSON; NaN is null."""

    def plain(cell: Cell) -> dict[str, Any]:
        figures = {name: getattr(cell, name)._asdict() for name in ("error", "gain", "relative")}
        return {
            "values": cell.values,
            "faces": cell.faces,
            **figures,
            "paper": cell.paper,
            "paper_relative": cell.paper_relative,
        }

    tree = {
        "ablation": outcome.ablation.model_dump(mode="json"),
        "cells": {name: {row: plain(cell) for row, cell in rows.items()} for name, rows in outcome.cells.items()},
        "minutes": outcome.minutes,
        "command": outcome.command,
        "commit": outcome.commit,
    }
    return json.dumps(_null(tree), indent=1)


def _null(value: Any) -> Any:
    """NaN as null, at any depth."""
    if isinstance(value, dict):
        return {key: _null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_outcome(outcome: Outcome, out: Path) -> None:
    """Write table.md, table.json and table.png, each whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
        ExtraMissingError: matplotlib is not installed.
    """
    for name, text in (("table.md", markdown(outcome)), ("table.json", as_json(outcome))):
        with replace_whole(out / name) as part:
            part.write_text(text, encoding="utf-8")
    with replace_whole(out / "table.png") as part:
        picture_of(outcome).savefig(part)
