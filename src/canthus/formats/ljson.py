""".ljson files of Menpo: the points of one face as rows y x; the centre of the first pixel is (0, 0).

The form {"landmarks": {"points": [[y, x], ...]}} (versions 1 and 2 of Menpo) is read and written, that of version 3,
{"groups": {name: {"landmarks": ...}}}, read where it has one group. Labels and connectivity are optional and not used.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import Record, floats, nothing, record_at
from canthus.work.documents import read_json


def load(path: Path) -> list[Record]:
    """The face in a file; `table.load` documents the errors."""
    tree = read_json(path, FormatError, "restore the file")
    try:
        points = floats(_landmarks(tree, path)["points"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path}: no Menpo landmarks ({error!r}); restore the file") from error
    if points.size and (points.ndim != 2 or points.shape[1] != 2):
        raise FormatError(
            f"{path}: the points are {points.shape}, not rows y x in the image; of Menpo-3D take"
            " `projected_image_space`"
        )
    return [record_at(str(path), image=path.stem, points=points[:, ::-1] if points.size else nothing())]


def _landmarks(tree: Any, path: Path) -> Any:
    """The object that holds the points."""
    groups = tree.get("groups") if isinstance(tree, dict) else None
    if isinstance(groups, dict):
        if len(groups) != 1:
            raise FormatError(f"{path}: holds {len(groups)} groups of landmarks, not one; export one group with Menpo")
        (tree,) = groups.values()
    return tree["landmarks"]


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write a face to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    if len(records) != 1:
        raise ShapeError(f"an .ljson file holds one face, not {len(records)}; write .json or .csv")
    points = records[0].points
    if points.shape[1] != 2:
        raise ShapeError("an .ljson file holds points without depth; write .json or .csv")
    rows = [[None if value != value else float(str(value)) for value in row] for row in points[:, ::-1]]
    mask = list(range(len(points)))
    tree = {
        "version": 2,
        "labels": [{"label": "all", "mask": mask}],
        "landmarks": {"points": rows, "connectivity": []},
    }
    path.write_text(json.dumps(tree, allow_nan=False) + "\n", encoding="utf-8")
