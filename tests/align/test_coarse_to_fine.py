"""coarse_to_fine at run time: frames there and back, odd points, pictures that end, stages that are replaced."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.coarse_to_fine import (
    components_of,
    fit_transfer,
    groups_of,
    mean_face,
    patches_of,
    stages,
    transferred,
    unit_groups,
    upright,
)
from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, System
from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.crop import Crop, box_of
from canthus.geometry.transform import apply, compose, invert, scale_of, similarity
from canthus.schemes.scheme import Scheme
from canthus.types import Floats

CROP = Crop(32, 1.8)
COMPONENT = components_of("68")
GROUPS = groups_of(COMPONENT)
INNER = [point for group in GROUPS for point in group]


@pytest.fixture
def mean(rng: np.random.Generator) -> Floats:
    """A mirror symmetric face of 68 points in the unit frame."""
    return mean_face(rng.uniform(-1, 1, (1, 68, 2)).astype(np.float32), "68")


@pytest.fixture
def faces(mean: Floats, rng: np.random.Generator) -> Floats:
    """Three faces at any place, size and angle, a few pixels from the mean face. Shape (3, 68, 2)."""
    moves = [similarity(90, angle, (150.0, 120.0)) for angle in (0.0, 40.0, 170.0)]
    return np.stack([apply(move, mean) for move in moves]) + rng.normal(0, 1, (3, 68, 2)).astype(np.float32)


def picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (260, 300, 3), np.uint8)


class Oracle:
    """An engine that gives fixed arrays, one row for each face, and keeps what it was given."""

    def __init__(self, **outputs: NDArray[np.float32]) -> None:
        self.outputs, self.seen = outputs, np.zeros(0)

    def run(self, *inputs: NDArray[np.uint8]) -> Mapping[str, Floats]:
        (self.seen,) = inputs
        return self.outputs


class Looks(Oracle):
    """An angle network that gives one answer after the other, in degrees, and keeps the crops."""

    def __init__(self, *angles: float) -> None:
        super().__init__()
        self.answers, self.crops = np.deg2rad(np.float32(angles)), list[NDArray[np.uint8]]()

    def run(self, *inputs: NDArray[np.uint8]) -> Mapping[str, Floats]:
        turn = self.answers[len(self.crops)]
        self.crops.append(inputs[0])
        return {"angle": np.stack([np.sin(turn), np.cos(turn)])[None]}


def row_of(mean: Floats, **engines: Oracle) -> System:
    arrays = {"mean": mean, "component": COMPONENT}
    parts = {name: Parts(CROP, {name: engine}, arrays) for name, engine in engines.items()}
    return System("coarse_to_fine", "68", stages(parts))


def true_components(faces: Floats, mean: Floats) -> Oracle:
    """Networks of components that find the truth in crops cut by the true points."""
    view = View([np.zeros((1, 1, 3), np.uint8)] * len(faces), np.tile(np.eye(2, 3), (len(faces), 1, 1)))
    seen = view.around(faces, GROUPS, unit_groups(mean, GROUPS)[0])
    owner = np.repeat(np.arange(6), [len(group) for group in GROUPS])
    matrices = seen.matrices(CROP).reshape(len(faces), 6, 2, 3)[:, owner]
    points = apply(matrices, faces[:, INNER, None])[:, :, 0]
    return Oracle(inner=points.astype(np.float32), scores=np.full((len(faces), 51), 0.9, np.float32))


def test_a_component_frame_goes_there_and_back(faces: Floats, mean: Floats, rng: np.random.Generator) -> None:
    """Answers of every component, in its own frame, are mapped back to the picture; the contour is that of before."""
    image = picture(rng)
    system = row_of(mean, components=(oracle := true_components(faces, mean)))
    known = Estimate.of_points(faces)
    found = system.run(View.of_points([image] * 3, faces), known)
    np.testing.assert_allclose(found.points, faces, atol=1e-2)
    assert (found.scores[:, INNER] == np.float32(0.9)).all() and np.isnan(found.scores[:, :17]).all()
    assert oracle.seen.shape == (3, 32, 32, 18)


def test_the_crop_of_a_component_shows_it_as_the_mean_face_has_it(faces: Floats, mean: Floats) -> None:
    """The similarity of the points of each component; all its points lie in the crop."""
    image = np.zeros((260, 300, 3), np.uint8)
    (stage,) = row_of(mean, components=Oracle()).stages
    seen = stage.look(View.of_points([image] * 3, faces), Estimate.of_points(faces))
    assert len(seen) == 18
    for row in range(18):
        own = faces[row // 6][GROUPS[row % 6]]
        means = unit_groups(mean, GROUPS)[0][row % 6]
        np.testing.assert_allclose(apply(seen.frames[row], own), means, atol=0.35)
        assert (np.abs(seen.matrices(CROP)[row] @ np.c_[own, np.ones(len(own))].T - 15.5) < 17).all()


def test_a_stage_that_is_replaced_by_truth_gives_v_gt(faces: Floats, mean: Floats, rng: np.random.Generator) -> None:
    """From what an earlier stage finds the crops are others than from the truth."""
    image, oracle = picture(rng), true_components(faces, mean)
    view = View.of_points([image] * 3, faces)
    second = row_of(mean, components=oracle).suffix("components")
    from_truth = second.run(view, Estimate.of_points(faces)).points
    crops = oracle.seen.copy()
    off = faces + rng.normal(0, 3, faces.shape).astype(np.float32)
    from_found = second.run(view, Estimate.of_points(off)).points
    assert not np.array_equal(crops, oracle.seen)
    errors = [np.linalg.norm(found - faces, axis=-1)[:, INNER].mean() for found in (from_truth, from_found)]
    assert errors[0] < 0.01 < errors[1]


def test_coincident_points_are_cut_as_the_mean_face_has_them(faces: Floats, mean: Floats) -> None:
    """A component of one place, or of a hundredth of its size; the other components stay as they are."""
    image = np.zeros((260, 300, 3), np.uint8)
    (stage,) = row_of(mean, components=Oracle()).stages
    view = View.of_points([image] * 3, faces)
    whole = stage.look(view, Estimate.of_points(faces))
    for factor in (0.0, 0.01, 50.0):
        odd = faces.copy()
        centre = odd[1, GROUPS[4]].mean(0)
        odd[1, GROUPS[4]] = centre + factor * (odd[1, GROUPS[4]] - centre)
        seen = stage.look(view, Estimate.of_points(odd))
        ratio = scale_of(seen.frames) / scale_of(whole.frames)
        assert 0.4 < ratio[6 + 4] < 2.5
        np.testing.assert_allclose(np.delete(seen.frames, 10, 0), np.delete(whole.frames, 10, 0))


def test_a_face_half_out_of_its_picture(faces: Floats, mean: Floats, rng: np.random.Generator) -> None:
    """Crops are black outside; results are finite."""
    image, shifted = picture(rng), faces - np.float32([150, 0])
    oracle = true_components(shifted, mean)
    found = row_of(mean, components=oracle).run(View.of_points([image] * 3, shifted), Estimate.of_points(shifted))
    np.testing.assert_allclose(found.points, shifted, atol=1e-2)
    assert (oracle.seen == 0).mean() > 0.2
    gates = np.full((3, 51, 3), 1 / 3, np.float32)
    points = Oracle(answers=np.full((3, 51, 3, 2), 15.5, np.float32), gates=gates, scores=gates[..., 0])
    found = row_of(mean, points=points).run(View.of_points([image] * 3, shifted), Estimate.of_points(shifted))
    np.testing.assert_allclose(found.points, shifted, atol=1e-2)  # the centre of each patch is the point


def test_patches_of_points(faces: Floats, mean: Floats, rng: np.random.Generator) -> None:
    """Squares around each point, turned as the face is, that span its 3, 5 and 7 nearest points in the mean face."""
    image = picture(rng)
    gates = rng.dirichlet(np.ones(3), (3, 51)).astype(np.float32)
    answers = np.full((3, 51, 3, 2), 15.5, np.float32)
    answers[..., 0] += 4  # 4 pixels to the right in each crop
    engine = Oracle(answers=answers, gates=gates, scores=gates[..., 0])
    system = row_of(mean, points=engine)
    view = View.of_points([image] * 3, faces)
    seen = system.stages[0].look(view, Estimate.of_points(faces))
    found = system.run(view, Estimate.of_points(faces))
    assert engine.seen.shape == (3, 32, 32, 459)
    sides = patches_of(mean, COMPONENT).sides
    face = seen.frames.reshape(3, 51, 3, 2, 3)
    np.testing.assert_allclose(
        scale_of(face) / scale_of(face)[:, :, :1], np.tile(sides[None, :, :1] / sides, (3, 1, 1)), rtol=1e-5
    )
    away = np.linalg.norm(found.points - faces, axis=-1)[:, 17:]
    scale = scale_of(face)[:, 0, 0] * sides[0, 0]  # of the mean face against the picture
    expected = (gates * sides).sum(-1) * 4 * CROP.margin / CROP.size / scale[:, None]
    np.testing.assert_allclose(away, expected, rtol=1e-3)
    np.testing.assert_array_equal(found.extras["gates"], gates)


def test_patches_that_are_cut_together_are_the_same(faces: Floats, mean: Floats, rng: np.random.Generator) -> None:
    image = np.kron(rng.integers(0, 256, (26, 30, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    (stage,) = row_of(mean, points=Oracle()).stages
    view = View.of_points([image], faces[1:2] - np.float32([60, 0]))
    seen = stage.look(view, Estimate.of_points(faces[1:2] - np.float32([60, 0])))
    one_by_one = seen.cut(CROP).astype(int)
    together = np.moveaxis(seen.together(CROP, 153).reshape(32, 32, 153, 3), 2, 0).astype(int)
    coarse = scale_of(seen.matrices(CROP)) <= 0.5  # cut from an averaged picture, whose grid may start elsewhere
    assert np.abs(one_by_one - together)[~coarse].max() <= 16  # a tenth of a pixel
    assert np.abs(one_by_one - together).mean() < 3


def test_a_box_alone_is_turned_upright(mean: Floats, rng: np.random.Generator) -> None:
    """By the angle network; without one the box stands as it is; given points say it themselves."""
    image, angle = picture(rng), 130.0
    face = apply(similarity(90, angle, (150.0, 120.0)), mean)[None].astype(np.float32)
    sees = Looks(angle + 5, -10)  # the second look finds the angle 5 degrees too small
    finds = Oracle(points=np.zeros((1, 68, 2)), scores=np.ones((1, 68)), pose=np.zeros((1, 3), np.float32))
    first = row_of(mean, angle=sees, coarse=finds).stages[0]
    box = View.of_boxes([image], box_of(face))
    assert first.look(box, None).angles == pytest.approx([-angle], abs=0.01)
    np.testing.assert_array_equal(sees.crops[0], box.cut(CROP))
    np.testing.assert_array_equal(sees.crops[1], upright(box, np.array([angle + 5])).cut(CROP))
    assert first.look(box, Estimate.of_points(face)).angles == pytest.approx([-angle], abs=0.5)
    assert row_of(mean, coarse=finds).stages[0].look(box, None).angles == pytest.approx([0])
    assert not row_of(mean, coarse=finds).starts_from_points
    assert row_of(mean, components=Oracle()).starts_from_points


def test_upright_is_what_a_known_roll_gives(rng: np.random.Generator) -> None:
    boxes, rolls = np.float32([[10, 20, 110, 100], [50, 40, 90, 130]]), np.float32([75, -20])
    images = [picture(rng)] * 2
    found = upright(View.of_boxes(images, boxes), rolls).frames
    np.testing.assert_allclose(found, View.of_boxes(images, boxes, rolls).frames, atol=1e-4)


def test_later_stages_cannot_start_a_row(mean: Floats) -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    for name in ("components", "points"):
        with pytest.raises(ShapeError, match=f"the stage {name} of coarse_to_fine refines points"):
            row_of(mean, **{name: Oracle()}).run(View.of_boxes([image], np.float32([[0, 0, 9, 9]])))


def test_a_transfer_copies_the_contour_and_learns_the_rest(rng: np.random.Generator) -> None:
    """Points of 68 that are a linear map of the inner points of 81 are found exactly, at any place, size and angle."""
    source, target = Scheme.open("81"), Scheme.open("68")
    base = rng.normal(0, 1, (81, 2))
    some = base + 0.1 * rng.normal(0, 1, (300, 81, 2))
    inner = list(source.groups["inner"])
    shares = rng.dirichlet(np.ones(62), 68)
    truth = np.einsum("qp,fpd->fqd", shares, some[:, inner])
    moves = np.stack(
        [similarity(s, a, (x, y)) for s, a, x, y in rng.uniform([5, -180, 0, 0], [9, 180, 99, 99], (300, 4))]
    )
    arrays = fit_transfer(apply(moves, some), "81", apply(moves, truth), "68")
    known = Estimate.of_points(apply(moves[:5], some[:5]).astype(np.float32))
    scores = np.tile(np.arange(81, dtype=np.float32), (5, 1))
    found = transferred(Estimate(known.points, scores, known.pose), arrays)
    chin = target.names.index("chin")
    assert arrays["transfer_copied"].tolist() == [[chin, source.names.index("chin")]]
    np.testing.assert_array_equal(found.points[:, chin], known.points[:, source.names.index("chin")])
    learnt = [point for point in range(68) if point != chin]
    np.testing.assert_allclose(found.points[:, learnt], apply(moves[:5], truth[:5])[:, learnt], atol=0.05)
    assert found.scores.shape == (5, 68) and (found.scores[:, chin] == source.names.index("chin")).all()
    back = apply(compose(invert(moves[:1]), np.eye(2, 3)[None]), found.points[:1])
    assert np.isfinite(back).all()
