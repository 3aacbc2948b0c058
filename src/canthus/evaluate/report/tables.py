"""The report as text: Markdown to read, CSV and JSON for programs."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from canthus.evaluate.report.study import Interval, Study, percent
from canthus.evaluate.result import Row, as_plain

MARKS = re.compile(r"[\\`*_\[\]|]")
"""Characters with a meaning in Markdown, within a line."""


def markdown(study: Study) -> str:
    """Figures and tables as Markdown, for a README or an issue."""
    result, protocol = study.result, study.result.protocol
    lines = [f"# {_plain(study.title)}", "", f"Protocol {_plain(protocol.name)}: {_plain(str(protocol))}.", ""]
    lines += [f"> **Note:** {_plain(text)}" for text in (*result.caveats, protocol.note) if text]
    lines += ["", *_grid(["figure", "value"], _figures(study)), "", "![Cumulative error](ced.png)", ""]
    if len(study.entries) > 1:
        head = ["system", "boxes", "NME %", "inner %", f"AUC {protocol.threshold:g} %", "failures %", "consensus %"]
        rows = [
            (
                entry.label,
                entry.boxes,
                *map(percent, (entry.result.nme, entry.inner, entry.result.auc)),
                *map(percent, (entry.result.failure_rate, entry.consensus)),
            )
            for entry in study.entries
        ]
        lines += ["## Systems", "", *_grid(head, rows), ""]
    regions = [(name, percent(value)) for name, value in result.regions.items()]
    lines += ["## Regions", "", *_grid(["region", "NME %"], regions), ""]
    for title, classes in (("Bins of yaw", result.bins), *result.cuts.items()):
        if classes:
            lines += [
                f"## {_plain(title)}",
                "",
                *_grid(["class", "faces", "NME %", "AUC %", "failures %"], map(_row, classes)),
                "",
            ]
    if result.visibility:
        seen = [(name, percent(value)) for name, value in result.visibility.items()]
        lines += ["## Visibility", "", *_grid(["points", "NME %"], seen), ""]
    if result.contour is not None:
        along, across = float(np.nanmean(result.contour.tangent)), float(np.nanmean(result.contour.normal))
        lines += ["## Contour", "", *_grid(["along %", "across %"], [(percent(along), percent(across))]), ""]
    if study.published:
        rows_of = [
            (
                entry.system,
                *map(percent, (entry.nme, entry.auc, entry.failure_rate)),
                entry.source + (f" (⚠ {entry.doubt})" if entry.doubt else ""),
            )
            for entry in study.published
        ]
        lines += ["## Published", "", *_grid(["system", "NME %", "AUC %", "failures %", "source"], rows_of), ""]
    return "\n".join(lines)


def faces_csv(study: Study) -> str:
    """One row per face: image, error as a fraction, and 1 for a failure."""
    errors, limit = study.result.errors, study.result.protocol.threshold
    names: Sequence[Any] = study.truth.images or range(len(errors))
    rows = zip(
        names,
        [f"{value:.6f}" if np.isfinite(value) else "" for value in errors.tolist()],
        (errors > limit).astype(int).tolist(),
        strict=True,
    )
    return _csv(("image", "error", "failed"), rows)


def points_csv(study: Study) -> str:
    """One row per point: index, name and mean error as a fraction, empty where it is not known."""
    errors = study.result.points.tolist()
    texts = [f"{value:.6f}" if np.isfinite(value) else "" for value in errors]
    rows = zip(range(len(errors)), study.scheme.names, texts, strict=True)
    return _csv(("point", "name", "error"), rows)


def as_json(study: Study) -> str:
    """Figures of the subject, of the other systems, and the published ones."""
    tree = study.result.as_dict()
    tree["system"], tree["boxes"] = study.entries[0].name, study.entries[0].boxes
    tree["interval"] = asdict(study.interval) if study.interval else None
    tree["others"] = [
        {
            "system": entry.name,
            "boxes": entry.boxes,
            "mapped": entry.mapped,
            "nme": entry.result.nme,
            "inner": entry.inner,
            "auc": entry.result.auc,
            "failure_rate": entry.result.failure_rate,
            "consensus": entry.consensus,
        }
        for entry in study.entries[1:]
    ]
    tree["published"] = [
        {
            "system": entry.system,
            "source": entry.source,
            "nme": entry.nme,
            "auc": entry.auc,
            "failure_rate": entry.failure_rate,
            "doubt": entry.doubt,
        }
        for entry in study.published
    ]
    return json.dumps(as_plain(tree), indent=1, allow_nan=False) + "\n"


def _figures(study: Study) -> list[tuple[str, str]]:
    result, interval = study.result, study.interval
    threshold = f"{100 * result.protocol.threshold:g} %"
    return [
        ("NME", f"{percent(result.nme)} %"),
        *([(f"NME, {100 * interval.level:g} % interval", _range(interval))] if interval else []),
        ("NME, mean of images", f"{percent(result.nme_images)} %"),
        *([("NME, mean of bins", f"{percent(result.nme_bins)} %")] if result.bins else []),
        (f"AUC to {threshold}", f"{percent(result.auc)} %"),
        (f"failures over {threshold}", f"{percent(result.failure_rate)} %"),
        ("faces", f"{result.faces}"),
        ("not found", f"{result.missing}"),
    ]


def _range(interval: Interval) -> str:
    return f"{percent(interval.low)} to {percent(interval.high)} % ({interval.method})"


def _row(row: Row) -> tuple[str, ...]:
    return (row.name, str(row.faces), *map(percent, (row.nme, row.auc, row.failure_rate)))


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    cells = [[_plain(cell) for cell in line] for line in (head, *rows)]
    return ["| " + " | ".join(line) + " |" for line in (cells[0], ["---"] * len(head), *cells[1:])]


def _plain(text: str) -> str:
    """A text as one line of Markdown in which no character has a meaning."""
    return MARKS.sub(r"\\\g<0>", escape(" ".join(text.split()), quote=False))


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return text.getvalue()
