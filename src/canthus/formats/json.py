""".json files: {"canthus": version, "images": [{"image", "width", "height", "scheme", "faces": [...]}]}.

A face has "points" and, where known, "identity", "box", "confidence", "pose" (an object), "scores", "occluded", "raw",
"view" and "plane". A value that is missing (NaN) is null.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import FormatError
from canthus.formats.record import POSE, Record, floats, is_given, nothing
from canthus.version import __version__
from canthus.work.documents import read_json


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` documents the errors."""
    tree = read_json(path, FormatError, "write it again")
    if not isinstance(tree, dict) or not isinstance(tree.get("images"), list):
        raise FormatError(f'{path}: not landmarks in the form that canthus writes: there is no list "images"')
    records = []
    for number, entry in enumerate(tree["images"]):
        try:
            records += _json_records(entry)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"{path}: images[{number}]: {what}") from error
    return records


def _json_records(entry: Mapping[str, Any]) -> list[Record]:
    size = (int(entry["width"]), int(entry["height"])) if "width" in entry else None
    if size is not None and min(size) < 1:
        raise ValueError(f"an image has at least one pixel, not {size[0]} x {size[1]}")
    shared: dict[str, Any] = {"image": str(entry["image"]), "scheme": str(entry.get("scheme", "")), "size": size}
    records = []
    for face in entry["faces"]:
        points = floats(face["points"])
        records.append(
            Record(
                **shared,
                points=points if points.size else nothing(),
                identity=str(face.get("identity", "")),
                box=face.get("box"),
                scores=face.get("scores"),
                confidence=face.get("confidence", float("nan")),
                pose=floats([face["pose"][name] for name in POSE]) if "pose" in face else None,
                occluded=face.get("occluded"),
                raw=face.get("raw"),
                view=face.get("view", float("nan")),
                plane=face.get("plane"),
            )
        )
    return records or [Record(**shared)]


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    path.write_text(text_of(records), encoding="utf-8")


def text_of(records: Sequence[Record]) -> str:
    """Faces as the content of a file."""
    images = []
    for (image, scheme, size), group in groupby(records, lambda record: (record.image, record.scheme, record.size)):
        entry: dict[str, Any] = {"image": image}
        if size is not None:
            entry |= {"width": size[0], "height": size[1]}
        if scheme:
            entry["scheme"] = scheme
        images.append(entry | {"faces": [_json_face(record) for record in group if not record.empty]})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in images)
    return f'{{"canthus": "{__version__}", "images": [\n{lines}\n]}}\n'


def _json_face(record: Record) -> dict[str, Any]:
    face: dict[str, Any] = {"identity": record.identity} if record.identity else {}
    if record.box is not None:
        face["box"] = plain(record.box)
    if not np.isnan(record.confidence):
        face["confidence"] = plain(record.confidence)
    if record.pose is not None:
        face["pose"] = dict(zip(POSE, plain(record.pose), strict=True))
    face["points"] = plain(record.points)
    if record.scores is not None:
        face["scores"] = plain(record.scores)
    return face | {
        name: plain(getattr(record, name)) for name in ("occluded", "raw", "view", "plane") if is_given(record, name)
    }


def plain(values: Any) -> Any:
    """Nested lists of the shortest numbers that give back the same float32; None for NaN."""
    array = np.asarray(values, np.float32)
    numbers = np.empty(array.size, object)
    numbers[:] = [None if text == "nan" else float(text) for text in map(str, array.ravel())]
    return numbers.reshape(array.shape).tolist()
