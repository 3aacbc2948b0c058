import numpy as np
import pytest

from canthus.geometry.crop import box_of
from canthus.synth.covered import Copies, covered_by, cut_whole
from canthus.synth.factory import Task
from canthus.synth.occlude import KINDS, occlude
from canthus.synth.pixels import inside, nearest


@pytest.fixture(scope="module")
def order(studio):
    return Copies(studio.table, studio.folder, 40, size=96)


@pytest.mark.parametrize("kind", KINDS)
def test_what_covers_is_what_occlude_puts_there(kind, studio, rng):
    points = np.load(studio.table)["labels"][5].astype(float) / 3
    image = rng.integers(0, 255, (200, 200, 3), np.uint8)
    others = (rng.integers(0, 255, (80, 90, 3), np.uint8),)
    hides = 0
    for seed in range(4):
        covered = covered_by(image, points, "68", seed, others, kind)
        visible = ~covered[nearest(points, covered.shape)] & inside(points, covered.shape)
        made = occlude(image, points, "68", seed, others, kind)
        assert (visible == made.visible).all()
        assert (made.image[covered] != image[covered]).any(1).mean() > 0.9 if covered.any() else True
        hides += covered.sum()
    assert (hides > 0) == (kind != "blur")


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


def test_strangers_are_other_people(order, studio):
    people = np.load(studio.table)["identities"]
    chosen = order._others(3, np.random.default_rng(0))
    assert len(chosen) == 2 and people[3] not in people[chosen]


def test_beside_the_photograph_its_border_goes_on():
    image = np.full((20, 20, 3), (10, 200, 60), np.uint8)
    assert (cut_whole(image, np.array([[1.0, 0, 15], [0, 1, -12]]), 32) == (10, 200, 60)).all()
