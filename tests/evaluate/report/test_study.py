from dataclasses import replace

import numpy as np
import pytest

from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.study import percent
from canthus.geometry.transform import apply, fit_similarity


def test_systems_are_ordered_on_the_subjects_boxes(make_study):
    study = make_study()
    assert study.sources == ["tight", "jitter"]
    assert list(study.systems()) == ["ours", "rival & co (mapped)", "rival & co"]
    assert set(study.systems()["ours"]) == {"tight", "jitter"}
    assert [entry.label for entry in study.rivals] == ["rival & co"]
    assert list(study.columns()) == ["NME", "inner 51", "AUC", "failures", "consensus"]


def test_ranking_puts_lost_faces_last(make_study):
    study = make_study(lost=[4])
    errors = study.result.errors[study.ranked()]
    assert (np.diff(errors[:-1]) >= 0).all()
    assert study.ranked()[-1] == 4


def test_the_mean_face_is_near_to_every_face_up_to_a_similarity(make_study):
    study = make_study()
    mean = study.mean_face
    assert mean.mean(0) == pytest.approx([0, 0], abs=1e-6)
    assert np.ptp(mean, axis=0).max() == pytest.approx(1)
    faces = study.truth.points.astype(np.float64)
    fitted = apply(fit_similarity(np.broadcast_to(mean, faces.shape), faces), np.broadcast_to(mean, faces.shape))
    assert np.linalg.norm(fitted - faces, axis=2).mean() < 0.02 * np.ptp(faces, axis=1).mean()


def test_the_mean_face_of_partial_labels(make_study):
    study = make_study()
    study.truth.points[:, 3] = np.nan
    study.truth.points[0, 3] = (1, 2)
    assert np.isfinite(study.mean_face).all()


def test_the_interval_is_that_of_the_faces_found(make_study):
    study = make_study(lost=[4])
    errors = np.where(np.isfinite(study.result.errors), study.result.errors, np.nan)
    low, high = (end[0] for end in bootstrap_interval(errors[:, None]))
    assert (study.interval.low, study.interval.high) == (low, high)
    assert low < np.nanmean(errors) < high
    assert study.interval.method == "bootstrap over 12 faces, 2,000 resamples, percentiles"


def test_faces_of_one_person_widen_the_interval(make_study):
    study = make_study()
    people = replace(study, truth=replace(study.truth, identities=tuple("abcdefghijjj")))
    assert (people.interval.units, people.interval.count) == ("identities", 10)
    assert replace(study, truth=replace(study.truth, identities=tuple("aaaabbbbcccc"))).interval is None


def test_the_interval_of_a_mean_of_bins_is_around_it(make_study):
    study = make_study(Protocol(name="p", aggregation="bins", bins=(0, 30, 60, 90)))
    assert study.interval.low < study.result.nme_bins < study.interval.high
    assert replace(study, truth=replace(study.truth, yaw=None)).interval is None


def test_there_is_no_interval_where_nothing_was_found(make_study):
    assert make_study(lost=range(12)).interval is None


def test_percent():
    assert percent(0.03456) == "3.46"
    assert percent(0.5, 1) == "50.0"
    assert percent(None) == percent(float("nan")) == percent(float("inf")) == "–"


def test_the_mean_face_is_not_known_where_no_face_is_annotated(make_study):
    study = make_study()
    study.truth.points[:, 3] = np.nan
    known = np.arange(68) != 3
    assert np.isnan(study.mean_face[3]).all() and np.isfinite(study.mean_face[known]).all()
    assert np.ptp(study.mean_face[known], axis=0).max() == pytest.approx(1)
