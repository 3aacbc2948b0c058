"""Labels in an order of their own, mapped to the 68 points of iBUG.

A map file is JSON: for each set, by the name of its folder, index of the iBUG point -> indices of the points of the set
whose mean has the same meaning. A point that is not listed has no counterpart and is NaN. Contours are curves whose
points mean positions along a line, not places of the face; only the chin has a counterpart.

Law (tested): where map and orders are mirror symmetric, mapping and mirroring commute.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.geometry.crop import box_of
from canthus.schemes.definition import Indices, indices
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import means_of
from canthus.types import Floats
from canthus.work.documents import read_json

MAPS = "maps_to_ibug68.json"
"""Name of the map file in the folder of the data sets."""
TARGET = "68"
FACES = {"fgnet68": "0-67", "scut86": "4-18 22-85", "london189": "71-86 109-114 125-133"}
"""Points whose box is the face box, from the brows to the chin and from ear to ear, by the name of the set's folder."""


@dataclass(frozen=True, eq=False)
class OrderMap:
    """How the 68 points of iBUG follow from the points of one set.

    Attributes:
        path: The map file.
        name: Name of the set's folder.
        parts: For each of the 68 points the points of the set whose mean it is; empty = it has no counterpart.
    """

    path: Path
    name: str
    parts: tuple[Indices, ...]

    @classmethod
    def open(cls, path: Path, name: str) -> "OrderMap":
        """The map of one set.

        Args:
            path: The map file.
            name: Name of the set's folder.

        Raises:
            DataError: the file is missing or damaged, does not list the set, or names points that do not exist.
        """
        if not path.is_file():
            raise DataError(
                f"{path} does not exist; it maps the points of {name} to those of iBUG: copy it from the data sets"
            )
        listed = _listed(path)
        if not isinstance(entry := listed.get(name), dict):
            known = ", ".join(key for key, value in listed.items() if isinstance(value, dict))
            raise DataError(f"{path} has no map for {name}, only for {known or 'no set'}; add one")
        parts: list[Indices] = [()] * Scheme.open(TARGET).count
        for target, sources in entry.items():
            if target not in map(str, range(len(parts))):
                raise DataError(
                    f"{path}: {name} maps to point {target}, but iBUG has 0 to {len(parts) - 1}; correct it"
                )
            if not isinstance(sources, list) or not sources or not all(type(i) is int and i >= 0 for i in sources):
                raise DataError(f"{path}: {name} maps {sources} to point {target}, not a list of indices; correct it")
            parts[int(target)] = tuple(sources)
        return cls(path, name, tuple(parts))

    def apply(self, points: Floats) -> Floats:
        """Convert points of the set to the 68 of iBUG.

        Args:
            points: Points in the order of the set. Shape (..., P, D).

        Returns:
            NaN where a point has no counterpart. Shape (..., 68, D).

        Raises:
            DataError: the map names a point that the set lacks.
        """
        count = points.shape[-2]
        for target, part in enumerate(self.parts):
            if part and max(part) >= count:
                raise DataError(
                    f"{self.path}: {self.name} maps point {max(part)} to {target}, but its labels have {count} points; "
                    "correct the index"
                )
        return np.asarray(means_of(points, self.parts), np.float32)

    def mapped(self, sample: Sample) -> Sample:
        """A sample of the set with the 68 points, and its face box, which the known points alone do not have.

        Raises:
            DataError: the map names a point that the set lacks.
        """
        visible = sample.visible
        if visible is not None:
            visible = np.array([bool(part) and bool(visible[list(part)].all()) for part in self.parts])
        return replace(
            with_face_box(sample, self.name), points=self.apply(sample.points), scheme=TARGET, visible=visible
        )


def with_face_box(sample: Sample, name: str) -> Sample:
    """A sample in the order of its set with the box of its face, also among `boxes` as "face", where it is known.

    Args:
        sample: The sample.
        name: Name of the set's folder.
    """
    chosen = indices(FACES.get(name, ""))
    if not chosen or max(chosen) >= len(sample.points):
        return sample
    box = box_of(sample.points[list(chosen)])
    return replace(sample, box=box, boxes={**sample.boxes, "face": box})


def lists(path: Path, name: str) -> bool:
    """Whether there is a map file that lists a set.

    Raises:
        DataError: the file is damaged.
    """
    return path.is_file() and name in _listed(path)


def _listed(path: Path) -> dict[str, object]:
    listed = read_json(path, DataError, "restore the file")
    if not isinstance(listed, dict):
        raise DataError(f"{path}: not a JSON object of maps by the name of the set; restore the file")
    return listed
