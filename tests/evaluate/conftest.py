import numpy as np
import pytest

from canthus.schemes.scheme import Scheme


@pytest.fixture(scope="session")
def scheme() -> Scheme:
    return Scheme.open("68")


@pytest.fixture(scope="session")
def make_faces():
    """Faces (F, 68, 2) about 100 px wide that differ in place, size, turn and expression, from a seed."""

    def make(count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        angle = np.linspace(np.pi, 0, 17)
        jaw = np.stack([50 * np.cos(angle), 60 * np.sin(angle)], 1)
        brows = [
            (x, -20 - 4 * np.sin(np.pi * i / 4))
            for side in (-35, 11)
            for i, x in enumerate(np.linspace(side, side + 24, 5))
        ]
        nose = [(0, y) for y in (-5, 3, 11, 19)] + [(x, 25) for x in (-8, -4, 0, 4, 8)]
        eye = [(-10, 0), (-4, -3), (4, -3), (10, 0), (4, 3), (-4, 3)]
        eyes = [(x + side, y - 5) for side in (-22, 22) for x, y in eye]
        outer = [(18 * np.cos(a), 40 + 8 * np.sin(a)) for a in np.linspace(-np.pi, np.pi, 13)[:-1]]
        inner = [(14 * np.cos(a), 40 + 3 * np.sin(a)) for a in np.linspace(-np.pi, np.pi, 9)[:-1]]
        face = np.concatenate([jaw, brows, nose, eyes, outer, inner])
        turn = rng.uniform(-0.3, 0.3, count)
        rotation = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], 1).reshape(count, 2, 2)
        shapes = face + rng.normal(0, 0.8, (count, 68, 2))
        size, place = rng.uniform(0.7, 1.5, (count, 1, 1)), rng.uniform(80, 160, (count, 1, 2))
        return size * shapes @ rotation + place

    return make
