import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.geometry.crop import box_frames, crop_matrix
from canthus.geometry.transform import apply, scale_of
from canthus.train.augment import blur, cut, jitter_matrices, occlude, relight, shrink, vary
from canthus.train.recipe import Augment

BOX = np.float32([40, 50, 100, 120])
FRAMES = box_frames(BOX[None])
STILL = Augment(rotation=0, scale=1, shift=0, stretch=1)


def test_without_settings_the_crop_is_the_one_at_run_time() -> None:
    (matrix,), (angle,) = jitter_matrices(FRAMES, 64, 1.3, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(matrix, crop_matrix(BOX, 64, 1.3), atol=1e-9)
    assert angle == 0


@given(st.integers(0, 10_000))
def test_the_box_stays_within_what_the_settings_allow(seed: int) -> None:
    settings = Augment()
    (matrix,), (angle,) = jitter_matrices(FRAMES, 64, 1.3, settings, np.random.default_rng(seed))
    scale = float(scale_of(matrix)) * 70 * 1.3 / 64
    assert 1 / settings.scale - 1e-6 <= scale <= settings.scale + 1e-6
    assert abs(angle) <= 3 * settings.rotation
    centre = apply(matrix, np.array([[70.0, 85.0]]))[0]
    assert (
        np.abs(centre - 31.5).max() <= 3 * settings.shift * 70 * scale_of(matrix) * settings.stretch * np.sqrt(2) + 1e-6
    )


def test_points_follow_the_picture() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    point = np.float32([[70, 90]])
    cv2.circle(image, (70, 90), 3, (255, 255, 255), -1)
    rng = np.random.default_rng(5)
    for _ in range(20):
        (matrix,), _ = jitter_matrices(FRAMES, 96, 1.3, Augment(), rng)
        crop, points = cut(image, matrix, 96, point)
        ys, xs = np.mgrid[:96, :96]
        weight = crop[..., 0].astype(float)
        found = np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()
        assert np.abs(found - points[0]).max() < 0.3


@pytest.mark.parametrize("change", ["relight", "shrink", "blur", "occlude", "vary"])
def test_changes_change_what_they_return_alone(change: str, rng: np.random.Generator) -> None:
    """Shape and type stay, the crop that is given is not written to, and nearly every result differs from it."""
    crop = rng.integers(0, 256, (48, 48, 3), np.uint8)
    other = rng.integers(0, 256, (20, 300, 3), np.uint8)
    before, changed = crop.copy(), 0
    for _ in range(50):
        out = {
            "relight": lambda: relight(crop, 0.8, rng),
            "shrink": lambda: shrink(crop, rng),
            "blur": lambda: blur(crop, rng),
            "occlude": lambda: occlude(crop, rng, other),
            "vary": lambda: vary(crop, Augment(), rng, other),
        }[change]()
        assert out.shape == crop.shape
        assert out.dtype == np.uint8
        changed += not np.array_equal(out, before)
    assert np.array_equal(crop, before)
    assert changed > 40


def test_each_change_has_a_probability(rng: np.random.Generator) -> None:
    """At 0 a crop stays as it is; at 1 each of them alone changes it; grey has no colour, light depends on strength."""
    crop, other = rng.integers(0, 256, (48, 48, 3), np.uint8), rng.integers(0, 256, (20, 300, 3), np.uint8)
    none = STILL.model_copy(update=dict.fromkeys(("light", "grey", "blur", "shrink", "jpeg", "noise", "occlude"), 0.0))
    assert np.array_equal(vary(crop, none, rng, other), crop)
    for name in ("light", "grey", "blur", "shrink", "jpeg", "noise", "occlude"):
        found = [vary(crop, none.model_copy(update={name: 1.0}), rng, other) for _ in range(10)]
        assert sum(not np.array_equal(one, crop) for one in found) > 7, name
        assert (name == "grey") == all((np.ptp(one, axis=2) == 0).all() for one in found), name
    weak, strong = (none.model_copy(update={"light": strength}) for strength in (0.1, 1.0))
    moved = [
        np.mean([np.abs(vary(crop, settings, rng, other).astype(int) - crop) for _ in range(20)])
        for settings in (weak, strong)
    ]
    assert moved[0] < moved[1] / 2


def test_blur_and_shrink_keep_the_mean(rng: np.random.Generator) -> None:
    crop = rng.integers(0, 256, (48, 48, 3), np.uint8)
    for _ in range(20):
        assert abs(blur(crop, rng).mean() - crop.mean()) < 4
        assert abs(shrink(crop, rng).mean() - crop.mean()) < 4
