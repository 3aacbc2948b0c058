"""Faces with points of many schemes, from wherever they lie: a table of fits, or the index of a run of the factory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, SchemeError
from canthus.face3d.fit import Fit
from canthus.face3d.labels import points_of
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import azimuth
from canthus.reader.image import read
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import IndexMap, index_map
from canthus.synth.table import fit_of
from canthus.types import Image

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEEDED = ("images", "identities", "pose", "error", "points_68", "visible_68")
SEEN = 0.9
"""Share of a half's points that is visible where the half counts as seen."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """F pictures, one face each.

    Attributes:
        path: The table, or the index of the run.
        columns: Its arrays.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["images"])

    @property
    def is_run(self) -> bool:
        """Pictures made by the factory, beside the index; False = photographs."""
        return "azimuth" in self.columns

    @property
    def sources(self) -> NDArray[np.str_]:
        """Name of the photograph of each. Shape (F,)."""
        return self.columns["sources" if self.is_run else "images"]

    @property
    def azimuth(self) -> Doubles:
        """Yaw about the axis of each head, degrees. Shape (F,)."""
        if self.is_run:
            return self.columns["azimuth"].astype(np.float64)
        return azimuth(self.columns["rotation"])

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that there are points of."""
        return tuple(name.removeprefix("points_") for name in self.columns if name.startswith("points_"))

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
        """Points with the contour where 2D annotation has it; NaN where that means nothing. Shape (F, P, 3), pixels.

        Args:
            scheme: One with a contour that slides.
            model: The face model of the fits; a run does not need it.

        Raises:
            SchemeError: there are no such points of this scheme.
            InputError: the model is needed, or is not that of the table.
        """
        if self.is_run:
            return self._of("outline", scheme).astype(np.float64)
        if model is None:
            raise InputError(f"{self.path}: outlines of a table of fits are found with the face model; give --model")
        if scheme not in model.landmarks.lines:
            raise SchemeError(f"{model.path}: no point of scheme {scheme} slides along an outline; take its true jaw")
        fit = self._fit(model)
        style = self.columns["style"]
        return points_of(model, fit, scheme, outline=True, style=style if style.size else None)

    def approximate(self, scheme: str) -> tuple[str, IndexMap]:
        """The scheme from whose points this one is best had, and how; itself where it is there.

        Raises:
            SchemeError: there is no such scheme.
        """
        ways = {name: index_map(name, scheme) for name in self.schemes}
        best = min(ways, key=lambda name: (name != scheme, int(ways[name].missing.sum()), -int(ways[name].exact.sum())))
        return best, ways[best]

    def half_seen(self, scheme: str) -> Mask:
        """For schemes of one half of the face: the faces that show it; for others all. Shape (F,)."""
        if Scheme.open(scheme).mirror_scheme == scheme:
            return np.ones(len(self), bool)
        stored, way = self.approximate(scheme)
        seen = way.apply(self.visible(stored)[..., None].astype(np.float64))[..., 0]
        return np.asarray(seen[:, ~way.missing].mean(1) >= SEEN)

    def picture(self, face: int, folder: Path | None = None) -> Image:
        """Read a picture.

        Args:
            face: Which.
            folder: Of the photographs of a table; a run has its pictures beside it.

        Raises:
            InputError: it cannot be read, or nobody said where the photographs lie.
        """
        if folder is None and not self.is_run:
            raise InputError(f"{self.path}: a table of fits has no pictures; give the folder of its set as --pictures")
        return read((self.path.parent if folder is None or self.is_run else folder) / str(self.columns["images"][face]))

    def _of(self, kind: str, scheme: str) -> NDArray[Any]:
        known = [name.removeprefix(f"{kind}_") for name in self.columns if name.startswith(f"{kind}_")]
        if scheme not in known:
            raise SchemeError(f"{self.path}: no {kind} of scheme {scheme!r}; there are {', '.join(known) or 'none'}")
        return self.columns[f"{kind}_{scheme}"]

    def _fit(self, model: MorphableModel) -> Fit:
        """The fits as `labels.points_of` takes them."""
        modes = self.columns["identity"].shape[1], self.columns["expression"].shape[1]
        if modes != (len(model.identity), len(model.expression)):
            raise InputError(f"{self.path}: was fitted with another face model than {model.path}; give that one")
        return fit_of(self.columns, str(self.columns["scheme"]))


def open_labelled(path: Path) -> Labelled:
    """Read a table of `canthus synth fit`, or the index of a run of `canthus synth profile` or `occlude`.

    Args:
        path: The table, the folder of a run, or its index.npz.

    Raises:
        InputError: it is none of these, or holds no face.
    """
    place = path / "index.npz" if path.is_dir() else path
    remedy = "give a table of canthus synth fit, or the folder of a finished run of canthus synth profile"
    try:
        with np.load(place, allow_pickle=False) as archive:
            columns = dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{place}: no labelled faces: {error}; {remedy}") from error
    missing = [name for name in NEEDED if name not in columns]
    if "azimuth" not in columns and "rotation" not in columns:
        missing.append("rotation")
    if missing:
        raise InputError(f"{place}: no labelled faces: {missing[0]!r} is missing; {remedy}")
    if not len(columns["images"]):
        raise InputError(f"{place}: holds no face; {remedy}")
    return Labelled(place, columns)
