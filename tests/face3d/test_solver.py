"""The solver's parts against differences, and rotations against OpenCV."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from canthus.face3d import solver
from canthus.face3d.fit import Fitter
from canthus.face3d.solver import Labels, State
from canthus.geometry.pose import rotation


@pytest.fixture
def problem(toy):
    return Fitter(toy.model, "68")._problem


def state_of(problem, rng, faces=2):
    pose = rng.uniform(-40, 40, (faces, 3))
    coefficients = rng.uniform(0, 1, (faces, len(problem.modes)))
    return State(rng.uniform(10, 30, faces), rotation(pose), rng.uniform(0, 99, (faces, 2)), coefficients)


def test_the_jacobian_is_the_derivative_of_the_errors(problem, rng):
    problem = replace(problem, offset=rng.normal(size=problem.offset.shape))
    state = state_of(problem, rng)
    labels = Labels(rng.uniform(0, 300, (2, 68, 2)), rng.uniform(0, 2, (2, 68)))
    contact = solver._touch(problem, state)

    def errors(step):
        scale, turn = state.scale * np.exp(step[0]), cv2.Rodrigues(step[1:4])[0] @ state.rotation
        shift = state.shift + step[4:6] * state.scale[:, None]
        moved = State(scale, turn, shift, state.coefficients + step[6:])
        seen = moved.project(problem.shape(moved.coefficients))
        return solver._errors(problem, labels, moved, solver._placed(problem, moved, seen, contact), contact)

    at = solver._placed(problem, state, state.project(problem.shape(state.coefficients)), contact)
    found = solver._jacobian(problem, labels, state, (at, contact), False)
    for index in range(found.shape[-1]):
        step = np.zeros(found.shape[-1])
        step[index] = 1e-5
        assert (errors(-step) - errors(step)) / 2e-5 == pytest.approx(found[..., index], rel=1e-4, abs=1e-3)
    alone = solver._jacobian(problem, labels, state, (at, contact), True)
    assert alone == pytest.approx(found[..., :6])


def test_no_step_raises_the_cost(problem, rng, toy, make_faces):
    """Also from a start far away: expressions stay within bounds, the end is better than the start."""
    faces = make_faces(toy.model, rng.uniform(-30, 30, (4, 3)), rng)
    labels = Labels(faces.labels, np.full((4, 68), 0.5))
    start = state_of(problem, rng, 4)
    costs = []
    for iterations in (1, 2, 4, 8, 30):
        state, placed = solver.solve(problem, labels, start, iterations)
        contact = solver._touch(problem, state)
        at = placed - np.pad(state.shift, ((0, 0), (0, 1)))[:, None]
        costs.append(solver._cost(problem, state, solver._errors(problem, labels, state, at, contact)))
        weights = state.coefficients[:, problem.identities :]
        assert weights.min() >= 0
        assert weights.max() <= 1
        assert np.linalg.det(state.rotation) == pytest.approx(np.ones(4))
    assert (costs[-1] < 0.1 * costs[0]).all()
