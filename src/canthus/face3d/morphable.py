"""A linear 3D model of the face: load it, and evaluate its vertices.

    V = mean + sum_k identity_k I_k + sum_e expression_e E_e,   identity ~ N(0, 1), expression in 0..1

The file is the .npz that `face3d.ict` makes from ICT-FaceKit [Li et al., 2020]; docs/face-model.md has its layout. Its
axes are changed to those of `geometry.pose`: x right, y down, z away from the viewer; the nose points to -z.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, ShapeError
from canthus.face3d.contour import outline, vertex_normals
from canthus.face3d.landmarks import MeshLandmarks, load_landmarks
from canthus.types import Floats
from canthus.work.archive import read_arrays

Indices = NDArray[np.intp]

AXES = np.array([1, -1, -1], np.float32)
"""Signs from the axes of the file (x right, y up, z to the viewer) to ours."""
SKIN = ("face", "head_neck")
"""Regions of the outer surface of the head, which hides what lies behind it."""

_LAYOUT: Mapping[str, tuple[int | str, ...]] = {
    "mean": ("V", 3),
    "identity_q": ("K", 3, "V"),
    "identity_step": ("K",),
    "expression_q": ("E", 3, "V"),
    "expression_step": ("E",),
    "expression_names": ("E",),
    "triangles": ("T", 3),
    "uv": ("U", 2),
    "triangle_uv": ("T", 3),
    "region": ("V",),
    "region_names": ("R",),
}
_REMEDY = "make the file again: canthus synth import FaceXModel -o FILE"


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """A face model with V vertices, K identity and E expression modes, in cm.

    Attributes:
        path: The file.
        mean: The neutral mean head. Shape (V, 3).
        identity: Identity modes, one standard deviation each. Shape (K, V, 3).
        expression: Expression modes at full weight. Shape (E, V, 3).
        expression_names: Names of the expressions; `_L` and `_R` are the left and right of the subject. Length E.
        triangles: Vertices, counter-clockwise seen from outside. Shape (T, 3).
        uv: Texture coordinates. Shape (U, 2).
        triangle_uv: Texture coordinate of each corner. Shape (T, 3).
        region: Part of the head that each vertex belongs to, an index of `region_names`. Shape (V,).
        region_names: Names of the parts: "face", "head_neck", "teeth" ...
        landmarks: Vertices that are landmarks.
    """

    path: Path
    mean: Floats
    identity: Floats
    expression: Floats
    expression_names: tuple[str, ...]
    triangles: Indices
    uv: Floats
    triangle_uv: Indices
    region: NDArray[np.uint8]
    region_names: tuple[str, ...]
    landmarks: MeshLandmarks

    @classmethod
    def open(cls, path: Path, landmarks: Path | None = None) -> Self:
        """Load a model.

        Args:
            path: The .npz file.
            landmarks: File of landmark vertices; None = landmarks.json beside `path`.

        Raises:
            InputError: a file is missing or damaged, lacks an array, or the two do not belong together.
        """
        arrays = _read(path)
        _check(arrays, path)
        triangles = arrays["triangles"].astype(np.intp)
        mean = arrays["mean"].astype(np.float32) * AXES
        region = arrays["region"]
        names = tuple(str(name) for name in arrays["region_names"])
        return cls(
            path=path,
            mean=mean,
            identity=_modes(arrays["identity_q"], arrays["identity_step"]),
            expression=_modes(arrays["expression_q"], arrays["expression_step"]),
            expression_names=tuple(str(name) for name in arrays["expression_names"]),
            triangles=triangles,
            uv=arrays["uv"],
            triangle_uv=arrays["triangle_uv"].astype(np.intp),
            region=region,
            region_names=names,
            landmarks=load_landmarks(
                landmarks or path.with_name("landmarks.json"), mean, _skin(triangles, region, names)
            ),
        )

    def region_mask(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """True for the vertices of some regions. Shape (V,)."""
        return np.isin(self.region, [self.region_names.index(name) for name in names])

    @cached_property
    def skin(self) -> Indices:
        """Triangles of face, head and neck. Shape (S, 3)."""
        return _skin(self.triangles, self.region, self.region_names)

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """Outward normals of the skin of the mean head, smoothed; zero for other vertices. Shape (V, 3)."""
        return vertex_normals(self.mean, self.skin, rings=1)

    @property
    def eye_corners(self) -> Indices:
        """The outer eye corners, right and left. Shape (2,)."""
        return self.landmarks.of("68")[[36, 45]]

    @cached_property
    def inter_ocular(self) -> float:
        """Distance of the outer eye corners of the mean head, cm."""
        right, left = self.mean[self.eye_corners]
        return float(np.linalg.norm(right - left))

    def on_view(self, scheme: str, rotation: NDArray[Any], contour: bool = True) -> Indices:
        """The vertices on which the landmarks of a scheme lie in a picture.

        Args:
            scheme: A scheme that the model has.
            rotation: Rotations of F heads. Shape (F, 3, 3).
            contour: The contour lies on the outline that is seen; False = on the true jaw.

        Returns:
            Shape (F, P).

        Raises:
            SchemeError: the model does not have the scheme.
        """
        candidates = self.landmarks.candidates(scheme, contour)
        picked, _ = outline(self.normals[candidates], rotation)
        return candidates[np.arange(len(candidates)), picked]

    def vertices(self, identity: NDArray[Any], expression: NDArray[Any], subset: Indices | None = None) -> Floats:
        """The heads with these coefficients.

        Args:
            identity: Identity coefficients; those after the k-th are 0. Shape (F, k), k <= K.
            expression: Expression weights. Shape (F, E).
            subset: Vertices to evaluate; None = all. Shape (N,).

        Returns:
            Shape (F, N, 3), cm.

        Raises:
            ShapeError: the coefficients are not those of this model.
        """
        identity, expression = np.asarray(identity, np.float32), np.asarray(expression, np.float32)
        faces, modes = identity.shape if identity.ndim == 2 else (-1, 0)
        if modes > len(self.identity) or expression.shape != (faces, len(self.expression)):
            raise ShapeError(
                f"coefficients are (F, {len(self.identity)}) for identity and (F, {len(self.expression)}) for "
                f"expression, not {identity.shape} and {expression.shape}"
            )
        chosen = slice(None) if subset is None else subset
        mean = self.mean[chosen]
        shape = identity @ self.identity[:modes, chosen].reshape(modes, -1)
        shape += expression @ self.expression[:, chosen].reshape(len(self.expression), -1)
        return shape.reshape(faces, *mean.shape) + mean


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_arrays(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such face model; {_REMEDY}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a face model: {error}; {_REMEDY}") from error


def _check(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Refuse a model that lacks arrays, or whose arrays do not fit together."""
    sizes: dict[str, int] = {}
    for name, layout in _LAYOUT.items():
        if name not in arrays:
            raise InputError(f"{path}: the array {name!r} is missing; {_REMEDY}")
        shape = arrays[name].shape
        wanted = [sizes.get(side) if isinstance(side, str) else side for side in layout]
        if len(shape) != len(wanted) or any(want not in (None, got) for want, got in zip(wanted, shape, strict=True)):
            raise InputError(f"{path}: the array {name!r} is {shape}, not ({', '.join(map(str, layout))}); {_REMEDY}")
        sizes |= {side: got for side, got in zip(layout, shape, strict=True) if isinstance(side, str)}
    for name, limit in {"triangles": "V", "triangle_uv": "U", "region": "R"}.items():
        if arrays[name].size and int(arrays[name].max()) >= sizes[limit]:
            raise InputError(f"{path}: the array {name!r} points beyond the {sizes[limit]} there are; {_REMEDY}")
    for name in ("mean", "identity_step", "expression_step"):
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: the array {name!r} holds values that are not finite; {_REMEDY}")


def _skin(triangles: Indices, region: NDArray[Any], names: Sequence[str]) -> Indices:
    """Triangles whose corners all lie in a region of `SKIN`. Shape (S, 3)."""
    skin = np.isin(region, [index for index, name in enumerate(names) if name in SKIN])
    return triangles[skin[triangles].all(1)]


def _modes(quantised: NDArray[Any], step: NDArray[Any]) -> Floats:
    """Modes (K, V, 3) in our axes of (K, 3, V) whole numbers."""
    scale = step.astype(np.float32)[:, None] * AXES
    modes: Floats = np.swapaxes(quantised * scale[..., None], 1, 2)
    return np.ascontiguousarray(modes, np.float32)
