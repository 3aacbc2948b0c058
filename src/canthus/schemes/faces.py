"""Faces in another landmark scheme, and what the conversion costs.

Errors of points that are only near their position were measured on faces of the data factory (`errors.yaml`, made
by `scripts/bench conversion`).
"""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, IndexMap, convert, index_map, means_of, union_slots
from canthus.types import Faces, Floats


@dataclass(frozen=True)
class Conversion:
    """What a conversion between two schemes gives.

    Attributes:
        source: Scheme before.
        target: Scheme after.
        exact: Number of points whose position both schemes have.
        near: Number of points that are means of points near their position.
        missing: Number of points that become NaN.
        error: Mean distance of the near points from their position, % of sqrt(w h) of the box; None = not measured.
    """

    source: str
    target: str
    exact: int
    near: int
    missing: int
    error: float | None

    def __str__(self) -> str:
        parts = [f"{self.exact} points are exact"]
        if self.near:
            known = "not measured" if self.error is None else f"{self.error:.1f} % of the box on average"
            parts.append(f"{self.near} are means of points nearby (error: {known})")
        if self.missing:
            profile = ", but for faces seen from that side" if self.target in VIEWS[1:] else ""
            parts.append(f"{self.missing} are missing{profile}")
        return f"scheme {self.source} to {self.target}: {', '.join(parts)}"


def conversion(source: str, target: str) -> Conversion:
    """What the conversion between two schemes gives.

    Raises:
        SchemeError: one of the schemes is unknown, or no point of `target` follows from `source`.
    """
    convert(np.zeros((Scheme.open(source).count, 2)), source, target)
    found = index_map(source, target)
    exact, near, missing = (int(mask.sum()) for mask in (found.exact, found.approximate, found.missing))
    return Conversion(source, target, exact, near, missing, _errors().get(f"{source} {target}"))


def in_scheme(faces: Faces, target: str) -> Faces:
    """Faces in another scheme; see `Faces.in_scheme`."""
    if faces.scheme == target or not faces.points.shape[1]:
        return faces
    points = convert(faces.points, faces.scheme, target)
    found = index_map(faces.scheme, target)
    values = {name: _means(getattr(faces, name), found) for name in ("scores", "occluded", "raw")}
    if target in VIEWS[1:]:
        seen = faces.view == VIEWS.index(target)
        own = faces.plane[:, list(union_slots(target))]
        points[..., :2] = np.where(seen[:, None, None] & np.isfinite(own), own, points[..., :2])
    return replace(faces, points=points, scheme=target, **values)


def _means(values: Floats, found: IndexMap) -> Floats:
    """Values of points (F, P) or (F, P, D) in the other scheme, each the mean of those that its point follows from."""
    wide: Any = values[..., None] if values.ndim == 2 else values
    moved: Floats = means_of(wide, found.parts).astype(np.float32)
    return moved[..., 0] if values.ndim == 2 else moved


@cache
def _errors() -> dict[str, float]:
    text = files("canthus.schemes").joinpath("errors.yaml").read_text(encoding="utf-8")
    return {str(name): float(value) for name, value in yaml.safe_load(text)["errors"].items()}
