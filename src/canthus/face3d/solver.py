"""Damped Gauss-Newton for many faces at once: pose, identity and expression of a linear model from 2D points.

Minimised for each face over scale s, rotation R, shift t and coefficients c (identity, then expression in 0..1):

    sum_p |W_p (x_p - s (R v_p(c))_xy - t)|^2 + sum_k precision_k c_k^2

W_p is 1 / sigma, along the contour times `slide`. A step is taken when it lowers the cost with the contour on the
vertices it had before the step, else the damping grows (Levenberg and Marquardt). Expressions at a bound which the
gradient would carry out of it are held (the active set of projected Newton methods [Bertsekas, 1982]).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canthus.face3d.contour import outline
from canthus.geometry.pose import rotation_about

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

POSE = 6
"""Number of parameters of a pose: log scale, rotation vector, shift."""
ALONE = 3
"""Number of steps at the start that change only the pose."""
ENOUGH = 1e-3
"""A face is finished when a step lowers its cost by less than this share."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The model to be fitted: U vertices, N modes of which the first are unbounded, P points with L candidate vertices.

    Attributes:
        mean: Mean positions of the vertices. Shape (U, 3).
        modes: Modes. Shape (N, U, 3).
        precision: Precision of the prior of each coefficient. Shape (N,).
        identities: Number of modes without bounds; the coefficients of the others lie in 0..1.
        rows: Candidate vertices of each point, as indices of U. Shape (P, L).
        contour: Points along which labels slide. Shape (C,).
        normals: Normals of the candidate vertices of these points. Shape (C, L, 3).
        slide: Weight of the error along the contour where it is the true jaw, and where it has slid from it.
        offset: Offset of each point from its vertex, in the head's axes and the model's unit. Shape (P, 3).
    """

    mean: Doubles
    modes: Doubles
    precision: Doubles
    identities: int
    rows: Indices
    contour: Indices
    normals: Doubles
    slide: tuple[float, float]
    offset: Doubles

    def shape(self, coefficients: Doubles) -> Doubles:
        """Vertices of heads with coefficients (F, N). Shape (F, U, 3)."""
        flat = coefficients @ self.modes.reshape(len(self.modes), -1)
        vertices: Doubles = flat.reshape(len(flat), *self.mean.shape) + self.mean
        return vertices


@dataclass(frozen=True, eq=False)
class State:
    """Pose and coefficients of F faces.

    Attributes:
        scale: Pixels over the model's unit. Shape (F,).
        rotation: Rotations. Shape (F, 3, 3).
        shift: Positions of the origin. Shape (F, 2), pixels.
        coefficients: Coefficients of the modes. Shape (F, N).
    """

    scale: Doubles
    rotation: Doubles
    shift: Doubles
    coefficients: Doubles

    def __getitem__(self, chosen: Indices) -> "State":
        return State(self.scale[chosen], self.rotation[chosen], self.shift[chosen], self.coefficients[chosen])

    def put(self, chosen: Indices, other: "State") -> None:
        """Replace some faces of this state by those of another."""
        self.scale[chosen], self.rotation[chosen] = other.scale, other.rotation
        self.shift[chosen], self.coefficients[chosen] = other.shift, other.coefficients

    def project(self, vertices: Doubles) -> Doubles:
        """Vertices (F, U, 3) in pixels, before the shift. Shape (F, U, 3)."""
        seen: Doubles = vertices @ (self.scale[:, None, None] * np.swapaxes(self.rotation, 1, 2))
        return seen


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels to fit to.

    Attributes:
        points: Labels; all finite. Shape (F, P, 2), pixels.
        weights: Weight 1 / sigma; 0 where a point is missing. Shape (F, P), 1 / pixels.
    """

    points: Doubles
    weights: Doubles

    def __getitem__(self, chosen: Indices) -> "Labels":
        return Labels(self.points[chosen], self.weights[chosen])


@dataclass(frozen=True, eq=False)
class Contact:
    """The vertices that the points lie on.

    Attributes:
        picked: Number of the candidate of each point. Shape (F, P).
        normal: Unit normals of the contour. Shape (F, C, 2).
        slide: Weight of the error along it. Shape (F, C).
    """

    picked: Indices
    normal: Doubles
    slide: Doubles

    def __getitem__(self, chosen: Indices) -> "Contact":
        return Contact(self.picked[chosen], self.normal[chosen], self.slide[chosen])


def solve(problem: Problem, labels: Labels, start: State, iterations: int) -> tuple[State, Doubles]:
    """Fit.

    Args:
        problem: The model's vertices and the scheme.
        labels: Labels of F faces.
        start: Pose and coefficients to start from.
        iterations: Largest number of steps.

    Returns:
        The final state, and the positions of the points: pixels and depth. Shape (F, P, 3).
    """
    faces = np.arange(len(labels.points))
    state = start[faces]
    now, damping = start[faces], np.full(len(faces), 1e-2)
    seen = now.project(problem.shape(now.coefficients))
    contact = _touch(problem, now)
    for number in range(iterations):
        at = _placed(problem, now, seen, contact)
        error = _errors(problem, labels, now, at, contact)
        cost = _cost(problem, now, error)
        trial = _moved(problem, labels, now, (at, contact, error, damping), number < ALONE)
        tried = trial.project(problem.shape(trial.coefficients))
        gain = cost - _cost(
            problem, trial, _errors(problem, labels, trial, _placed(problem, trial, tried, contact), contact)
        )
        better = np.flatnonzero(gain > 0)
        now.put(better, trial[better])
        seen[better] = tried[better]
        damping = np.where(gain > 0, np.maximum(damping * 0.2, 1e-6), damping * 8)
        contact = _touch(problem, now)
        done = ((gain > 0) & (gain < ENOUGH * cost) & (number > ALONE)) | (damping > 1e6)
        state.put(faces, now)
        if done.any():
            stay = np.flatnonzero(~done)
            faces, now, labels, contact = faces[stay], now[stay], labels[stay], contact[stay]
            seen, damping = seen[stay], damping[stay]
            if not len(stay):
                break
    placed = _placed(problem, state, state.project(problem.shape(state.coefficients)), _touch(problem, state))
    placed[..., :2] += state.shift[:, None]
    return state, placed


def _touch(problem: Problem, state: State) -> Contact:
    """Let the contour slide to the outline."""
    picked = np.zeros((len(state.scale), len(problem.rows)), np.intp)
    on_line, normal = outline(problem.normals, state.rotation)
    picked[:, problem.contour] = on_line
    return Contact(picked, normal, np.where(on_line > 1, problem.slide[1], problem.slide[0]))


def _placed(problem: Problem, state: State, seen: Doubles, contact: Contact) -> Doubles:
    """Positions of the points before the shift. Shape (F, P, 3)."""
    vertices = problem.rows[np.arange(len(problem.rows)), contact.picked]  # (F, P)
    return np.take_along_axis(seen, vertices[..., None], 1) + state.project(problem.offset)


def _errors(problem: Problem, labels: Labels, state: State, at: Doubles, contact: Contact) -> Doubles:
    """Labels less the model's points over sigma; on the contour across and along it. Shape (F, 2, P)."""
    far = labels.points - at[..., :2] - state.shift[:, None]
    error = np.ascontiguousarray(np.swapaxes(far * labels.weights[..., None], 1, 2))
    _turn(problem, error, contact)
    return error


def _turn(problem: Problem, rows: Doubles, contact: Contact) -> None:
    """Change (x, y) on the contour to (across, slide times along), in place. Shape (F, 2, P, ...)."""
    if not len(problem.contour):
        return
    x, y = rows[:, 0, problem.contour], rows[:, 1, problem.contour]
    more = (..., *[None] * (x.ndim - 2))
    across, along = contact.normal[..., 0][more], contact.normal[..., 1][more]
    rows[:, 0, problem.contour] = across * x + along * y
    rows[:, 1, problem.contour] = contact.slide[more] * (across * y - along * x)


def _cost(problem: Problem, state: State, error: Doubles) -> Doubles:
    cost: Doubles = (error**2).sum((1, 2)) + (state.coefficients**2) @ problem.precision
    return cost


def _moved(
    problem: Problem, labels: Labels, state: State, view: tuple[Doubles, Contact, Doubles, Doubles], pose_alone: bool
) -> State:
    """The state after one damped step."""
    at, contact, error, damping = view
    jacobian = _jacobian(problem, labels, state, (at, contact), pose_alone)
    faces, size = len(at), jacobian.shape[-1]
    rows = jacobian.reshape(faces, -1, size)
    normal_matrix = np.swapaxes(rows, 1, 2) @ rows
    downhill = (error.reshape(faces, 1, -1) @ rows)[:, 0]
    diagonal = np.einsum("fii->fi", normal_matrix)
    if not pose_alone:
        c, bounded = state.coefficients, POSE + problem.identities
        diagonal[:, POSE:] += problem.precision
        downhill[:, POSE:] -= problem.precision * c
        weight, force = c[:, problem.identities :], downhill[:, bounded:]
        diagonal[:, bounded:] += 1e9 * (((weight <= 0) & (force <= 0)) | ((weight >= 1) & (force >= 0)))
    diagonal *= 1 + damping[:, None]
    step: Doubles = np.asarray(np.linalg.solve(normal_matrix, downhill[..., None]), np.float64)[..., 0]
    coefficients = state.coefficients
    if not pose_alone:
        coefficients = coefficients + step[:, POSE:]
        coefficients[:, problem.identities :] = coefficients[:, problem.identities :].clip(0, 1)
    return State(
        state.scale * np.exp(step[:, 0].clip(-1, 1)),
        rotation_about(step[:, 1:4]) @ state.rotation,
        state.shift + step[:, 4:POSE] * state.scale[:, None],
        coefficients,
    )


def _jacobian(
    problem: Problem, labels: Labels, state: State, view: tuple[Doubles, Contact], pose_alone: bool
) -> Doubles:
    """Negative derivatives of `_errors` by log scale, rotation vector, shift over scale, coefficients.

    Shape (F, 2, P, 6 + N).
    """
    at, contact = view
    faces, count, size = len(at), len(problem.rows), POSE + (0 if pose_alone else len(problem.modes))
    jacobian = np.zeros((faces, 2, count, size))
    x, y, z = np.moveaxis(at, -1, 0)
    jacobian[:, 0, :, 0], jacobian[:, 1, :, 0] = x, y
    jacobian[:, 1, :, 1], jacobian[:, 0, :, 2] = -z, z
    jacobian[:, 0, :, 3], jacobian[:, 1, :, 3] = -y, x
    jacobian[:, 0, :, 4] = jacobian[:, 1, :, 5] = state.scale[:, None]
    if not pose_alone:
        camera = state.scale[:, None, None] * state.rotation[:, :2]  # (F, 2, 3)
        modes = problem.modes[:, problem.rows[:, 0]].transpose(2, 1, 0)  # (3, P, N)
        flat = camera.reshape(-1, 3) @ modes.reshape(3, -1)
        jacobian[..., POSE:] = flat.reshape(faces, 2, count, -1)
        contour = problem.contour
        if problem.rows.shape[1] > 1 and len(contour):
            vertices = problem.rows[contour, contact.picked[:, contour]]  # (F, C)
            modes = problem.modes.transpose(1, 2, 0)[vertices]  # (F, C, 3, N)
            jacobian[:, :, contour, POSE:] = np.swapaxes(camera[:, None] @ modes, 1, 2)
    jacobian *= labels.weights[:, None, :, None]
    _turn(problem, jacobian, contact)
    return jacobian
