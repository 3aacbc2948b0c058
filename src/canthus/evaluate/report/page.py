"""The report as one HTML page that loads no other file: it contains its style, plots and pictures."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import accumulate
from pathlib import PurePath

import numpy as np

from canthus.evaluate.report import plots
from canthus.evaluate.report.pictures import face_picture
from canthus.evaluate.report.study import Study, percent
from canthus.evaluate.result import Row
from canthus.version import __version__

RIVALS = 7
"""Number of systems drawn beside the subject, as many as there are colours."""
SHOWN = {"Worst": 12, "Median": 6, "Best": 6}
"""Number of faces shown as pictures, by kind."""


def page(study: Study) -> str:
    """The report of a study as the text of an HTML page."""
    style = files("canthus.evaluate.report").joinpath("style.css").read_text(encoding="utf-8")
    parts = (
        _head(study),
        _tiles(study),
        _pair(_ced(study), _mean_face(study)),
        _systems(study),
        _pair(_regions(study), _classes(study)),
        _pair(_contour(study), _reliability(study)),
        _published(study),
        _faces(study),
        _protocol(study),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(study.title)}</title><style>{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>Written by canthus {__version__}</footer>\n</main></body></html>\n"
    )


def _head(study: Study) -> str:
    protocol = study.result.protocol
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in study.result.caveats)
    return (
        f'<header><p class="kind">Landmark evaluation · {escape(protocol.name)}</p><h1>{escape(study.title)}</h1>'
        f'<p class="lead">{escape(str(protocol))}.</p>{warnings}</header>'
    )


def _tiles(study: Study) -> str:
    result = study.result
    threshold = f"{100 * result.protocol.threshold:g} %"
    tiles = [
        ("main", percent(result.nme), "%", "normalised mean error"),
        ("", percent(result.auc), "%", f"area under the curve to {threshold}"),
        ("", percent(result.failure_rate), "%", f"failures, over {threshold}"),
        ("", f"{result.faces:,}", "", "faces" + (f", {result.missing} not found" if result.missing else "")),
    ]
    if not result.protocol.part and result.regions.keys() >= {"contour", "inner"}:
        tiles.insert(1, ("", percent(study.entries[0].inner), "%", "error without the contour"))
    cells = (
        f'<div class="tile {kind}"><b>{value}<small>{unit}</small></b><span>{text}</span></div>'
        for kind, value, unit, text in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def _ced(study: Study) -> str:
    entries = [study.entries[0], *study.rivals[:RIVALS]]
    protocol = study.result.protocol
    picture = plots.plot_ced([entry.result.errors for entry in entries], protocol.threshold)
    items = "".join(
        f'<li class="c{index}{"" if index else " own"}"><i></i>'
        f"{escape(entry.label)} {percent(entry.result.auc, 1)}</li>"
        for index, entry in enumerate(entries)
    )
    legend = f'<ul class="legend">{items}</ul>' if entries[1:] else ""
    note = f"Error over {protocol.unit}; failures lie to the right." + " Beside each name: its AUC." * bool(legend)
    return _section("Cumulative error", f'<div class="plot">{picture}</div>{legend}', note)


def _systems(study: Study) -> str:
    if len(study.entries) < 2:
        return ""
    shown = study.columns()
    cells = []
    for label, by_boxes in study.systems().items():
        found = [by_boxes.get(source) for source in study.sources]
        numbers = [percent(read(entry) if entry else None) for entry in found for read in shown.values()]
        cells.append((label == study.entries[0].label, [escape(label), *numbers]))
    groups = [(f"{source} boxes" if source else "", len(shown)) for source in study.sources]
    note = "All figures in %; every system got the same boxes."
    if any(entry.mapped for entry in study.entries):
        note += " Mapped: after a linear map that removes the difference in annotation bias from these labels."
    if "consensus" in shown:
        note += " Consensus: distance to points on which several networks agree, which are less noisy than the labels."
    body = _table(["system", *[name for _ in study.sources for name in shown]], cells, groups=groups)
    return _section("Systems on the same faces", body, note)


def _mean_face(study: Study) -> str:
    error = study.result.points
    if not np.isfinite(error).any():
        return ""
    picture = plots.plot_mean_face(study.mean_face, error, study.scheme.names, study.scheme.edges)
    least, most = plots.ramp_of(error)
    stops = ", ".join(plots.colour(share) for share in (0, 0.5, 1))
    ramp = f'<span class="ramp" style="background:linear-gradient(90deg, {stops})"></span>'
    body = f'<div class="face-plot">{picture}</div><p class="note scale">{percent(least)} %{ramp}{percent(most)} %</p>'
    return _section(
        "Error of each point", body, "On the mean of the true faces; move the pointer to a point to see its name."
    )


def _regions(study: Study) -> str:
    names = [name for name in study.result.regions if name != "all"]
    if not names:
        return ""
    values = [study.result.regions[name] for name in names]
    body = _meters("region", [name.replace("_", " ") for name in names], values, [])
    for name, value in study.result.visibility.items():
        body += f'<p class="note">Error of {name} points: {percent(value)} %</p>'
    return _section("Error of each region", body, "Mean over the points of a region, in %.")


def _classes(study: Study) -> str:
    blocks = [("|yaw| in the protocol's bins, degrees", study.result.bins), *study.result.cuts.items()]
    tables = [f"<h3>{escape(title)}</h3>{_class_table(rows)}" for title, rows in blocks if rows]
    return _section("Kinds of faces", "".join(tables), "NME, AUC and failures in %.") if tables else ""


def _class_table(rows: Sequence[Row]) -> str:
    columns = [(f"{row.faces:,}", percent(row.auc, 1), percent(row.failure_rate)) for row in rows]
    return _meters("", [row.name for row in rows], [row.nme for row in rows], columns, ("faces", "AUC", "failures"))


def _contour(study: Study) -> str:
    contour = study.result.contour
    if contour is None:
        return ""
    picture = plots.plot_contour(contour, [study.scheme.names[index] for index in study.scheme.contour])
    legend = (
        f'<ul class="legend"><li class="c0"><i></i>along, mean {percent(float(np.nanmean(contour.tangent)))}</li>'
        f'<li class="c1"><i></i>across, mean {percent(float(np.nanmean(contour.normal)))}</li></ul>'
    )
    note = "A point that slides along the contour hardly looks wrong; an error across it misses the outline itself."
    return _section("Contour", f'<div class="plot">{picture}</div>{legend}', note)


def _reliability(study: Study) -> str:
    known = study.result.reliability
    if known is None:
        return ""
    picture = plots.plot_reliability(known.curve)
    facts = [
        ("expected calibration error", f"{known.calibration_error:.3f}"),
        ("Brier score", f"{known.brier:.3f}"),
        ("average precision, far points", f"{known.far_precision:.3f}"),
    ]
    if np.isfinite(known.occluded_precision):
        facts.append(("average precision, occluded points", f"{known.occluded_precision:.3f}"))
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    note = "A score claims the probability that its point lies near the truth; on the dashed line the claims are right."
    return _section("Scores", f'<div class="plot">{picture}</div><dl>{listed}</dl>', note)


def _published(study: Study) -> str:
    if not study.published:
        return ""
    result = study.result
    own = (result.nme, result.auc, result.failure_rate)
    rows = [(True, [escape(study.entries[0].name), *map(percent, own), "this report"])]
    for entry in study.published:
        doubt = f'<br><span class="doubt">⚠ {escape(entry.doubt)}</span>' if entry.doubt else ""
        figures = map(percent, (entry.nme, entry.auc, entry.failure_rate))
        rows.append((False, [escape(entry.system), *figures, escape(entry.source) + doubt]))
    rows.sort(key=lambda row: (row[1][1] == "–", float(row[1][1]) if row[1][1] != "–" else 0))
    note = (
        "As printed, in %, with other boxes and training data. ⚠ marks figures that contradict others of their paper."
    )
    body = _table(["system", "NME", "AUC", "failures", "source"], rows, text=(4,))
    return _section("Published figures", body, note)


def _faces(study: Study) -> str:
    order = study.ranked()
    blocks = []
    for kind, count in SHOWN.items():
        middle = max(len(order) // 2 - count // 2, 0)
        chosen = {"Worst": order[::-1][:count], "Median": order[middle:][:count], "Best": order[:count]}[kind]
        pictures = "".join(_figure(study, int(face)) for face in chosen)
        blocks.append(f'<h3>{kind}</h3><div class="faces">{pictures}</div>')
    legend = (
        '<ul class="legend"><li class="mark-true"><i class="round"></i>truth</li>'
        '<li class="mark-found"><i class="round"></i>prediction</li></ul>'
    )
    return _section("Faces", legend + "".join(blocks), "")


def _figure(study: Study, face: int) -> str:
    error = study.result.errors[face]
    text = f"{percent(error)} %" if np.isfinite(error) else "not found"
    name = study.truth.images[face] if study.truth.images else f"face {face}"
    caption = f"<figcaption><b>{text}</b><br>{escape(PurePath(name).stem)}</figcaption>"
    return f"<figure>{face_picture(study, face)}{caption}</figure>"


def _protocol(study: Study) -> str:
    protocol = study.result.protocol
    rows = {
        "set": f"{protocol.set} {protocol.subset}" if protocol.set else "two files",
        "faces": f"{study.result.faces:,}" + (f" of {protocol.faces:,}" if protocol.faces else ""),
        "scheme": f"{protocol.scheme}: {study.scheme.title} ({study.scheme.source})",
        "error": f"{'root mean square' if protocol.measure == 'rms' else 'mean'} distance over {protocol.unit}",
        "points": f"{protocol.part or 'all'} of the scheme; of these, {protocol.mask} points are scored",
        "boxes": protocol.boxes or "not controlled",
        "figure": f"mean of {protocol.aggregation}",
        "AUC, failures": f"threshold {protocol.threshold:g}; AUC is the exact area under the curve over the threshold",
        "mean of images": f"{percent(study.result.nme_images)} %",
        "mean of bins": f"{percent(study.result.nme_bins)} %" if study.result.bins else "",
        "source": protocol.source,
        "note": protocol.note,
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value)
    command = f"<pre>{escape(study.command)}</pre>" if study.command else ""
    return _section("Protocol", f"<dl>{listed}</dl>{command}", "")


def _section(title: str, body: str, note: str) -> str:
    above = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{above}{body}</section>"


def _pair(*blocks: str) -> str:
    filled = [block for block in blocks if block]
    return f'<div class="pair">{"".join(filled)}</div>' if len(filled) > 1 else "".join(filled)


def _table(
    head: Sequence[str],
    rows: Iterable[tuple[bool, Sequence[str]]],
    text: Sequence[int] = (),
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A table whose cells are HTML already; rows of the subject are marked.

    Args:
        head: Names of the columns.
        rows: For each row whether it is the subject's, and its cells.
        text: Indices of the columns of words; the last column may wrap.
        groups: Titles above all columns but the first, and the number of columns that each spans.
    """
    starts = set(accumulate((size for _, size in groups[:-1]), initial=1)) if groups else set()
    kinds = [' class="text"' if at in text else ' class="start"' if at in starts else "" for at in range(len(head))]
    wide = [kind.replace("text", "text wrap") if index == len(head) - 1 else kind for index, kind in enumerate(kinds)]
    top = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        f"<tr{' class=own' if own else ''}>"
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(wide, cells, strict=True))
        + "</tr>"
        for own, cells in rows
    )
    spans = "".join(f'<th class="start" colspan="{size}">{escape(title)}</th>' for title, size in groups)
    above = f"<tr class=group><th></th>{spans}</tr>" if groups else ""
    return f'<div class="scroll"><table><thead>{above}<tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _meters(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    more: Sequence[Sequence[str]],
    heads: Sequence[str] = (),
) -> str:
    """A table of errors with a bar for each."""
    most = max((value for value in values if np.isfinite(value)), default=1.0)
    rows = []
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        wide = 100 * value / most if np.isfinite(value) else 0
        cells = "".join(f"<td>{cell}</td>" for cell in (more[index] if more else ()))
        meter = f'<td class="bars"><span class="meter" style="width:{wide:.1f}%"></span></td>'
        rows.append(f"<tr><td>{escape(name)}</td>{meter}<td>{percent(value)}</td>{cells}</tr>")
    head = "".join(f"<th>{name}</th>" for name in (escape(title), "", "NME", *heads))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
