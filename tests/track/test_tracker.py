"""The tracker on pictures of dots, with a detector and networks that see the dots."""

from pathlib import Path

import numpy as np
import pytest

from canthus.align.stage import System
from canthus.errors import InputError, ShapeError
from canthus.geometry.crop import unit_mean
from canthus.reader.frame import Frame
from canthus.schemes.scheme import Scheme
from canthus.track.fitter import Fitter
from canthus.track.state import State
from canthus.track.tracker import Tracker
from dots import SHAPE, DotDetector, DotScorer, picture, system, tracker


def test_a_face_is_new_then_tracked_and_the_detector_rests() -> None:
    one = tracker(every=10)
    steps = [one.step(picture((100 + 2 * at, 100))) for at in range(25)]
    assert [step.faces.identity.tolist() for step in steps] == [[1.0]] * 25
    assert [step.states[0] for step in steps[:4]] == [State.NEW, State.NEW, State.TRACKED, State.TRACKED]
    assert one._detector.calls == 3  # type: ignore[attr-defined]
    assert [event.reason for step in steps for event in step.events] == [
        "detected, face score 1.00",
        "fitted in 3 frames",
    ]
    assert str(steps[2].events[0]) == "frame 2, 0.08 s: face 1: new -> tracked (fitted in 3 frames)"
    last = steps[-1].faces
    assert np.abs(last.points[0] - (SHAPE + np.float32([148, 100]))).max() < 4 and last.scheme == "5"


def test_a_face_that_leaves_and_returns_has_its_identity_within_its_time() -> None:
    one = tracker(every=6)
    shown = [picture((100, 100))] * 5 + [picture()] * 40 + [picture((110, 104))] * 6
    steps = [one.step(image) for image in shown]
    states = [event.after for step in steps for event in step.events]
    assert states == [State.NEW, State.TRACKED, State.UNCERTAIN, State.LOST, State.FOUND, State.TRACKED]
    assert steps[-1].faces.identity.tolist() == [1] and "after 1." in str(
        next(event for step in steps for event in step.events if event.after is State.FOUND)
    )
    assert len(steps[30].faces) == 0, "a lost face is not reported"
    shown = [picture()] * 140 + [picture((110, 104))] * 6
    steps = [one.step(image) for image in shown]
    assert steps[-1].faces.identity.tolist() == [2], "its time was over"
    assert any("not found for 5.0" in event.reason for step in steps for event in step.events)


def test_a_cut_loses_all_faces_at_once_and_the_scene_brings_them_back() -> None:
    one, home, away = tracker(every=50), picture((100, 100)), picture((220, 160), scene=1)
    steps = [one.step(image) for image in [home] * 5 + [away] * 5 + [home] * 5]
    assert [step.faces.identity.tolist() for step in steps] == [[1]] * 5 + [[2]] * 5 + [[1]] * 5
    assert steps[5].events[0].reason == "a cut"


def test_another_face_at_the_same_place_of_another_scene_is_another() -> None:
    one, home, away = tracker(every=50), picture((100, 100)), picture((100, 100), scene=1)
    steps = [one.step(image) for image in [home] * 5 + [away] * 5 + [home] * 5 + [away] * 5]
    assert [step.faces.identity.tolist() for step in steps] == [[1]] * 5 + [[2]] * 5 + [[1]] * 5 + [[2]] * 5


def test_a_face_that_is_hidden_at_a_cut_is_not_found_in_the_other_scene() -> None:
    one, hidden, away = tracker(every=3), picture(), picture((100, 100), scene=1)
    steps = [one.step(image) for image in [picture((100, 100))] * 5 + [hidden] * 12 + [away] * 5]
    assert steps[4].faces.identity.tolist() == [1] and steps[-1].faces.identity.tolist() == [2]


@pytest.mark.parametrize("front", [0, 1])
def test_faces_that_cross_keep_their_identities(front: int) -> None:
    """Whichever is hidden; the tracker takes the points of the front one for those of both."""
    one = tracker(every=5)
    for at in range(61):
        ways = [(70 + 3 * at, 100), (250 - 3 * at, 104)]
        hidden = abs(ways[0][0] - ways[1][0]) < 40
        image = picture(*([ways[front]] if hidden else ways))
        step = one.step(image)
    order = np.argsort(step.faces.points[:, :, 0].mean(1))
    assert step.faces.identity[order].tolist() == [2, 1], "the second has gone to the left"


def test_a_face_keeps_its_identity_when_the_picture_changes_its_size() -> None:
    one = tracker()
    small = np.ascontiguousarray(picture((100, 100)))
    steps = [one.step(image) for image in [small] * 4 + [picture((81, 83), size=(200, 260))] * 3]
    assert [step.faces.identity.tolist() for step in steps[4:]] == [[1.0]] * 3
    assert "the picture changed from 320 x 240 to 260 x 200" in [event.reason for event in steps[4].events]


def test_a_damaged_frame_makes_faces_uncertain_and_has_none() -> None:
    one = tracker()
    for _ in range(4):
        one.step(picture((100, 100)))
    step = one.step(None)
    assert len(step.faces) == 0 and step.events[0].after is State.UNCERTAIN
    assert one.step(picture((100, 100))).faces.identity.tolist() == [1]


def test_two_faces_with_the_same_points_are_one() -> None:
    one = tracker(every=50)
    for at in range(5):
        one.step(picture((100, 100), (180 - at, 100)))
    for at in range(40):
        step = one.step(picture((100, 100)) if at > 16 else picture((100, 100), (176 - 4 * at, 100)))
    assert step.faces.identity.tolist() == [1]


def test_at_most_so_many_faces() -> None:
    one = tracker(max_faces=2)
    assert len(one(picture((60, 60), (160, 60), (260, 60)))) == 2
    with pytest.raises(InputError, match="every >= 1"):
        tracker(every=0)


def test_a_smoothing_that_there_is_not() -> None:
    with pytest.raises(InputError, match="smooth is one of off, online, offline, not 'x'"):
        tracker(smooth="x")


@pytest.mark.parametrize("time", [np.inf, -np.inf, np.nan])
def test_a_wrong_frame_is_refused_and_not_seen(time: float) -> None:
    one, image = tracker(), picture((100, 100))
    one.step(image, 0.0)
    with pytest.raises(ShapeError, match="a finite number of seconds"):
        one.step(image, time)
    with pytest.raises(ShapeError, match="an image is uint8"):
        one.step(image[..., 0], 1.0)
    with pytest.raises(ShapeError, match="an image is uint8"):
        list(tracker().run([Frame(Path("a"), 0, 0.0, image[..., 0])]))
    assert (one.memory.frame, one.memory.time) == (0, 0.0)
    assert one.step(image).time == 0.04


def test_a_run_takes_frames_with_their_times_and_begins_anew() -> None:
    one = tracker(smooth="offline")
    frames = [Frame(Path("a"), at, at / 10, picture((100, 100))) for at in range(5)]
    for _ in range(2):
        found = list(one.run([*frames, Frame(Path("a"), 5, 0.5)]))
        assert [faces.identity.tolist() for faces in found] == [[1]] * 5 + [[]]


def test_models_cut_by_a_mean_shape_follow_and_cannot_begin() -> None:
    mean = unit_mean(SHAPE[None])
    aligned = system(mean)
    assert aligned.starts_from_points and not system().starts_from_points
    with pytest.raises(ShapeError, match="cuts its crops by the points of a face and a mean shape, not by a box"):
        aligned.align([picture()], [np.float32([[0, 0, 10, 10]])])
    with pytest.raises(ShapeError, match="cannot find a face in a box; give it as start or follow"):
        Fitter(aligned, DotScorer())  # type: ignore[arg-type]
    both = Tracker(DotDetector(), Fitter(system(), DotScorer(), aligned, aligned))  # type: ignore[arg-type]
    found = [both(picture((100 + at, 100))) for at in range(6)]
    assert [faces.identity.tolist() for faces in found] == [[1]] * 6
    other = System("toy", "68", aligned.stages)
    with pytest.raises(ShapeError, match="use two models of one scheme"):
        Fitter(system(), DotScorer(), other, aligned)  # type: ignore[arg-type]
    assert Scheme.open("5").count == 5
