"""Fit the face model to 2D landmarks: pose, identity, expression, and the distance of each label from the fit.

`Fitter` prepares a scheme once and then fits any number of faces, batch by batch. Give each process one BLAS thread
(OMP_NUM_THREADS=1): with more, a fit takes several times as long.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.solver import Labels, Problem, State, solve
from canthus.geometry.pixels import inside
from canthus.geometry.pose import WeakPerspective, weak_perspective
from canthus.schemes.scheme import Scheme

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

LEAST = 8
"""Number of points that a fit needs."""
BATCH = 16
"""Number of faces fitted at once: their Jacobians stay in the cache."""
TURNED_AWAY = 0.15
"""A face is seen from behind when the cosine of its angle to the line of sight is larger."""


@dataclass(frozen=True)
class FitOptions:
    """Assumptions about labels and faces.

    Attributes:
        noise: Standard deviation of a label in either axis, as a share of the inter-ocular distance.
        slide: Weight of the error along a contour where it is the true jaw, and where it has slid from it.
        spread: Standard deviation of the weight of an expression.
        modes: Number of identity modes fitted: the combinations of all modes that move the landmarks most.
        iterations: Largest number of steps.
    """

    noise: float = 0.012
    slide: tuple[float, float] = (0.7, 0.3)
    spread: float = 0.2
    modes: int = 60
    iterations: int = 25


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted faces. A face that could not be fitted is NaN throughout, and `problems` says why.

    Attributes:
        scheme: Scheme of the labels.
        camera: Scale (pixels per cm), rotation, shift and RMS residual; its `pose` is yaw, pitch, roll.
        identity: Identity coefficients. Shape (F, K).
        expression: Expression weights. Shape (F, E).
        points: Positions of the labelled points on the fitted face: pixels, and depth in pixels. Shape (F, P, 3).
        residual: Distance of each label from its point on the face; NaN = no label. Shape (F, P), pixels.
        inter_ocular: Distance of the outer eye corners seen from the front. Shape (F,), pixels.
        problems: Reason why a face was not fitted; empty = it was. Length F.
    """

    scheme: str
    camera: WeakPerspective
    identity: Doubles
    expression: Doubles
    points: Doubles
    residual: Doubles
    inter_ocular: Doubles
    problems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.problems)

    def head(self, model: MorphableModel, face: int) -> Doubles:
        """All vertices of one face, in the head's axes. Shape (V, 3), cm."""
        head: Doubles = model.vertices(self.identity[face][None], self.expression[face][None])[0].astype(np.float64)
        return head

    @property
    def error(self) -> Doubles:
        """Mean residual over the inter-ocular distance; NaN where there is no fit. Shape (F,)."""
        known = np.isfinite(self.residual)
        total = np.where(known, self.residual, 0).sum(1)
        share: Doubles = np.where(known.any(1), total, np.nan) / np.maximum(known.sum(1), 1) / self.inter_ocular
        return share


class Fitter:
    """Fits faces with the points of one scheme."""

    def __init__(
        self, model: MorphableModel, scheme: str, outline: bool = True, options: FitOptions | None = None
    ) -> None:
        """Prepare.

        Args:
            model: The face model.
            scheme: Scheme of the labels.
            outline: The contour of the labels is the outline that is seen, as in 2D annotation; False = the true jaw.
            options: Assumptions about labels and faces.

        Raises:
            SchemeError: the model does not have this scheme.
        """
        self.model, self.scheme, self.options = model, Scheme.open(scheme), options or FitOptions()
        candidates = model.landmarks.candidates(scheme, outline)
        used, rows = np.unique(candidates, return_inverse=True)
        kept = [not name.startswith(model.landmarks.dropped) for name in model.expression_names]
        self._expressions = np.flatnonzero(kept)
        identity = model.identity[:, used].astype(np.float64)
        rank = min(self.options.modes, len(identity))
        # Rotated so that the first modes move these vertices most; N(0, 1) stays N(0, 1).
        self._mixing = np.linalg.svd(identity.reshape(len(identity), -1), full_matrices=False)[0][:, :rank]
        mixed = np.tensordot(self._mixing.T, identity, 1)
        expression = model.expression[self._expressions][:, used].astype(np.float64)
        precision = np.concatenate([np.ones(rank), np.full(len(expression), self.options.spread**-2)])
        contour = np.array(self.scheme.contour if outline else (), np.intp)
        self._problem = Problem(
            mean=model.mean[used].astype(np.float64),
            modes=np.ascontiguousarray(np.concatenate([mixed, expression])),
            precision=precision,
            identities=rank,
            rows=rows.reshape(candidates.shape),
            contour=contour,
            normals=model.normals[candidates[contour]],
            slide=self.options.slide,
            offset=np.zeros((self.scheme.count, 3)),
        )
        facing = model.normals[model.landmarks.of(scheme)].sum(0)
        self._facing = facing / np.linalg.norm(facing)

    def with_bias(self, bias: NDArray[Any]) -> "Fitter":
        """This fitter for labels with an annotation bias: `annotation_bias.learn_bias`.

        Args:
            bias: Offset of each label from the model's vertex, in the head's axes. Shape (P, 3), cm.

        Raises:
            ShapeError: not one offset for each point.
        """
        bias = np.asarray(bias, np.float64)
        if bias.shape != (self.scheme.count, 3):
            raise ShapeError(f"a bias of scheme {self.scheme.name} is ({self.scheme.count}, 3), not {bias.shape}")
        other = copy(self)
        other._problem = replace(self._problem, offset=bias)
        return other

    def fit(self, points: NDArray[Any], sizes: NDArray[Any] | None = None) -> Fit:
        """Fit faces.

        Args:
            points: Labels; NaN = not annotated. Shape (F, P, 2), pixels.
            sizes: Width and height of the picture of each face. Shape (F, 2); NaN, or None = not known.

        Returns:
            Fits of F faces.

        Raises:
            ShapeError: the arrays are not of this scheme, or not of as many faces.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 3 or points.shape[1:] != (self.scheme.count, 2):
            raise ShapeError(f"scheme {self.scheme.name} is (F, {self.scheme.count}, 2) points, not {points.shape}")
        if sizes is not None and np.shape(sizes) != (len(points), 2):
            raise ShapeError(f"sizes of {len(points)} pictures are ({len(points)}, 2), not {np.shape(sizes)}")
        problems = find_problems(points, sizes)
        camera = self._first_cameras(points)
        for index, problem in enumerate(problems):
            if not problem and np.isnan(camera.scale[index]):
                problems[index] = "the points do not determine a pose"
            elif not problem and float((camera.rotation[index] @ self._facing)[2]) > TURNED_AWAY:
                problems[index] = "mirrored labels: left and right are the subject's; Scheme.mirrored exchanges them"
        good = np.flatnonzero([not problem for problem in problems])
        batches = [good[at : at + BATCH] for at in range(0, len(good), BATCH)]
        parts = [self._fit_batch(points[batch], camera, batch) for batch in batches]
        return self._gather(points, good, parts, tuple(problems))

    def _first_cameras(self, points: Doubles) -> WeakPerspective:
        """Poses of the mean head; the contour has little weight, as it is not where the mean head has it."""
        weight = np.ones(self.scheme.count)
        weight[list(self.scheme.contour)] = 0.1
        return weak_perspective(points, self._problem.mean[self._problem.rows[:, 0]], weight)

    def _fit_batch(self, points: Doubles, camera: WeakPerspective, part: Indices) -> tuple[State, Doubles]:
        """Fit some faces; their state, and the points on them (F, P, 3)."""
        seen = np.asarray(np.isfinite(points).all(-1))
        sigma = self.options.noise * self.model.inter_ocular * camera.scale[part]
        labels = Labels(np.where(seen[..., None], points, 0.0), seen / sigma[:, None])
        nothing = np.zeros((len(part), len(self._problem.modes)))
        start = State(camera.scale[part], camera.rotation[part], camera.shift[part], nothing)
        state, placed = solve(self._problem, labels, start, self.options.iterations)
        return state, placed

    def _gather(
        self, points: Doubles, good: Indices, parts: list[tuple[State, Doubles]], problems: tuple[str, ...]
    ) -> Fit:
        """The batches as one result, NaN where there is no fit."""
        count = len(points)

        def whole(pieces: list[Doubles], shape: tuple[int, ...]) -> Doubles:
            array = np.full((count, *shape), np.nan)
            array[good] = np.concatenate(pieces) if len(good) else np.zeros((0, *shape))
            return array

        states = [state for state, _ in parts]
        coefficients = whole([state.coefficients for state in states], (len(self._problem.modes),))
        rank = self._problem.identities
        identity = coefficients[:, :rank] @ self._mixing.T
        expression = np.where(np.isnan(coefficients[:, :1]), np.nan, np.zeros((count, len(self.model.expression))))
        expression[:, self._expressions] = coefficients[:, rank:]
        placed = whole([face for _, face in parts], (self.scheme.count, 3))
        residual = np.linalg.norm(placed[..., :2] - points, axis=-1)
        scale = whole([state.scale for state in states], ())
        known = np.isfinite(residual)
        square = np.where(known, residual, 0) ** 2
        rms = np.where(known.any(1), np.sqrt(square.sum(1) / np.maximum(known.sum(1), 1)), np.nan)
        camera = WeakPerspective(
            scale,
            whole([state.rotation for state in states], (3, 3)),
            whole([state.shift for state in states], (2,)),
            rms,
        )
        corners = self.model.eye_corners
        eyes = self.model.mean[corners] + np.tensordot(identity, self.model.identity[:, corners], 1)
        return Fit(
            self.scheme.name,
            camera,
            identity,
            expression,
            placed,
            residual,
            scale * np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1),
            problems,
        )


def find_problems(points: NDArray[Any], sizes: NDArray[Any] | None = None) -> list[str]:
    """Reasons why labels cannot be fitted, one for each face; empty = they can.

    Args:
        points: Labels; NaN = not annotated. Shape (F, P, 2), pixels.
        sizes: Width and height of the pictures. Shape (F, 2); NaN, or None = not known.

    Returns:
        Fewer points than a fit needs; points on a line; a quarter of the points outside the picture. Length F.
    """
    points = np.asarray(points, np.float64)
    seen = np.isfinite(points).all(-1)
    count = seen.sum(1)
    centre = np.where(seen[..., None], points, 0).sum(1) / np.maximum(count, 1)[:, None]
    spread = np.where(seen[..., None], points - centre[:, None], 0)
    thin, wide = np.linalg.eigvalsh(np.swapaxes(spread, 1, 2) @ spread).T
    problems = [""] * len(points)
    for index in range(len(points)):
        if count[index] < LEAST:
            problems[index] = f"too few points: {count[index]}, a fit needs {LEAST}"
        elif thin[index] <= 1e-3 * wide[index]:
            problems[index] = "the points lie on a line; look for columns of x and y that were exchanged or repeated"
        elif sizes is not None and np.isfinite(sizes[index]).all():
            width, height = sizes[index]
            lost = int((seen[index] & ~inside(points[index], (height, width))).sum())
            if 4 * lost > count[index]:
                problems[index] = (
                    f"{lost} of {count[index]} points lie outside the picture of {width:g}x{height:g}; "
                    "are these labels those of this picture, in its pixels?"
                )
    return problems
