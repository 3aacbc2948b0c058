import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import SchemeError, ShapeError
from canthus.evaluate import score
from canthus.evaluate.cut import Cut
from canthus.evaluate.protocol import Protocol, ProtocolError
from canthus.evaluate.result import Labels
from canthus.evaluate.score import evaluate_points, rows_of

PLAIN = Protocol()


@pytest.fixture
def faces(make_faces, rng):
    truth = make_faces(40)
    return truth, truth + rng.normal(0, 2, truth.shape) * rng.gamma(2, 0.5, (40, 1, 1))


def test_the_figure_is_the_mean_of_the_faces_closed_form(faces):
    truth, found = faces
    expected = np.linalg.norm(found - truth, axis=2).mean(1) / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    result = evaluate_points(truth, found, PLAIN)
    assert result.errors == pytest.approx(expected)
    assert result.nme == pytest.approx(expected.mean())
    assert result.auc == pytest.approx(np.clip(1 - expected / 0.08, 0, None).mean())
    assert result.failure_rate == (expected > 0.08).mean()
    assert (result.faces, result.missing, result.caveats) == (40, 0, ())


def test_points_and_regions_make_up_the_figure(faces, scheme):
    result = evaluate_points(*faces, PLAIN)
    assert result.points.mean() == pytest.approx(result.nme)
    assert result.regions["all"] == pytest.approx(result.nme)
    assert (17 * result.regions["contour"] + 51 * result.regions["inner"]) / 68 == pytest.approx(result.nme)
    inner = evaluate_points(*faces, PLAIN.changed(part="inner"))
    assert inner.nme == pytest.approx(result.regions["inner"])
    assert np.isnan(inner.points[:17]).all()
    assert "contour" not in inner.regions


@settings(max_examples=15)
@given(st.integers(0, 100), st.integers(1, 19))
def test_a_set_is_its_subsets_weighed_by_their_counts(seed, at):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (20, 68, 2))
    found = truth + rng.normal(0, 3, truth.shape)
    whole, *parts = (evaluate_points(truth[part], found[part], PLAIN) for part in (slice(20), slice(at), slice(at, 20)))
    for figure in ("nme", "auc", "failure_rate"):
        mean = sum(getattr(part, figure) * part.faces for part in parts) / 20
        assert getattr(whole, figure) == pytest.approx(mean)
    rows = rows_of(whole.errors, Cut("halves", ("a", "b"), (np.arange(20) >= at).astype(np.intp)), PLAIN)
    assert [row.nme for row in rows] == pytest.approx([part.nme for part in parts])
    order = rng.permutation(20)
    shuffled = evaluate_points(truth[order], found[order], PLAIN)
    assert shuffled.nme == pytest.approx(whole.nme)
    assert shuffled.points == pytest.approx(whole.points)
    assert shuffled.contour.tangent == pytest.approx(whole.contour.tangent)


def test_chunks_do_not_show(faces, monkeypatch, rng):
    truth, found = faces
    labels = Labels(visible=rng.random(truth.shape[:2]) < 0.8)
    scores = rng.random(truth.shape[:2])
    whole = evaluate_points(truth, found, PLAIN, labels, scores)
    monkeypatch.setattr(score, "CHUNK", 7)
    parts = evaluate_points(truth, found, PLAIN, labels, scores)
    assert parts.errors == pytest.approx(whole.errors)
    assert parts.points == pytest.approx(whole.points)
    assert parts.visibility == pytest.approx(whole.visibility)
    assert parts.contour.normal == pytest.approx(whole.contour.normal)
    assert parts.reliability.far_precision == pytest.approx(whole.reliability.far_precision)
    assert parts.reliability.occluded_precision == pytest.approx(whole.reliability.occluded_precision)


def test_visible_points_alone(faces, rng):
    truth, found = faces
    visible = rng.random(truth.shape[:2]) < 0.7
    labels = Labels(visible=visible)
    unit = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    apart = np.linalg.norm(found - truth, axis=2) / unit[:, None]
    result = evaluate_points(truth, found, Protocol(mask="visible"), labels)
    assert result.nme == pytest.approx(np.mean([row[seen].mean() for row, seen in zip(apart, visible, strict=True)]))
    whole = evaluate_points(truth, found, PLAIN, labels)
    assert whole.visibility == pytest.approx({"visible": apart[visible].mean(), "occluded": apart[~visible].mean()})


def test_partial_labels_are_refused_or_masked(faces):
    truth, found = faces
    truth = truth.copy()
    truth[3, 5] = np.nan
    with pytest.raises(ProtocolError, match=r"1 faces \(3\) lack points.*--mask annotated"):
        evaluate_points(truth, found, PLAIN)
    unit = np.linalg.norm(truth[3, 36] - truth[3, 45])
    known = np.arange(68) != 5
    result = evaluate_points(truth, found, Protocol(mask="annotated"))
    assert result.errors[3] == pytest.approx(np.linalg.norm(found[3, known] - truth[3, known], axis=1).mean() / unit)


def test_faces_not_found_are_refused_or_failures(faces):
    truth, found = faces
    found = found.copy()
    found[[2, 5]] = np.nan
    found[7, 60] = np.nan
    names = tuple(f"image{index}" for index in range(40))
    with pytest.raises(
        ProtocolError, match=r"3 faces \(image2, image5, image7\) have no prediction.*--missing failure"
    ):
        evaluate_points(truth, found, PLAIN, Labels(images=names))
    result = evaluate_points(truth, found, PLAIN, missing="failure")
    kept = np.setdiff1d(np.arange(40), [2, 5, 7])
    rest = evaluate_points(truth[kept], found[kept], PLAIN)
    assert result.missing == 3
    assert result.nme == pytest.approx(rest.nme)
    assert result.points == pytest.approx(rest.points)
    assert result.failure_rate == pytest.approx((3 + rest.failure_rate * 37) / 40)
    assert result.auc == pytest.approx(rest.auc * 37 / 40)
    assert "3 faces were not found" in result.caveats[0]


def test_mean_of_bins_and_mean_of_images(faces):
    truth, found = faces
    yaw = np.concatenate([np.full(25, 10.0), np.full(10, -45.0), np.full(5, 80.0)])
    protocol = Protocol(normaliser="box", aggregation="bins", bins=(0, 30, 60, 90))
    result = evaluate_points(truth, found, protocol, Labels(yaw=yaw))
    means = [result.errors[:25].mean(), result.errors[25:35].mean(), result.errors[35:].mean()]
    assert [row.faces for row in result.bins] == [25, 10, 5]
    assert result.nme == result.nme_bins == pytest.approx(np.mean(means))
    assert result.nme_images == pytest.approx(result.errors.mean())
    outside = evaluate_points(truth, found, protocol, Labels(yaw=np.where(yaw == 80, 100, yaw)))
    assert any("5 faces lie in no bin" in text for text in outside.caveats)
    assert any("empty" in text for text in outside.caveats)
    with pytest.raises(ProtocolError, match="needs yaw"):
        evaluate_points(truth, found, protocol)


def test_depth_counts_only_when_asked(faces):
    truth, found = (np.concatenate([points, np.zeros((40, 68, 1))], 2) for points in faces)
    found[..., 2] = 100
    flat = evaluate_points(*faces, Protocol(normaliser="box"))
    assert evaluate_points(truth, found, Protocol(normaliser="box")).nme == pytest.approx(flat.nme)
    assert evaluate_points(truth, found, Protocol(normaliser="box", dims=3)).nme > 2 * flat.nme
    with pytest.raises(ShapeError, match="3 or more"):
        evaluate_points(*faces, Protocol(dims=3))


def test_boxes_of_the_set_as_normaliser(faces):
    protocol = Protocol(normaliser="diagonal", normaliser_box="set")
    boxes = np.tile([0.0, 0, 30, 40], (40, 1))
    apart = np.linalg.norm(faces[1] - faces[0], axis=2).mean(1)
    assert evaluate_points(*faces, protocol, Labels(boxes=boxes)).errors == pytest.approx(apart / 50)
    with pytest.raises(ProtocolError, match="needs boxes"):
        evaluate_points(*faces, protocol)


def test_another_count_of_faces_than_the_protocol_has_is_a_caveat(faces):
    assert "40 faces were scored; wild68-test has 224" in evaluate_points(*faces, "wild68-test").caveats[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t, p: (t, p[:3]), ShapeError, "cannot be paired"),
        (lambda t, p: (t[:0], p[:0]), ShapeError, "no face"),
        (lambda t, p: (t[:, :51], p[:, :51]), SchemeError, "truth: 51 points.*scheme 68 has 68"),
        (lambda t, p: (t, p[:, :51]), SchemeError, "predictions: 51 points"),
        (lambda t, p: (t[0], p[0]), ShapeError, r"\(F, P, 2 or more\)"),
    ],
)
def test_what_does_not_fit_is_refused(faces, change, error, message):
    with pytest.raises(error, match=message):
        evaluate_points(*change(*faces), PLAIN)


def test_labels_that_do_not_fit_are_refused(faces):
    with pytest.raises(ShapeError, match="visible: 3 rows for 40"):
        evaluate_points(*faces, PLAIN, Labels(visible=np.ones((3, 68), bool)))
    with pytest.raises(ShapeError, match="one score for each point"):
        evaluate_points(*faces, PLAIN, scores=np.ones((40, 3)))
    with pytest.raises(ProtocolError, match="no group 'ears'"):
        evaluate_points(*faces, Protocol(part="ears"))
    with pytest.raises(ProtocolError, match="have no point to score"):
        evaluate_points(*faces, Protocol(mask="visible"), Labels(visible=np.zeros((40, 68), bool)))
    truth = faces[0].copy()
    truth[4, 36] = truth[4, 45]
    with pytest.raises(ProtocolError, match=r"\(4\) have no inter-ocular distance"):
        evaluate_points(truth, faces[1], PLAIN)


def test_what_the_scores_claim_is_near_a_part_of_the_longer_side(faces):
    truth, _ = faces
    side = np.ptp(truth, axis=1).max(1)
    found = truth.copy()
    found[:, :34, 0] += 0.02 * side[:, None]
    found[:, 34:, 0] += 0.03 * side[:, None]
    scores = np.where(np.arange(68) < 34, 0.9, 0.1) * np.ones((40, 1))
    known = evaluate_points(truth, found, PLAIN, scores=scores).reliability
    assert known.curve.true[known.curve.counts > 0].tolist() == [0, 1]
    assert known.calibration_error == pytest.approx(0.1)
    assert known.far_precision == 1
    assert np.isnan(known.occluded_precision)


def test_the_json_of_a_result_is_plain(faces):
    tree = evaluate_points(*faces, PLAIN, scores=np.full((40, 68), 0.5)).as_dict()
    again = json.loads(json.dumps(tree, allow_nan=False))
    assert again["nme"] == pytest.approx(tree["nme"])
    assert again["nme_bins"] is None
    assert again["faces"] == 40
    assert len(again["points"]) == 68
    assert again["protocol"]["normaliser"] == "inter-ocular"
    assert again["reliability"]["occluded_precision"] is None


def test_the_contour_is_over_the_points_that_are_scored(faces):
    truth, found = faces
    assert evaluate_points(truth, found, PLAIN.changed(part="inner")).contour is None
    lost = found.copy()
    lost[:20, 60] = np.nan
    rest = evaluate_points(truth[20:], found[20:], PLAIN).contour
    for result in (
        evaluate_points(truth, lost, PLAIN, missing="failure"),
        evaluate_points(truth, np.where(np.isnan(lost), np.inf, lost), PLAIN, missing="failure"),
    ):
        assert result.contour.tangent == pytest.approx(rest.tangent)
        assert result.contour.normal == pytest.approx(rest.normal)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_prediction_is_none(faces, value):
    truth, found = faces
    found = found.copy()
    found[2, 5, 1] = value
    with pytest.raises(ProtocolError, match=r"1 faces \(2\) have no prediction"):
        evaluate_points(truth, found, PLAIN)
    assert evaluate_points(truth, found, PLAIN, missing="failure").missing == 1


def test_another_treatment_of_missing_faces_is_refused(faces):
    with pytest.raises(ProtocolError, match="missing must be one of refuse, failure, not 'ignore'"):
        evaluate_points(*faces, PLAIN, missing="ignore")
