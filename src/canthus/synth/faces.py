"""Pictures of faces with points of many schemes: a table of fits with its photographs, or a run of the data factory."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, SchemeError
from canthus.face3d.fit import Fit
from canthus.face3d.labels import points_of
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.table import MAKE_ONE, NO_TABLE, fit_of
from canthus.geometry.pose import azimuth
from canthus.reader.image import read
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import IndexMap, index_map
from canthus.types import Image
from canthus.work.arrays import Arrays, load_arrays
from canthus.work.documents import read_json
from canthus.work.folder import INDEX, SETTINGS

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

EVERY = ("images", "identities", "pose", "error")
"""Arrays that tables and runs have."""
POINTS = ("points_68", "visible_68")
FITTED = ("labels", "fitted", "residual", "inter_ocular", "scale", "rotation", "shift", "identity", "expression")
"""Arrays of a table that its fits are read from."""
TABLE = (*EVERY, *FITTED, "scheme", "annotation_bias")
SEEN = 0.9
"""A half of the face counts as seen when this share of its points is visible."""


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """F pictures with one face each.

    Attributes:
        path: File of the arrays: a table of fits, or the index of a run.
        columns: Its arrays; most have F rows.
        folder: Folder that the names of the pictures start from; None = not known.
    """

    path: Path
    columns: Arrays
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.columns["images"])

    @property
    def is_run(self) -> bool:
        """The pictures were made by the data factory and lie beside the index; False = photographs."""
        return "azimuth" in self.columns

    @property
    def scheme(self) -> str:
        """Scheme of the labels that were fitted; only of a table."""
        return str(self.columns["scheme"])

    @property
    def bias(self) -> Doubles | None:
        """Annotation bias of the labels that were fitted; None = none. Only of a table. Shape (P, 3), cm."""
        bias: Doubles = self.columns["annotation_bias"]
        return bias if bias.size else None

    @property
    def sources(self) -> NDArray[np.str_]:
        """Name of the photograph that each picture was made from. Shape (F,)."""
        return self.columns["sources" if self.is_run else "images"]

    @property
    def azimuth(self) -> Doubles:
        """Yaw about the axis of each head, degrees. Shape (F,)."""
        if self.is_run:
            return self.columns["azimuth"].astype(np.float64)
        return azimuth(self.columns["rotation"])

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes that the faces have points of."""
        return tuple(name.removeprefix("points_") for name in self.columns if name.startswith("points_"))

    def name(self, face: int) -> str:
        """Name of a picture."""
        return str(self.columns["images"][face])

    def person(self, face: int) -> str:
        """Identity of a face; the name of the picture where it is not known."""
        return str(self.columns["identities"][face]) or self.name(face)

    def file(self, face: int) -> Path:
        """File of a picture.

        Raises:
            InputError: the folder of the pictures is not known.
        """
        if self.folder is None:
            raise InputError(f"{self.path}: a table of fits has no pictures; give the folder of its set as --pictures")
        return self.folder / self.name(face)

    def picture(self, face: int) -> Image:
        """Read a picture.

        Raises:
            ReadError: it cannot be read.
            InputError: the folder of the pictures is not known.
        """
        return read(self.file(face))

    def fit(self, face: int) -> Fit:
        """The fit of one face of a table."""
        row = {name: self.columns[name][face : face + 1] for name in ("images", *FITTED)}
        return fit_of(row, self.scheme)

    def points(self, scheme: str) -> Doubles:
        """Points on the true jaw. Shape (F, P, 3), pixels.

        Raises:
            SchemeError: there are none of this scheme.
        """
        return self._of("points", scheme).astype(np.float64)

    def visible(self, scheme: str) -> Mask:
        """Which of `points` are seen. Shape (F, P).

        Raises:
            SchemeError: there are none of this scheme.
        """
        return np.asarray(self._of("visible", scheme), bool)

    def outline(self, scheme: str, model: MorphableModel | None = None) -> Doubles:
        """Points with the contour where 2D annotation has it; NaN where there is no such contour.

        Args:
            scheme: A scheme with a contour that slides.
            model: The face model of the fits; a run does not need it.

        Returns:
            Shape (F, P, 3), pixels.

        Raises:
            SchemeError: there are no such points of this scheme.
            InputError: the model is needed, or is not that of the table.
        """
        if self.is_run:
            return self._of("outline", scheme).astype(np.float64)
        if model is None:
            raise InputError(f"{self.path}: outlines of a table of fits need the face model; give --face-model")
        if scheme not in model.landmarks.lines:
            raise SchemeError(f"{model.path}: no point of scheme {scheme} slides along an outline; use its true jaw")
        modes = self.columns["identity"].shape[1], self.columns["expression"].shape[1]
        if modes != (len(model.identity), len(model.expression)):
            raise InputError(f"{self.path}: was fitted with another face model than {model.path}; give that one")
        return points_of(model, fit_of(self.columns, self.scheme), scheme, outline=True, bias=self.bias)

    def approximate(self, scheme: str) -> tuple[str, IndexMap]:
        """The scheme from whose points another one is best approximated, and how; itself where it is there.

        Raises:
            SchemeError: there is no such scheme.
        """
        ways = {name: index_map(name, scheme) for name in self.schemes}
        best = min(ways, key=lambda name: (name != scheme, int(ways[name].missing.sum()), -int(ways[name].exact.sum())))
        return best, ways[best]

    def half_seen(self, scheme: str) -> Mask:
        """Which faces show the half of the face that a scheme describes; all for a scheme of the whole. Shape (F,)."""
        if Scheme.open(scheme).mirror_scheme == scheme:
            return np.ones(len(self), bool)
        stored, way = self.approximate(scheme)
        seen = way.apply(self.visible(stored)[..., None].astype(np.float64))[..., 0]
        return np.asarray(seen[:, ~way.missing].mean(1) >= SEEN)

    def _of(self, kind: str, scheme: str) -> NDArray[Any]:
        known = [name.removeprefix(f"{kind}_") for name in self.columns if name.startswith(f"{kind}_")]
        if scheme not in known:
            raise SchemeError(f"{self.path}: no {kind} of scheme {scheme!r}; there are {', '.join(known) or 'none'}")
        return self.columns[f"{kind}_{scheme}"]


def open_labelled(path: Path, pictures: Path | None = None) -> LabelledFaces:
    """Read a table of `canthus synth fit`, or the index of a run of `canthus synth profile` or `occlude`.

    Args:
        path: The table, the folder of a run, or its index.npz.
        pictures: Folder of the set of a table; a run has its pictures beside the index.

    Raises:
        InputError: it is none of these, or holds no face.
    """
    file = path / INDEX if path.is_dir() else path
    problem = "no labelled faces"
    remedy = "give a table of canthus synth fit, or the folder of a finished run of canthus synth profile"
    columns = load_arrays(file, problem, remedy, (*EVERY, *POINTS))
    if "azimuth" not in columns and "rotation" not in columns:
        raise InputError(f"{file}: {problem}: the array 'rotation' is missing; {remedy}")
    if not len(columns["images"]):
        raise InputError(f"{file}: holds no face; {remedy}")
    return LabelledFaces(file, columns, file.parent if "azimuth" in columns else pictures)


@cache
def open_fits(table: Path, pictures: Path) -> LabelledFaces:
    """Read a table of `canthus synth fit` with its photographs; once in a process.

    Args:
        table: The table.
        pictures: Folder of the data set, which the names of the pictures start from.

    Raises:
        InputError: no table of fits, or the first of its pictures is not in the folder.
    """
    faces = LabelledFaces(table, load_arrays(table, NO_TABLE, MAKE_ONE, TABLE), pictures)
    first = faces.file(0) if len(faces) else pictures / "any face"
    if not first.is_file():
        raise InputError(f"{table}: {first} does not exist; give the folder of the set that was fitted as --pictures")
    return faces


@cache
def open_views(folder: Path) -> LabelledFaces:
    """Read a finished run of `canthus synth profile`; once in a process.

    Args:
        folder: Folder of the run.

    Raises:
        InputError: no such run.
    """
    path, remedy = folder / INDEX, "make one with canthus synth profile"
    needed = (*EVERY, *POINTS, "azimuth")
    columns = load_arrays(path, "not a finished run of canthus synth profile", remedy, needed)
    try:
        kind = read_json(folder / SETTINGS, InputError, remedy)["kind"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / SETTINGS}: cannot be read: {error}; {remedy}") from error
    if kind != "views":
        raise InputError(f"{folder}: not a run of canthus synth profile, but of kind {kind!r}; {remedy}")
    return LabelledFaces(path, columns, folder)
