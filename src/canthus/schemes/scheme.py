"""Landmark schemes: the names, groups, curves, mirror partners and normalisers of their points.

Those of the package lie in `data/*.yaml`; a user's own ones come from files of the same form, or from the model bundles
that were trained for them, and are known by their names from then on.

The name of a point includes its side, so mirror partners follow from the names. A name means the same position on the
face in every scheme; `transfer` relies on that.

Laws (tested): the mirror of the mirror is the identity; contour and components together hold every point once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from canthus.errors import SchemeError, ShapeError
from canthus.schemes.definition import (
    CONTOUR,
    INNER,
    WHOLE,
    Definition,
    Indices,
    check_own,
    indices,
    names_of,
    read_definition,
    swap_sides,
)

SCHEMES = ("5", "19", "21", "29", "39_left", "39_right", "51", "68", "79", "81", "84", "98", "103")
"""Names of the schemes in the package."""

SUFFIXES = (".yaml", ".yml")
"""Endings of the files of schemes; a name does not end so."""
_OWN: dict[str, "Scheme"] = {}
"""Schemes that are not in the package, by name; none is ever replaced."""


@dataclass(frozen=True, eq=False)
class Scheme:
    """A landmark scheme of P points.

    Attributes:
        name: Name of the scheme: one of `SCHEMES`, or the name of its file without the ending.
        title: Name that is common in the literature.
        source: Publication that defines it.
        names: Name of each point; left and right are the subject's. Length P.
        groups: Indices of the points of each group: "contour", the components ("brow_right", "mouth", ...), and
            "inner", all points that are not on the contour.
        curves: Polylines to draw; a closed one ends with its first point.
        mirror: Index of each point's partner in `mirror_scheme`. Shape (P,).
        mirror_scheme: Scheme of the mirrored face: the same, except for schemes of half a face.
        normalisers: By name two sets of points; the distance between their centres is the unit of an error.
        definition: What its file says.
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
    definition: Definition

    @classmethod
    def open(cls, name: str) -> "Scheme":
        """The scheme of this name or file; always the same object.

        Args:
            name: One of `SCHEMES`; a YAML file (`definition`), whose name without ending becomes that of the scheme; or
                the name of a scheme that was read from a file or a bundle.

        Raises:
            SchemeError: there is no such scheme (the message lists the names), the file is damaged, or another scheme
                has its name.
        """
        if name.endswith(SUFFIXES):
            path = Path(name)
            return cls.define(path.stem, read_definition(path), name)
        return _OWN.get(name) or _packaged(name)

    @classmethod
    def define(cls, name: str, definition: Definition, place: str = "") -> "Scheme":
        """The scheme of a definition, which `open` knows by its name from now on.

        Args:
            name: Name of the scheme.
            definition: Its definition.
            place: Where the definition comes from, for errors.

        Raises:
            SchemeError: the definition is wrong, or a scheme with other points has this name.
        """
        made = scheme_of(name, definition, place)
        known = _packaged(name) if name in SCHEMES else _OWN.setdefault(name, made)
        if not known.same(made):
            raise SchemeError(f"{place or name}: another scheme is called {name!r}; give the file another name")
        return known

    def same(self, other: "Scheme") -> bool:
        """Whether another scheme has the same points, groups, curves and normalisers."""
        return (self.names, self.groups, self.curves, self.normalisers) == (
            other.names,
            other.groups,
            other.curves,
            other.normalisers,
        )

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


def scheme_of(name: str, definition: Definition, place: str = "") -> Scheme:
    """The scheme of a user's own definition, as `Scheme.define`, but not known by its name.

    Raises:
        SchemeError: the definition is wrong.
    """
    try:
        names = names_of(definition.names)
        groups = _groups(definition, len(names))
        check_own(name, definition, names, groups)
        return _built(name, definition, names, names)
    except SchemeError as error:
        raise SchemeError(f"{place or f'scheme {name}'}: {error}; docs/schemes.md has an example") from error


@cache
def _packaged(name: str) -> Scheme:
    definition = _read(name)
    partner = names_of(_read(definition.mirror or name).names)
    return _built(name, definition, names_of(definition.names), partner)


def _built(name: str, definition: Definition, names: tuple[str, ...], partner: tuple[str, ...]) -> Scheme:
    """A scheme of a definition that has been checked; `partner` are the names of the mirrored scheme."""
    order = {text: index for index, text in enumerate(partner)}
    groups = _groups(definition, len(names))
    contour = set(groups.get(CONTOUR, ()))
    mirror = np.array([order[swap_sides(text)] for text in names], np.intp)
    mirror.setflags(write=False)
    return Scheme(
        name=name,
        title=definition.title,
        source=definition.source,
        names=names,
        groups={**groups, INNER: tuple(index for index in range(len(names)) if index not in contour)},
        curves=tuple(indices(text) for text in definition.curves),
        mirror=mirror,
        mirror_scheme=definition.mirror or name,
        normalisers={unit: (indices(a), indices(b)) for unit, (a, b) in definition.normalisers.items()},
        definition=definition,
    )


def _groups(definition: Definition, count: int) -> dict[str, Indices]:
    if INNER in definition.groups:
        raise SchemeError(f"groups: {INNER!r} is the name of all points that are not of the {CONTOUR}")
    return {name: indices(text) for name, text in definition.groups.items()} or {WHOLE: tuple(range(count))}


@cache
def _read(name: str) -> Definition:
    if name not in SCHEMES:
        own = f", {', '.join(_OWN)}" if _OWN else ""
        raise SchemeError(
            f"no landmark scheme {name!r}; the schemes are {', '.join(SCHEMES)}{own}; one of your own is named by its"
            " file, as my_points.yaml"
        )
    data: dict[str, Any] = yaml.safe_load(_text(name))
    if "mirror_of" in data:
        data = yaml.safe_load(swap_sides(_text(data["mirror_of"])))
    return Definition.model_validate(data)


def _text(name: str) -> str:
    return files("canthus.schemes").joinpath("data", f"{name}.yaml").read_text(encoding="utf-8")
