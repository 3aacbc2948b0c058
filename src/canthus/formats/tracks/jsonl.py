"""Tracks as JSON lines: one object per frame: {"frame", "time", "scheme", "faces": [...]}.

A face has "track", "state", "confidence", "pose" (an object), "points" and "scores". A value that is missing is null.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import FormatError
from canthus.formats.json import plain
from canthus.formats.record import POSE
from canthus.formats.tracks.moment import Layout, Moment
from canthus.types import Faces


def load(path: Path) -> Iterator[Moment]:
    """The frames of a file; `table.load` documents the errors."""
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            place = f"{path}:{number}"
            try:
                yield moment_of(json.loads(line), place)
            except json.JSONDecodeError as error:
                raise FormatError(f"{place}: not JSON: {error.msg}; write it again") from error
            except RecursionError as error:
                raise FormatError(f"{place}: its lists and objects are nested too deeply; write it again") from error
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                what = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
                raise FormatError(f"{place}: {what}") from error


def moment_of(tree: Any, place: str) -> Moment:
    """One frame of a file; errors name `place`.

    Raises:
        FormatError: a value is infinite.
        KeyError: a field is missing.
        TypeError, ValueError, AttributeError, OverflowError: a value is of another kind.
    """
    scheme, found = str(tree["scheme"]), tree["faces"]
    head = int(tree["frame"]), float(tree["time"])
    if not found:
        return Moment(*head, Faces.empty(scheme), ())
    points = np.array([face["points"] for face in found], np.float64)
    if points.ndim != 3 or points.shape[2] not in (2, 3):
        raise ValueError(f"points are (F, P, 2 or 3), not {points.shape}")
    layout = Layout(scheme, *points.shape[1:])
    rows = [[face["confidence"], *(face["pose"][name] for name in POSE)] for face in found]
    scores = np.array([face["scores"] for face in found], np.float64).reshape(points.shape[:2])
    numbers = np.concatenate([np.array(rows, np.float64), points.reshape(len(found), -1), scores], 1)
    faces = layout.faces_of(numbers, [float(face["track"]) for face in found], scheme, place)
    return Moment(*head, faces, tuple(str(face["state"]) for face in found))


def dump(path: Path, layout: Layout, moments: Iterable[Moment]) -> None:
    """Write frames to a file.

    Raises:
        ShapeError: a face has another layout.
    """
    with path.open("w", encoding="utf-8") as stream:
        for moment in moments:
            stream.write(line_of(layout, moment) + "\n")


def line_of(layout: Layout, moment: Moment) -> str:
    """One frame as a line."""
    return json.dumps(tree_of(layout, moment), ensure_ascii=False, allow_nan=False)


def tree_of(layout: Layout, moment: Moment) -> dict[str, Any]:
    """One frame as the object of its line."""
    layout.numbers_of(moment.faces)
    faces = [
        {
            "track": int(face.identity),
            "state": state,
            "confidence": plain(face.confidence),
            "pose": dict(zip(POSE, plain(face.pose), strict=True)),
            "points": plain(face.points),
            "scores": plain(face.scores),
        }
        for face, state in zip(moment.faces, moment.states, strict=True)
    ]
    return {"frame": moment.frame, "time": float(moment.time), "scheme": layout.scheme, "faces": faces}
