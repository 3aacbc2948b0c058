import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.data.sample import Lazy, Sample, split_by_identity
from canthus.errors import DataError, ReadError, ShapeError


def sample(identity: str = "someone", **values) -> Sample:
    return Sample(Path(f"{identity}.jpg"), np.zeros((5, 2)), "5", identity, **values)


def test_the_picture_is_the_file(tmp_path):
    pixels = np.full((3, 4, 3), (10, 20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    assert np.array_equal(Sample(tmp_path / "a.png", np.zeros((5, 2)), "5", "a").picture(), pixels)


def test_the_picture_is_what_pixels_reads():
    pixels = np.zeros((3, 4, 3), np.uint8)
    assert sample(pixels=lambda: pixels).picture() is pixels


def test_a_missing_picture_is_named():
    with pytest.raises(ReadError, match=r"someone\.jpg"):
        sample().picture()


def test_boxed_takes_a_box_of_the_set():
    box = np.array([1, 2, 3, 4], np.float32)
    before = sample(boxes={"jitter": box})
    assert before.boxed("jitter").box is box
    assert before.box is None


def test_boxed_lists_what_there_is():
    with pytest.raises(DataError, match=r"no box is called 'set'.*jitter, tight"):
        sample(boxes={"tight": np.zeros(4), "jitter": np.zeros(4)}).boxed("set")
    with pytest.raises(DataError, match="none but the box of its points"):
        sample().boxed("set")


@pytest.mark.parametrize("shape", [(136,), (68, 4), (1, 68, 2)])
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match=r"x\.jpg.*\(P, 2\)"):
        Sample(Path("x.jpg"), np.zeros(shape), "68", "x")


identities = st.lists(st.text(max_size=4), max_size=40)


@given(identities, st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any))
def test_no_identity_is_on_two_sides(names, shares):
    samples = [sample(name) for name in names]
    parts = split_by_identity(samples, np.array(shares) / sum(shares))
    sides = [{one.identity for one in part} for part in parts]
    assert sum(map(len, sides)) == len(set(names))
    assert sorted(map(id, samples)) == sorted(id(one) for part in parts for one in part)


@settings(max_examples=25)
@given(identities, identities)
def test_more_samples_move_none_of_the_old_ones(names, more):
    old = split_by_identity([sample(name) for name in names], (0.7, 0.2, 0.1))
    new = split_by_identity([sample(name) for name in names + more], (0.7, 0.2, 0.1))
    for before, after in zip(old, new, strict=True):
        assert {one.identity for one in before} <= {one.identity for one in after}


def test_parts_have_about_the_shares_asked_for():
    parts = split_by_identity([sample(f"person {number}") for number in range(2000)], (0.8, 0.15, 0.05))
    assert [len(part) / 2000 for part in parts] == pytest.approx([0.8, 0.15, 0.05], abs=0.03)


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.2, -0.2)])
def test_shares_that_do_not_add_up_are_refused(shares):
    with pytest.raises(ShapeError, match="add up to 1"):
        split_by_identity([], shares)


def numbered(number: int) -> Sample:
    return Sample(Path(f"{number}.jpg"), np.full((5, 2), number), "5", str(number))


def test_nothing_is_read_before_it_is_asked_for():
    asked = []

    def spy(number: int) -> Sample:
        asked.append(number)
        return numbered(number)

    samples = Lazy(range(1000), spy)
    assert len(samples) == 1000
    assert samples[7].identity == "7"
    assert samples[-1].identity == "999"
    assert asked == [7, 999]


def test_a_slice_stays_lazy():
    part = Lazy(range(10), numbered)[2:8:3]
    assert isinstance(part, Lazy)
    assert [sample.identity for sample in part] == ["2", "5"]


def test_it_can_be_sent_to_a_worker():
    samples = pickle.loads(pickle.dumps(Lazy([3, 4], numbered)))
    assert [sample.points[0, 0] for sample in samples] == [3, 4]
