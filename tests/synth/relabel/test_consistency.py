"""Left and right of symmetric heads in any pose; a picture that moves with its labels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.geometry.transform import apply, similarity
from canthus.schemes.scheme import Scheme
from canthus.synth.relabel.consistency import follow, skew

SCHEME = Scheme.open("68")


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-80, 80), st.floats(-60, 60))
def test_a_symmetric_head_is_not_skew_in_any_pose(seed, yaw, pitch):
    rng = np.random.default_rng(seed)
    head = rng.normal(0, 5, (68, 3))
    head = (head + SCHEME.mirrored(head, 1)) / 2
    turn = cv2.Rodrigues(np.deg2rad((pitch, yaw, 10.0)))[0]
    assert skew((head @ turn.T)[None, :, :2], np.ones(1), SCHEME)[0] < 1e-9


def test_skew_grows_with_noise(rng):
    head = rng.normal(0, 5, (68, 2))
    heads = np.broadcast_to((head + SCHEME.mirrored(head, 1)) / 2, (2000, 68, 2))
    off = skew(heads + rng.normal(0, 0.1, heads.shape), np.full(2000, 2.0), SCHEME).mean()
    # one axis of the difference of two errors, halved; one direction of 22 pairs is fitted
    wanted = 0.1 * np.sqrt(2) * np.sqrt(2 / np.pi) / 2 / 2
    np.testing.assert_allclose(off, wanted, rtol=0.06)


def test_half_a_face_has_no_other_side():
    with pytest.raises(ShapeError, match="half a face"):
        skew(np.zeros((1, 39, 2)), np.ones(1), Scheme.open("39_left"))


def test_labels_that_follow_the_picture_do_not_miss_and_others_do(rng):
    picture = cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3)).astype(np.uint8), (0, 0), 4)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    place = similarity(1.05, 4.0, (3.0, -5.0))
    moved = cv2.warpAffine(picture, place, (200, 200), borderMode=cv2.BORDER_REFLECT)
    labels = rng.uniform(60, 140, (68, 2))
    followed = follow(picture, moved, labels, apply(place, labels))
    good = followed.miss(labels, apply(place, labels))
    assert np.isfinite(good).mean() > 0.8 and np.nanmedian(good) < 0.3
    bad = followed.miss(labels, apply(place, labels) + np.array([3.0, 4.0]))
    np.testing.assert_allclose(np.nanmedian(bad), 5.0, atol=0.4)


def test_flow_is_not_believed_where_the_other_frame_shows_something_else(rng):
    first, second = (cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3)).astype(np.uint8), (0, 0), 3) for _ in "ab")
    labels = rng.uniform(60, 140, (68, 2))
    assert np.isnan(follow(first, second, labels, labels).miss(labels, labels)).mean() > 0.3
