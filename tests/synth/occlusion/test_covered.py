import json
import shutil

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import InputError
from canthus.geometry.crop import box_of
from canthus.synth.factory import Task, produce
from canthus.synth.occlusion.covered import Copies, CoveredViews, other_people
from canthus.synth.occlusion.occlude import KINDS
from canthus.synth.turn.profile import ProfileOptions
from canthus.synth.turn.turned import Views


@pytest.fixture(scope="module")
def order(studio):
    return Copies(studio.table, studio.folder, 40, size=96)


def test_labels_of_a_copy_are_those_of_the_photograph_moved(order, studio):
    table = np.load(studio.table)
    tasks = order.plan({})
    assert len(tasks) == 40 and {task.face for task in tasks} == set(range(12))
    for task in tasks[:12]:
        made = order.make(task)
        labels, row = table["labels"][task.face], made.row
        assert made.image.shape == (96, 96, 3)
        box = box_of(row["outline_68"])
        assert (box[:2] + box[2:]) / 2 == pytest.approx((47.5, 47.5), abs=1e-3)
        assert max(box[2:] - box[:2]) == pytest.approx(48, abs=1e-3)
        factor = 48 / max(np.ptp(labels, 0))
        assert row["points_29"] - row["points_29"][0] == pytest.approx(
            factor * (table["points_29"][task.face] - table["points_29"][task.face][0]), abs=1e-2
        )
        assert not (row["visible_68"] & ~table["visible_68"][task.face]).any()
        assert row["identities"] == table["identities"][task.face]


def test_something_is_hidden_and_the_seed_tells_what(order):
    rows = [order.make(Task(number, 5)).row for number in range(20)]
    assert len({row["kind"] for row in rows}) > 3
    assert any(not row["visible_51"].all() for row in rows)
    assert (order.make(Task(7, 5)).image == order.make(Task(7, 5)).image).all()


def test_occluders_are_cut_from_other_people(studio):
    people = np.load(studio.table)["identities"]
    chosen = other_people(people, 3, np.random.default_rng(0))
    assert len(chosen) == 2 and people[3] not in people[chosen]
    assert other_people(people[:1], 0, np.random.default_rng(0)) == []


@pytest.fixture(scope="module")
def views(toy, studio, tmp_path_factory):
    """A run of 18 turned views, one in every ten degrees."""
    out = tmp_path_factory.mktemp("sets") / "views" / "train"
    produce(Views(toy.path, studio.table, studio.folder, 18, options=ProfileOptions(size=64, spacing=6)), out)
    return out


@pytest.fixture(scope="module")
def covered(views, tmp_path_factory):
    """A run of two copies of each."""
    out = tmp_path_factory.mktemp("sets") / "covered" / "train"
    assert produce(CoveredViews(views, 36, 5), out).azimuths == (2,) * 18
    return out


def test_copies_of_views_keep_their_labels(views, covered):
    before, after = np.load(views / "index.npz"), np.load(covered / "index.npz")
    assert sorted(before.files) == sorted(after.files)
    rows = [int(np.flatnonzero((before["points_68"] == points).all((1, 2)))[0]) for points in after["points_68"]]
    assert sorted(rows) == sorted([*range(18)] * 2)
    for name in before.files:
        if name.startswith("visible_"):
            assert not (after[name] & ~before[name][rows]).any()
        elif name not in ("images", "seed", "kind"):
            assert np.array_equal(after[name], before[name][rows], equal_nan=after[name].dtype.kind == "f"), name
    assert set(after["kind"]) <= set(KINDS) and len(set(after["kind"])) > 5
    hidden = before["visible_68"][rows] & ~after["visible_68"]
    assert hidden.any() and not hidden[after["kind"] == "blur"].any()


def test_points_that_were_hidden_lie_where_the_picture_changed(views, covered):
    before = dict(
        zip(np.load(views / "index.npz")["azimuth"], open_set("views", views.parents[1], "train"), strict=True)
    )
    after = open_set("views:covered", covered.parents[1], "train")
    changes = []
    for azimuth, sample in zip(np.load(covered / "index.npz")["azimuth"], after, strict=True):
        changed = np.abs(sample.picture().astype(int) - before[azimuth].picture()).max(2) > 6
        column, row = sample.points[before[azimuth].visible & ~sample.visible].round().astype(int).T
        changes += changed[row, column].tolist()
    assert len(changes) > 30 and np.mean(changes) > 0.85


def test_the_same_seed_makes_the_same_copies_over_any_processes(views, covered, tmp_path):
    produce(CoveredViews(views, 36, 5), tmp_path / "run", workers=2)
    for path in covered.rglob("*"):
        assert path.is_dir() or path.read_bytes() == (tmp_path / "run" / path.relative_to(covered)).read_bytes()


def test_a_view_that_cannot_be_read_is_made_up_for(views, tmp_path):
    shutil.copytree(views, tmp_path / "views")
    broken = tmp_path / "views" / "images" / "000" / "000003.jpg"
    broken.write_bytes(b"broken")
    summary = produce(CoveredViews(tmp_path / "views", 20, 5), tmp_path / "run")
    assert summary.made == 20 and len(summary.rejected) >= 1


def test_what_is_no_run_of_views_is_refused(views, covered, tmp_path):
    with pytest.raises(InputError, match="not a finished run of canthus synth profile"):
        produce(CoveredViews(tmp_path, 5), tmp_path / "run")
    with pytest.raises(InputError, match="of kind 'occluded'"):
        produce(CoveredViews(covered, 5), tmp_path / "run")
    shutil.copytree(views, tmp_path / "some")
    np.savez(tmp_path / "some" / "index.npz", images=np.array(["a"]))
    with pytest.raises(InputError, match="'identities' is missing"):
        produce(CoveredViews(tmp_path / "some", 5), tmp_path / "run")
    assert json.loads((covered / "run.json").read_text())["kind"] == "occluded"
    assert not (tmp_path / "run").exists()
