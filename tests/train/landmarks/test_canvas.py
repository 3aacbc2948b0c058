import cv2
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from canthus.geometry.crop import warp
from canthus.geometry.transform import compose, similarity
from canthus.train.landmarks.canvas import Canvas
from canthus.train.landmarks.loader import Drawn, Pictures
from canthus.train.recipe import Augment

STILL = Augment(light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0)


def pictures() -> list[np.ndarray]:
    """Smooth pictures of different sizes: interpolation in other arithmetic gives nearly the same."""
    rng = np.random.default_rng(7)
    small = [rng.integers(0, 256, (8, 9, 3), np.uint8) for _ in range(4)]
    sizes = ((90, 70), (61, 120), (140, 141), (33, 35))
    return [cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one, size in zip(small, sizes, strict=True)]


def drawn(angles: list[float], scale: float, shift: float, flip: list[bool], size: int = 48) -> Drawn:
    middle = (size - 1) / 2
    matrices = [
        compose(similarity(scale, angle, (middle + shift, middle)), similarity(shift=(-35, -30))) for angle in angles
    ]
    return Drawn(np.arange(4), np.stack(matrices), np.array(flip), size)


@given(
    st.lists(st.floats(-180, 180), min_size=4, max_size=4),
    st.floats(0.55, 2),
    st.floats(-40, 40),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_crops_are_those_of_opencv(angles: list[float], scale: float, shift: float, flip: list[bool]) -> None:
    """OpenCV rounds positions to 1/32 pixel, so crops differ by a little, at borders by more."""
    batch = drawn(angles, scale, shift, flip)
    found = Canvas(pictures(), torch.device("cpu")).warped(batch).permute(0, 2, 3, 1).numpy()
    for crop, picture, matrix, mirrored in zip(found, pictures(), batch.matrices, flip, strict=True):
        wanted = warp(picture, matrix, 48).astype(float)
        difference = np.abs((crop[:, ::-1] if mirrored else crop) - wanted)
        assert np.median(difference) < 1 and difference.mean() < 1.5


def test_fine_pictures_are_averaged() -> None:
    """Stripes of one pixel become grey where a crop has a third of the resolution, as `warp` has it."""
    stripes = np.zeros((150, 150, 3), np.uint8)
    stripes[:, ::2] = 255
    batch = Drawn(np.zeros(1, np.int64), similarity(1 / 3)[None], np.array([False]), 48)
    crop = Canvas([stripes], torch.device("cpu")).warped(batch)[0, :, 2:-2, 2:-2]
    assert float(crop.min()) > 60 and float(crop.max()) < 200


def test_both_cutters_give_the_same_crops_where_nothing_is_varied() -> None:
    class Pool:
        images = pictures()

    batch, rng = drawn([0, 20, -30, 90], 0.8, 3, [True, False, True, False]), np.random.default_rng(0)
    one = Pictures(Pool()).cut(batch, STILL, rng).float()  # type: ignore[arg-type]
    many = Canvas(Pool.images, torch.device("cpu")).cut(batch, STILL, rng).float()
    assert one.shape == many.shape == (4, 48, 48, 3)
    assert float((one - many).abs().mean()) < 1
