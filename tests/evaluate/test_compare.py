import numpy as np
import pytest

from canthus.evaluate.compare import compare_points
from canthus.evaluate.protocol import Protocol, ProtocolError
from canthus.evaluate.result import Labels
from canthus.schemes.scheme import Scheme


def test_the_better_one_wins(make_faces, rng):
    truth = make_faces(60)
    noise = rng.normal(0, 2, truth.shape)
    good, bad = truth + noise, truth + 1.3 * noise
    bad[:, 60:] = good[:, 60:]
    found = compare_points(truth, good, bad, Protocol())
    assert found.total.difference == pytest.approx(found.total.a - found.total.b)
    assert found.total.low <= found.total.difference <= found.total.high < 0
    assert found.total.wins == 1 and found.total.decided
    contour, mouth = ({row.name: row for row in found.regions}[name] for name in ("contour", "mouth"))
    assert contour.a / contour.b == pytest.approx(1 / 1.3)
    assert mouth.b / mouth.a < 1.3
    assert (found.faces, found.units) == (60, "faces")
    assert found.as_dict()["rows"][0]["name"] == "all"


@pytest.mark.parametrize("mask", ["visible", "annotated"])
def test_regions_under_a_mask_are_over_the_points_that_are_scored(make_faces, rng, mask):
    truth, scheme = make_faces(40), Scheme.open("68")
    noise = rng.normal(0, 2, truth.shape)
    visible = rng.random(truth.shape[:2]) < 0.7
    visible[:, list(scheme.groups["mouth"])] = False  # no face shows its mouth
    visible[:20, list(scheme.contour)] = False  # half of the faces show no contour
    visible[:, [36, 45]] = True
    first, second = truth + noise, np.where(visible[..., None], truth + 2 * noise, truth)
    if mask == "annotated":
        truth = np.where(visible[..., None], truth, np.nan)
    found = compare_points(truth, first, second, Protocol(mask=mask), Labels(visible=visible))
    rows = {row.name: row for row in found.regions}
    assert "mouth" not in rows and rows.keys() >= {"contour", "inner", "nose"}
    for row in rows.values():
        assert row.b / row.a == pytest.approx(2) and row.wins == 1 and row.high < 0
    unit = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)
    far = np.where(visible, np.linalg.norm(noise, axis=-1), np.nan)[20:, list(scheme.contour)]
    assert rows["contour"].a == pytest.approx((np.nanmean(far, 1) / unit[20:]).mean())


def test_equals_are_undecided_and_tie(make_faces):
    truth = make_faces(10)
    found = compare_points(truth, truth + 1, truth + 1, Protocol(), identities=("a",) * 5 + ("b",) * 5)
    assert found.total.wins == 0.5
    assert not found.total.decided
    assert found.units == "identities"
    assert compare_points(truth, truth, truth + 1, Protocol(), identities=tuple("abcdefghij")).units == "faces"


def test_a_comparison_needs_every_face(make_faces):
    truth = make_faces(5)
    lost = truth.copy()
    lost[2] = np.nan
    with pytest.raises(ProtocolError, match="no prediction"):
        compare_points(truth, truth, lost, Protocol())


@pytest.mark.parametrize("measure", ["mean", "rms"])
def test_regions_follow_the_part_and_the_measure_of_the_protocol(make_faces, rng, measure):
    truth, scheme = make_faces(30), Scheme.open("68")
    first, second = (truth + rng.normal(0, size, truth.shape) for size in (2, 3))
    found = compare_points(truth, first, second, Protocol(part="inner", measure=measure))
    rows = {row.name: row for row in found.regions}
    assert "contour" not in rows
    assert (rows["inner"].a, rows["inner"].b) == pytest.approx((found.total.a, found.total.b))
    far = np.linalg.norm(first - truth, axis=2)[:, list(scheme.groups["mouth"])]
    error = np.sqrt((far**2).mean(1)) if measure == "rms" else far.mean(1)
    assert rows["mouth"].a == pytest.approx((error / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)).mean())
