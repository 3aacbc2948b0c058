"""Landmark schemes: the names, groups, curves, mirror partners and normalisers of their points, from `data/*.yaml`.

The name of a point includes its side, so mirror partners follow from the names. A name means the same position on the
face in every scheme; `transfer` relies on that. The files write indices as "0-16 8" and names as "jaw_right_{1..8}" or
"eye_{a,b}".

Laws (tested): the mirror of the mirror is the identity; contour and components together hold every point once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from canthus.errors import SchemeError, ShapeError

SCHEMES = ("5", "19", "21", "29", "39_left", "39_right", "51", "68", "81", "84", "98")
"""Names of the schemes in the package."""

Indices = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scheme:
    """A landmark scheme of P points.

    Attributes:
        name: Name of the scheme, one of `SCHEMES`.
        title: Name that is common in the literature.
        source: Publication that defines it.
        names: Name of each point; left and right are the subject's. Length P.
        groups: Indices of the points of each group: "contour", the components ("brow_right", "mouth", ...), and
            "inner", all points that are not on the contour.
        curves: Polylines to draw; a closed one ends with its first point.
        mirror: Index of each point's partner in `mirror_scheme`. Shape (P,).
        mirror_scheme: Scheme of the mirrored face: the same, except for schemes of half a face.
        normalisers: By name two sets of points; the distance between their centres is the unit of an error.
    """

    name: str
    title: str
    source: str
    names: tuple[str, ...]
    groups: Mapping[str, Indices]
    curves: tuple[Indices, ...]
    mirror: NDArray[np.intp]
    mirror_scheme: str
    normalisers: Mapping[str, tuple[Indices, Indices]]

    @classmethod
    def open(cls, name: str) -> "Scheme":
        """The scheme of this name; always the same object.

        Raises:
            SchemeError: there is no such scheme; the message lists the names.
        """
        return _open(name)

    @property
    def count(self) -> int:
        """P, the number of points."""
        return len(self.names)

    @property
    def contour(self) -> Indices:
        """Points on the outline of the face, whose position depends on the view; none in a scheme of inner points."""
        return self.groups.get("contour", ())

    @property
    def components(self) -> Mapping[str, Indices]:
        """Groups that are parts of the face; each inner point belongs to exactly one."""
        return {name: points for name, points in self.groups.items() if name not in ("contour", "inner")}

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The curves as pairs of neighbouring points."""
        return tuple(pair for curve in self.curves for pair in pairwise(curve))

    def mirrored(self, points: NDArray[Any], width: float) -> NDArray[Any]:
        """Points in the mirrored picture, in the order of `mirror_scheme`.

        Args:
            points: Points. Shape (..., P, D), pixels.
            width: Width of the picture in pixels: x becomes width - 1 - x.

        Returns:
            Shape and type of `points`.

        Raises:
            ShapeError: the number of points is not P.
        """
        points = np.asarray(points)
        if points.ndim < 2 or points.shape[-2] != self.count:
            raise ShapeError(f"scheme {self.name} has {self.count} points, the array is {points.shape}")
        flipped = np.empty_like(points)
        flipped[..., self.mirror, :] = points
        flipped[..., 0] = width - 1 - flipped[..., 0]
        return flipped


@cache
def _open(name: str) -> Scheme:
    data = _read(name)
    names = _names(data)
    partner = data.get("mirror", name)
    order = {text: index for index, text in enumerate(_names(_read(partner)))}
    groups = {group: indices(text) for group, text in data["groups"].items()}
    contour = set(groups.get("contour", ()))
    mirror = np.array([order[swap_sides(text)] for text in names], np.intp)
    mirror.setflags(write=False)
    return Scheme(
        name=name,
        title=data["title"],
        source=data["source"],
        names=names,
        groups={**groups, "inner": tuple(index for index in range(len(names)) if index not in contour)},
        curves=tuple(indices(text) for text in data["curves"]),
        mirror=mirror,
        mirror_scheme=partner,
        normalisers={key: (indices(a), indices(b)) for key, (a, b) in data["normalisers"].items()},
    )


@cache
def _read(name: str) -> dict[str, Any]:
    if name not in SCHEMES:
        raise SchemeError(f"no landmark scheme {name!r}; the schemes are {', '.join(SCHEMES)}")
    data: dict[str, Any] = yaml.safe_load(_text(name))
    if "mirror_of" in data:
        data = yaml.safe_load(swap_sides(_text(data["mirror_of"])))
    return data


def _text(name: str) -> str:
    return files("canthus.schemes").joinpath("data", f"{name}.yaml").read_text(encoding="utf-8")


def swap_sides(text: str) -> str:
    """Exchange "left" and "right" in a name."""
    return re.sub("left|right", lambda side: "right" if side[0] == "left" else "left", text)


def indices(text: str | int) -> Indices:
    """Indices from a text: "0-3 7 5-4" gives 0, 1, 2, 3, 7, 5, 4."""
    numbers: list[int] = []
    for token in str(text).split():
        first, _, last = token.partition("-")
        start, stop = int(first), int(last or first)
        step = 1 if stop >= start else -1
        numbers.extend(range(start, stop + step, step))
    return tuple(numbers)


def _names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Names with each {1..8}, {8..1} or {a,b} written out, in order."""
    names: list[str] = []
    for item in data["names"]:
        head, brace, rest = str(item).partition("{")
        if not brace:
            names.append(head)
            continue
        inside, _, tail = rest.partition("}")
        first, dots, last = inside.partition("..")
        parts = [str(number) for number in indices(f"{first}-{last}")] if dots else inside.split(",")
        names.extend(head + part + tail for part in parts)
    return tuple(names)
