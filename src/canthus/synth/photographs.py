"""The photographs that training data is made from: a table of fits, and the folder its pictures lie in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError
from canthus.face3d.fit import Fit
from canthus.geometry.pose import azimuth
from canthus.reader.image import read
from canthus.synth.table import fit_of
from canthus.types import Image

NEEDED = (
    "images",
    "identities",
    "scheme",
    "style",
    "labels",
    "fitted",
    "residual",
    "error",
    "inter_ocular",
    "pose",
    "scale",
)
CAMERA = ("rotation", "shift", "identity", "expression")


@dataclass(frozen=True, eq=False)
class Photographs:
    """F fitted faces.

    Attributes:
        columns: The arrays of the table, of F rows each.
        scheme: Of the labels.
        folder: Where the pictures lie.
        style: How the set places its points (`style.learn_style`), cm. Shape (P, 3); None = as the model.
    """

    columns: Mapping[str, NDArray[Any]]
    scheme: str
    folder: Path
    style: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.columns["images"])

    @property
    def azimuth(self) -> NDArray[np.float64]:
        """Yaw about the axis of each head, degrees. Shape (F,)."""
        return azimuth(self.columns["rotation"])

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that the table has points of."""
        return tuple(name.removeprefix("points_") for name in self.columns if name.startswith("points_"))

    def name(self, face: int) -> str:
        """Of the picture."""
        return str(self.columns["images"][face])

    def person(self, face: int) -> str:
        """Who it is; the picture, where that is not known."""
        return str(self.columns["identities"][face]) or self.name(face)

    def picture(self, face: int) -> Image:
        """Read the picture.

        Raises:
            ReadError: it cannot be read.
        """
        return read(self.folder / self.name(face))

    def fit(self, face: int) -> Fit:
        """The fit of one face."""
        row = {name: self.columns[name][face : face + 1] for name in (*NEEDED, *CAMERA) if name in self.columns}
        return fit_of(row, self.scheme)


@cache
def open_photographs(table: Path, folder: Path) -> Photographs:
    """Read a table of fits; once in a process.

    Args:
        table: Of `canthus synth fit`.
        folder: Of the data set; the table's pictures are named from there.

    Raises:
        InputError: no table of fits, or the first of its pictures is not in the folder.
    """
    try:
        with np.load(table, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{table}: not a table of fits: {error}; canthus synth fit makes one") from error
    missing = [name for name in (*NEEDED, *CAMERA) if name not in arrays]
    if missing:
        raise InputError(f"{table}: not a table of fits: {missing[0]!r} is missing; canthus synth fit makes one")
    scheme, count = str(arrays["scheme"]), len(arrays["images"])
    columns = {name: value for name, value in arrays.items() if value.ndim and name not in ("failures", "style")}
    photographs = Photographs(columns, scheme, folder, arrays["style"] if arrays["style"].size else None)
    if not count or not (folder / photographs.name(0)).is_file():
        first = folder / photographs.name(0) if count else "any face"
        raise InputError(f"{table}: {first} is not there; give the folder of the set that was fitted as --pictures")
    return photographs
