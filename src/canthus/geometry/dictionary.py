"""Dictionaries of face shapes: learnt by K-SVD, searched by the reliable points of a face, which then give the others.

score_guided, sections 3.2 and 3.3; K-SVD after [Aharon et al., 2006], sparse codes by orthogonal matching pursuit.
Laws (tested): shapes of the dictionary are found again from any of their points; weights times a factor change nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.shape import ShapeModel

Doubles = NDArray[np.float64]


def sparse_codes(atoms: NDArray[Any], signals: NDArray[Any], sparsity: int) -> Doubles:
    """Codes of signals by orthogonal matching pursuit.

    Args:
        atoms: Atoms of length 1. Shape (K, D).
        signals: Signals. Shape (N, D).
        sparsity: Largest number of atoms of a signal.

    Returns:
        Coefficients, `codes @ atoms` is near the signals. Shape (N, K).
    """
    atoms, signals = np.asarray(atoms, np.float64), np.asarray(signals, np.float64)
    count, rows = len(signals), np.arange(len(signals))
    chosen = np.zeros((count, 0), np.intp)
    rest, values = signals, np.zeros((count, 0))
    for _ in range(min(sparsity, len(atoms), atoms.shape[1])):
        fit = np.abs(rest @ atoms.T)
        np.put_along_axis(fit, chosen, -1.0, 1)
        chosen = np.column_stack([chosen, fit.argmax(1)])
        basis = atoms[chosen]  # (N, s, D)
        gram = basis @ basis.transpose(0, 2, 1) + 1e-12 * np.eye(chosen.shape[1])
        values = np.linalg.solve(gram, (basis @ signals[:, :, None]))[..., 0]
        rest = signals - (values[:, None] @ basis)[:, 0]
    codes = np.zeros((count, len(atoms)))
    codes[rows[:, None], chosen] = values
    return codes


def k_svd(signals: NDArray[Any], atoms: int, sparsity: int = 1, rounds: int = 10, seed: int = 0) -> Doubles:
    """Learn atoms of which signals are sparse sums [Aharon et al., 2006].

    Args:
        signals: Signals, N > 0. Shape (N, D).
        atoms: Number of atoms K; at most N.
        sparsity: Number of atoms of a signal.
        rounds: Number of iterations.
        seed: Seed of the signals that the atoms begin with.

    Returns:
        Atoms of length 1. Shape (K, D).

    Raises:
        ShapeError: no signals, or no atoms.
    """
    signals = np.asarray(signals, np.float64)
    if signals.ndim != 2 or not len(signals) or not np.isfinite(signals).all() or atoms < 1 or sparsity < 1:
        raise ShapeError(f"atoms are learnt from signals (N, D) without NaN, N > 0, not {signals.shape}")
    first = np.random.default_rng(seed).permutation(len(signals))[:atoms]
    learnt = _unit(signals[first])
    for _ in range(rounds):
        codes = sparse_codes(learnt, signals, sparsity)
        rest = signals - codes @ learnt
        for atom in range(len(learnt)):
            used = np.flatnonzero(codes[:, atom])
            if not len(used):
                worst = (rest**2).sum(1).argmax()
                learnt[atom] = _unit(signals[worst][None])[0]
                rest[worst] = 0
                continue
            own = rest[used] + np.outer(codes[used, atom], learnt[atom])
            left, stretch, right = np.linalg.svd(own, full_matrices=False)
            sign = 1.0 if left[:, 0].sum() >= 0 else -1.0
            learnt[atom], codes[used, atom] = sign * right[0], sign * stretch[0] * left[:, 0]
            rest[used] = own - np.outer(codes[used, atom], learnt[atom])
    return learnt


def _unit(signals: Doubles) -> Doubles:
    unit: Doubles = signals / np.maximum(np.linalg.norm(signals, axis=1, keepdims=True), 1e-12)
    return unit


def rebuild(exemplars: NDArray[Any], shapes: NDArray[Any], weights: NDArray[Any], nearest: int) -> Doubles:
    """Shapes as sums of their nearest exemplars: eq. 2, and least squares on the weighted points.

    The coefficients of the exemplars add up to 1, so that the sum is a face; they are found with a small ridge, since
    few reliable points do not determine many exemplars.

    Args:
        exemplars: Shapes of the dictionary. Shape (K, P, 2).
        shapes: Shapes in the frame of the dictionary. Shape (F, P, 2).
        weights: Weight of each point, 0 or more. Shape (F, P).
        nearest: Number of exemplars; at most all are taken.

    Returns:
        Shape (F, P, 2); a shape whose weights are all 0 is returned as it is.

    Raises:
        ShapeError: the array shapes do not fit, or the dictionary is empty.
    """
    exemplars, shapes, weights = (np.asarray(array, np.float64) for array in (exemplars, shapes, weights))
    if not len(exemplars) or exemplars.shape[1:] != shapes.shape[1:] or weights.shape != shapes.shape[:2]:
        raise ShapeError(f"exemplars {exemplars.shape}, shapes {shapes.shape} and weights {weights.shape} do not fit")
    share = weights / np.maximum(weights.sum(1, keepdims=True), 1e-12)
    flat, atoms = shapes.reshape(len(shapes), -1), exemplars.reshape(len(exemplars), -1)
    doubled = np.repeat(share, shapes.shape[2], 1)  # (F, 2 P)
    far = doubled @ (atoms**2).T - 2 * (doubled * flat) @ atoms.T  # squared distances up to a constant of the face
    count = min(nearest, len(atoms))
    chosen = np.argpartition(far, count - 1, 1)[:, :count]
    basis = atoms[chosen]  # (F, k, 2 P)
    first = basis.mean(1)
    edges = basis - first[:, None]
    weighted = edges * doubled[:, None]
    gram = weighted @ edges.transpose(0, 2, 1)
    ridge = 1e-3 * np.trace(gram, axis1=1, axis2=2) / count + 1e-12
    gram += ridge[:, None, None] * np.eye(count)
    values = np.linalg.solve(gram, weighted @ (flat - first)[:, :, None])[..., 0]
    found: Doubles = (first + (values[:, None] @ edges)[:, 0]).reshape(shapes.shape)
    blind = weights.sum(1) <= 0
    found[blind] = shapes[blind]
    return found


@dataclass(frozen=True, eq=False)
class ShapePosterior:
    """Shapes under a Gaussian prior, given points that are noisy to a known degree.

    Attributes:
        model: Mean and modes of the prior.
        rest: Variance of each coordinate that the modes leave.
    """

    model: ShapeModel
    rest: float

    def mean(self, shapes: NDArray[Any], spread: NDArray[Any]) -> Doubles:
        """Posterior means.

        Args:
            shapes: Measured shapes in the frame of the prior. Shape (F, P, 2).
            spread: Standard deviation of each coordinate of a point in that frame; infinite = not measured.
                Shape (F, P).

        Returns:
            Shape (F, P, 2).
        """
        shapes = np.asarray(shapes, np.float64)
        noise = np.repeat(np.asarray(spread, np.float64) ** 2, shapes.shape[2], 1)  # (F, 2 P)
        precision = 1 / (noise + self.rest)
        modes = self.model.modes
        gap = shapes.reshape(len(shapes), -1) - self.model.mean.reshape(-1)
        gram = np.einsum("kd,fd,ld->fkl", modes, precision, modes, optimize=True)
        gram += np.diag(1 / self.model.deviations**2)
        values = np.linalg.solve(gram, ((precision * gap) @ modes.T)[..., None])[..., 0]
        shared = values @ modes
        kept = self.rest * precision * (gap - shared)  # the part of each point that is its own
        found: Doubles = (shared + kept).reshape(shapes.shape) + self.model.mean
        return found
