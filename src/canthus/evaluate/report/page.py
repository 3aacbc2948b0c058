"""The report as one HTML page, with its style, plots and pictures inside: it loads no file and runs no script."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from canthus.evaluate.report import plots
from canthus.evaluate.report.ced import plot_ced
from canthus.evaluate.report.grids import classes_grid, published_grid, regions_grid, systems_grid
from canthus.evaluate.report.pictures import face_picture
from canthus.evaluate.report.render import render
from canthus.evaluate.report.study import Study, percent
from canthus.version import __version__

RIVALS = 7
"""Number of systems drawn beside the subject, as many as there are colours."""
SHOWN = {"Worst": 12, "Median": 6, "Best": 6}
"""Number of faces shown as pictures, by kind."""
NAMED = 3
"""Number of points with the largest errors that are named below the mean face."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure.

    Attributes:
        value: Number.
        unit: Unit of the number.
        text: Name of the figure.
        more: A second number; empty = none.
        about: Name of the second number.
    """

    value: str
    unit: str
    text: str
    more: str = ""
    about: str = ""


def page(study: Study) -> str:
    """The report of a study as the text of an HTML page.

    Raises:
        ExtraMissingError: Jinja2 or SciPy is not installed.
        ReadError: a picture of the set cannot be read.
    """
    result = study.result
    entries = [study.entries[0], *study.rivals[:RIVALS]]
    shown = _shown(study)
    return render(
        "page.html",
        study=study,
        result=result,
        protocol=result.protocol,
        tiles=_tiles(study),
        ced=plot_ced(entries, result.protocol.threshold),
        face_plot=_mean_face(study),
        worst_points=_worst_points(study),
        systems=systems_grid(study) if len(study.entries) > 1 else None,
        systems_note=_systems_note(study),
        regions=regions_grid(study) if len(result.regions) > 1 else None,
        visibility={name: percent(value) for name, value in result.visibility.items()},
        classes=_classes(study),
        contour=_contour(study),
        scores=_scores(study),
        published=published_grid(study) if study.published else None,
        shown=shown,
        pictures={face: face_picture(study, face) for face in sorted({face for row in shown.values() for face in row})},
        facts=_facts(study),
        percent=percent,
        version=__version__,
    )


def _tiles(study: Study) -> list[Tile]:
    result, interval = study.result, study.interval
    threshold = f"{100 * result.protocol.threshold:g} %"
    more = f"{percent(interval.low)} to {percent(interval.high)}" if interval else ""
    about = f"{100 * interval.level:g} % interval" if interval else ""
    found = f"faces, {result.missing:,} not found" if result.missing else "faces"
    tiles = [
        Tile(percent(result.nme), "%", "normalised mean error", more, about),
        Tile(percent(result.auc), "%", f"area under the curve to {threshold}"),
        Tile(percent(result.failure_rate), "%", f"failures, over {threshold}"),
        Tile(f"{result.faces:,}", "", found),
    ]
    if not result.protocol.part and result.regions.keys() >= {"contour", "inner"}:
        tiles.insert(1, Tile(percent(study.entries[0].inner), "%", "error without the contour"))
    return tiles


def _mean_face(study: Study) -> plots.FacePlot | None:
    error = study.result.points
    if not np.isfinite(error).any():
        return None
    return plots.plot_mean_face(study.mean_face, error, study.scheme.names, study.scheme.edges)


def _worst_points(study: Study) -> list[str]:
    """Names and errors of the points with the largest errors."""
    error = study.result.points
    order = [index for index in np.argsort(-error) if np.isfinite(error[index])]
    names = study.scheme.names
    return [f"{names[index].replace('_', ' ')} ({percent(float(error[index]))} %)" for index in order[:NAMED]]


def _systems_note(study: Study) -> str:
    note = "All figures in %; every system got the same boxes."
    if any(entry.mapped for entry in study.entries):
        note += " Mapped: after a linear map that removes the difference in annotation bias from these labels."
    if any(np.isfinite(entry.consensus) for entry in study.entries):
        note += " Consensus: distance to points on which several networks agree, which are less noisy than the labels."
    return note


def _classes(study: Study) -> list[Any]:
    blocks = [("|yaw| in the protocol's bins, degrees", study.result.bins), *study.result.cuts.items()]
    return [classes_grid(title, rows) for title, rows in blocks if rows]


def _contour(study: Study) -> dict[str, Any] | None:
    contour = study.result.contour
    if contour is None:
        return None
    plot = plots.plot_contour(contour, [study.scheme.names[index] for index in study.scheme.contour])
    along, across = (percent(float(np.nanmean(part))) for part in (contour.tangent, contour.normal))
    return {"plot": plot, "along": along, "across": across}


def _scores(study: Study) -> dict[str, Any] | None:
    known = study.result.reliability
    if known is None:
        return None
    facts = {
        "expected calibration error": known.calibration_error,
        "Brier score": known.brier,
        "average precision, far points": known.far_precision,
        "average precision, occluded points": known.occluded_precision,
    }
    shown = {name: f"{value:.3f}" for name, value in facts.items() if np.isfinite(value)}
    return {"plot": plots.plot_reliability(known.curve), "facts": shown}


def _shown(study: Study) -> dict[str, list[int]]:
    """Faces to show as pictures, by kind."""
    order = [int(face) for face in study.ranked()]
    shown = {}
    for kind, count in SHOWN.items():
        middle = max(len(order) // 2 - count // 2, 0)
        shown[kind] = {"Worst": order[::-1], "Median": order[middle:], "Best": order}[kind][:count]
    return shown


def _facts(study: Study) -> dict[str, str]:
    """What the figures mean, by title; facts that are not known are omitted."""
    protocol, result, interval = study.result.protocol, study.result, study.interval
    facts = {
        "set": f"{protocol.set} {protocol.subset}" if protocol.set else "two files",
        "faces": f"{result.faces:,}" + (f" of {protocol.faces:,}" if protocol.faces else ""),
        "scheme": f"{protocol.scheme}: {study.scheme.title} ({study.scheme.source})",
        "error": f"{'root mean square' if protocol.measure == 'rms' else 'mean'} distance over {protocol.unit}",
        "points": f"{protocol.part or 'all'} of the scheme; of these, {protocol.mask} points are scored",
        "boxes": protocol.boxes or "not controlled",
        "figure": f"mean of {protocol.aggregation}",
        "interval": f"{interval}; {interval.method}" if interval else "",
        "AUC, failures": f"threshold {protocol.threshold:g}; AUC is the exact area under the curve over the threshold",
        "mean of images": f"{percent(result.nme_images)} %",
        "mean of bins": f"{percent(result.nme_bins)} %" if result.bins else "",
        "source": protocol.source,
        "note": protocol.note,
    }
    return {name: text for name, text in facts.items() if text}
