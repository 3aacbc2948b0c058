import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.errors import DataError, ShapeError
from canthus.geometry.transform import compose, invert, scale_of
from canthus.study.measure import displaced, disturbed, measure
from canthus.study.plan import Measure
from canthus.train.fit import fit
from canthus.train.landmarks.system import join, load_trained
from canthus.train.landmarks.task import validate
from canthus.train.recipe import Recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
STILLS = Measure(name="stills", set="wild68", split="val")
VIDEO = Measure(name="video", set="300vw:clips", split="synth", options={"labels": "2d"}, follow=True, normaliser="box")


@pytest.fixture(scope="module")
def checkpoint(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    fit(tiny.model_copy(update={"steps": 2, "validate_every": 2}), drawn, out)
    return out / "last.ckpt"


@pytest.fixture(scope="module")
def root(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences of three frames."""
    root = tmp_path_factory.mktemp("root")
    samples = list(open_set("wild68", drawn, "train"))
    for place, name in enumerate(("001", "002")):
        folder = root / "clips" / name
        folder.mkdir(parents=True)
        some = samples[3 * place : 3 * place + 3]
        writer = cv2.VideoWriter(str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (120, 120))
        for sample in some:
            writer.write(sample.picture()[..., ::-1])
        writer.release()
        points = np.stack([np.column_stack([sample.points, np.zeros(68)]) for sample in some]).astype(np.float32)
        np.savez(folder / "annot3d.npz", points_68=points, visible_68=np.ones((3, 68), bool), pose=np.zeros((3, 3)))
    return root


def test_stills_are_measured_as_in_validation(checkpoint: Path, drawn: Path) -> None:
    trained, _ = load_trained(checkpoint)
    known = validate(join([trained]), list(open_set("wild68", drawn, "val")), trained.recipe.measure)
    assert measure(checkpoint, STILLS, drawn) == {"nme": pytest.approx(known), "faces": 4}
    assert measure(checkpoint, STILLS.model_copy(update={"limit": 2}), drawn)["faces"] == 2


@pytest.fixture(scope="module")
def flagged(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four faces as the data factory leaves them; the jaw is hidden in the first two, all points of the last one."""
    root = tmp_path_factory.mktemp("flagged")
    folder = root / "some" / "val"
    folder.mkdir(parents=True)
    samples = list(open_set("wild68", drawn, "val"))
    visible = np.ones((4, 68), bool)
    visible[:2, :17], visible[3] = False, False
    names = [f"{place}.png" for place in range(4)]
    for name, sample in zip(names, samples, strict=True):
        cv2.imwrite(str(folder / name), sample.picture()[..., ::-1])
    points = np.stack([np.column_stack([sample.points, np.zeros(68)]) for sample in samples]).astype(np.float32)
    arrays = {"pose": np.zeros((4, 3)), "azimuth": np.zeros(4), "kind": np.full(4, "hand"), "images": np.array(names)}
    np.savez(folder / "index.npz", points_68=points, visible_68=visible, identities=np.array(names), **arrays)
    return root


def test_visible_and_hidden_points(checkpoint: Path, drawn: Path, flagged: Path) -> None:
    """Faces without such points are left out."""
    found = {
        points: measure(checkpoint, Measure(name="all", set="views:some", split="val", points=points), flagged)
        for points in ("all", "visible", "hidden")
    }
    assert {points: result["faces"] for points, result in found.items()} == {"all": 4, "visible": 3, "hidden": 3}
    system, samples = join([load_trained(checkpoint)[0]]), list(open_set("views:some", flagged, "val"))
    truth = np.stack([sample.points for sample in samples])
    points = system.run(View.of_points([sample.picture() for sample in samples], truth)).points
    far = np.linalg.norm(points - truth, axis=-1) / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)[:, None]
    hidden = [far[0, :17].mean(), far[1, :17].mean(), far[3].mean()]
    assert found["hidden"]["nme"] == pytest.approx(100 * np.mean(hidden), rel=1e-5)
    with pytest.raises(DataError, match="no labels of visibility"):
        measure(checkpoint, STILLS.model_copy(update={"points": "hidden"}), drawn)
    with pytest.raises(ValueError, match="leave out `follow`"):
        Measure(name="video", set="300vw:clips", follow=True, points="hidden")


def test_videos_are_followed(checkpoint: Path, root: Path) -> None:
    whole = measure(checkpoint, VIDEO, root)
    assert whole["faces"] == 6
    first = measure(checkpoint, VIDEO.model_copy(update={"limit": 1}), root)
    alone = measure(checkpoint, VIDEO.model_copy(update={"follow": False}), root)
    assert first["faces"] == 2
    assert len({round(result["nme"], 6) for result in (whole, first, alone)}) == 3


def test_another_run_may_start_the_videos(
    checkpoint: Path, root: Path, drawn: Path, tiny: Recipe, tmp_path: Path
) -> None:
    """One of other weights: the first frame is its, and what follows from it."""
    (tmp_path / "follower").mkdir()
    shutil.copytree(checkpoint.parent, tmp_path / "follower" / "1")
    shutil.copytree(checkpoint.parent, tmp_path / "same" / "1")
    fit(tiny.model_copy(update={"steps": 2, "validate_every": 2, "seed": 9}), drawn, tmp_path / "other" / "1")
    follower = tmp_path / "follower" / "1" / "last.ckpt"
    alone = measure(follower, VIDEO, root)
    assert measure(follower, VIDEO.model_copy(update={"starter": "same"}), root)["nme"] == pytest.approx(alone["nme"])
    assert measure(follower, VIDEO.model_copy(update={"starter": "other"}), root)["nme"] != pytest.approx(alone["nme"])


def test_what_cannot_be_measured_is_named(checkpoint: Path, drawn: Path) -> None:
    with pytest.raises(ShapeError, match="it cannot stop after stage 2"):
        measure(checkpoint, STILLS.model_copy(update={"depth": 2}), drawn)
    with pytest.raises(DataError, match="is a still"):
        measure(checkpoint, STILLS.model_copy(update={"follow": True}), drawn)


def test_disturbed_boxes(checkpoint: Path, drawn: Path) -> None:
    """Turned, scaled and shifted within the limits of the paper; the same for every network."""
    points = np.stack([sample.points for sample in open_set("wild68", drawn, "val")] * 50)
    view = View.of_points([np.zeros((9, 9, 3), np.uint8)] * len(points), points)
    moved = disturbed(view, np.random.default_rng(0))
    change = compose(moved.frames, invert(view.frames))
    angle = np.degrees(np.arctan2(change[:, 1, 0], change[:, 0, 0]))
    scale, shift = 1 / scale_of(change), np.abs(change[:, :, 2]) / 1.3
    assert 35 < np.abs(angle).max() <= 45 and 0.75 <= scale.min() < 0.8 and 1.2 < scale.max() <= 1.25
    assert 0.06 < shift.max() <= 20 / 256
    wanted = STILLS.model_copy(update={"disturbed": True})
    assert (
        measure(checkpoint, wanted, drawn) == measure(checkpoint, wanted, drawn) != measure(checkpoint, STILLS, drawn)
    )


def test_displaced_boxes(checkpoint: Path, drawn: Path) -> None:
    """Moved by the share in all directions, scaled within it, not turned; the same for every network."""
    points = np.stack([sample.points for sample in open_set("wild68", drawn, "val")] * 50)
    view = View.of_points([np.zeros((9, 9, 3), np.uint8)] * len(points), points)
    change = compose(displaced(view, 0.2, np.random.default_rng(0)).frames, invert(view.frames))
    np.testing.assert_allclose(np.hypot(*change[:, :, 2].T), 0.2, rtol=1e-6)
    assert change[:, 0, 2].min() < -0.19 and change[:, 1, 2].max() > 0.19
    np.testing.assert_allclose(change[:, 0, 1], 0, atol=1e-9)
    scale = 1 / scale_of(change)
    assert 0.8 <= scale.min() < 0.82 and 1.18 < scale.max() <= 1.2
    wanted = STILLS.model_copy(update={"displaced": 0.2})
    assert (
        measure(checkpoint, wanted, drawn) == measure(checkpoint, wanted, drawn) != measure(checkpoint, STILLS, drawn)
    )


def test_another_reading_needs_heatmaps(checkpoint: Path, drawn: Path) -> None:
    with pytest.raises(DataError, match="have one reading"):
        measure(checkpoint, STILLS.model_copy(update={"read": "argmax"}), drawn)


def test_points_of_a_group(checkpoint: Path, drawn: Path) -> None:
    """The mean over both groups, weighted by their points, is the mean over all."""
    every = measure(checkpoint, STILLS, drawn)["nme"]
    inner, contour = (
        measure(checkpoint, STILLS.model_copy(update={"points": name}), drawn)["nme"] for name in ("inner", "contour")
    )
    assert (51 * inner + 17 * contour) / 68 == pytest.approx(every)
    with pytest.raises(
        DataError, match="scheme 68 has no points 'beard', but all, visible, hidden, contour, brow_right"
    ):
        measure(checkpoint, STILLS.model_copy(update={"points": "beard"}), drawn)


def test_after_another_row(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """A stage that sees crops by found points is measured from what the other run finds, not from the labels."""
    short = tiny.model_copy(update={"steps": 2, "validate_every": 2})
    fit(short, drawn, tmp_path / "first" / "1")
    fit(short.model_copy(update={"crop": "shape"}), drawn, tmp_path / "second" / "1")
    last = tmp_path / "second/1/last.ckpt"
    from_truth = measure(last, STILLS, drawn)["nme"]
    after = measure(last, STILLS.model_copy(update={"after": ["first"]}), drawn)["nme"]
    first, second = (load_trained(tmp_path / f"{name}/1/last.ckpt")[0] for name in ("first", "second"))
    whole = System("both", "68", [*join([first]).stages, *join([second]).stages])
    samples = list(open_set("wild68", drawn, "val"))
    assert after == pytest.approx(validate(whole, samples, "inter-ocular", given=False))
    assert after != pytest.approx(from_truth)
