"""A face that is drawn by its patch alone looks as if the whole picture had been warped."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.geometry.crop import warp
from canthus.geometry.transform import apply, compose, similarity
from canthus.train.augment import noisy, streak
from canthus.train.detection.paste import KEPT, Pasted, mix, paste
from canthus.train.recipe import Augment

SIZE = 128
NONE = Augment(flip=0, light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0, stretch=1)


def smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A picture whose neighbouring pixels differ little, brighter than 60 everywhere."""
    coarse = rng.integers(60, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


@given(
    st.integers(0, 10_000), st.floats(0.3, 2), st.floats(-180, 180), st.floats(-20, 148), st.sampled_from([np.inf, 0.8])
)
def test_a_patch_shows_what_a_warp_of_the_whole_picture_shows(
    seed: int, scale: float, turn: float, at: float, reach: float
) -> None:
    """The frame of the photograph, cut to a square or disc around the face: the warp; outside and on others: as before.

    Masks are drawn in whole pixels and may be blurred, so pixels near an edge of the mask are left out.
    """
    rng = np.random.default_rng(seed)
    image, ground = smooth(rng, 90, 70), np.full((SIZE, SIZE, 3), 20, np.uint8)
    middle, half = np.array([at, SIZE - at]), 20 * scale
    matrix = compose(similarity(scale, turn, (at, SIZE - at)), similarity(shift=(-35, -45)))
    other = np.array([40, 40, 60, 70], np.float32)
    face = Pasted(image, matrix, np.concatenate([middle - half, middle + half]), turn, reach, [other])
    canvas = ground.copy()
    paste(canvas, face, NONE, rng, [])

    rows, columns = np.mgrid[:SIZE, :SIZE]
    pixels = np.stack([columns, rows], -1).reshape(-1, 2).astype(np.float64)
    back = apply(similarity(1, -turn), pixels - middle) / scale  # from the middle of the photograph, in its pixels
    outside = np.maximum(np.abs(back) - [35, 45], 0).max(1) * scale
    near = (np.abs(np.abs(back) - [35, 45]) * scale < 12).any(1)
    seen = (outside == 0) & ~near
    if np.isfinite(reach):
        seen &= np.linalg.norm(pixels - middle, axis=1) < 2 * half * reach - 12
    kept = np.abs(pixels - (other[:2] + other[2:]) / 2) - KEPT * (other[2:] - other[:2]) / 2
    inside_other, beside_other = (kept < -12).all(1), (kept > 12).any(1)
    found = canvas.reshape(-1, 3).astype(int)
    whole = warp(image, matrix, SIZE).reshape(-1, 3).astype(int)
    assert np.abs(found - whole)[seen & beside_other].max(initial=0) <= 3
    untouched = inside_other | (outside > 12)
    if np.isfinite(reach):
        untouched |= np.linalg.norm(pixels - middle, axis=1) > 2 * half * reach * np.sqrt(2) + 12
    assert np.abs(found - 20)[untouched].max(initial=0) <= 1


def test_a_blend_is_the_weighted_mean(rng: np.random.Generator) -> None:
    patch, target = (rng.integers(0, 256, (40, 30, 3), np.uint8) for _ in range(2))
    share = rng.integers(0, 256, (40, 30), np.uint8)
    expected = (patch * (share[..., None] / 255) + target * (1 - share[..., None] / 255.0)).round()
    canvas = np.zeros((60, 60, 3), np.uint8)
    canvas[7:47, 9:39] = target
    mix(canvas[7:47, 9:39], patch, share)
    assert np.abs(canvas[7:47, 9:39] - expected).max() <= 1
    assert canvas[:7].max() == canvas[47:].max() == canvas[:, :9].max() == canvas[:, 39:].max() == 0


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 160.0])
def test_motion_blur_spreads_a_point_along_its_line(angle: float) -> None:
    crop = np.zeros((61, 61, 3), np.uint8)
    crop[30, 30] = 255
    found = streak(crop, 5, angle)[..., 0].astype(float)
    y, x = np.nonzero(found)
    way, weight = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]), found[y, x] / 255
    places = np.stack([x - 30, y - 30], 1)
    along, across = places @ way, places @ [-way[1], way[0]]
    assert weight.sum() == pytest.approx(1, abs=0.03) and np.abs(across).max() <= np.sqrt(0.5)
    assert weight @ along == pytest.approx(0, abs=1e-6)
    assert np.sqrt(weight @ along**2) == pytest.approx(np.sqrt(10), abs=0.3), "deviation of eleven steps of one pixel"


def test_noise_is_normal_and_differs_between_crops(rng: np.random.Generator) -> None:
    crop = np.full((96, 96, 3), 128, np.uint8)
    one, other = (noisy(crop, 10.0, rng).astype(float) - 128 for _ in range(2))
    for noise in (one, other):
        assert abs(noise.mean()) < 0.3 and abs(noise.std() - 10) < 0.3
        assert abs((np.abs(noise) < 10).mean() - 0.683) < 0.03  # rounded to whole numbers
    assert abs((one * other).mean()) < 2
    bright = noisy(np.full((96, 96, 3), 254, np.uint8), 14.0, rng)
    assert (bright == 255).mean() > 0.4 and bright.min() > 150
