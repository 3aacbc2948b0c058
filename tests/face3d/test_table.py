from dataclasses import replace

import numpy as np
import pytest

from canthus.errors import DataError, InputError, OutputError, ShapeError
from canthus.face3d.fit import Fitter
from canthus.face3d.table import Faces2D, FitJob, fit_columns, fit_faces, forget, read_bias, write_table
from canthus.formats.table import load


@pytest.fixture(scope="module")
def faces(toy, make_faces):
    """70 faces, one of which has too few points."""
    rng = np.random.default_rng(5)
    labels = make_faces(toy.model, rng.uniform(-30, 30, (70, 3)), rng).labels
    labels[66, 5:] = np.nan
    names = tuple(f"{index}.png" for index in range(70))
    return Faces2D(names, ("one", "two") * 35, labels, np.full((70, 2), 600.0), "68")


@pytest.fixture(scope="module")
def job(toy):
    return FitJob(toy.path, None, "68")


@pytest.fixture(scope="module")
def columns(job, faces):
    return fit_faces(job, faces)


def test_columns_are_those_of_the_fit(toy, faces, columns):
    fit = Fitter(toy.model, "68").fit(faces.points)
    assert columns["pose"] == pytest.approx(fit.camera.pose, nan_ok=True, abs=1e-3)
    assert columns["fitted"] == pytest.approx(fit.points, nan_ok=True, abs=1e-2)
    assert columns["identity"] == pytest.approx(fit.identity, nan_ok=True, abs=1e-3)
    assert columns["points_29"].shape == (70, 29, 3)
    assert columns["visible_51"].dtype == bool
    assert {value.dtype for name, value in columns.items() if name not in ("problem", "labels")} <= {
        np.dtype(np.float32), np.dtype(bool),
    }  # fmt: skip


def test_processes_do_not_change_the_result(job, faces, columns):
    told = []
    spread = fit_faces(job, faces, workers=2, tick=told.append)
    assert told == [64, 6]
    for name, value in columns.items():
        np.testing.assert_array_equal(spread[name], value, err_msg=name)


def test_the_table_is_read_as_points(tmp_path, job, faces, columns):
    failures = write_table(tmp_path / "fits.npz", faces, columns, job, tmp_path)
    assert failures == ["66.png: too few points: 5, a fit needs 8"]
    records = load(tmp_path / "fits.npz")
    assert [record.image for record in records] == [name for name in faces.images if name != "66.png"]
    assert records[0].scheme == "68"
    assert records[1].identity == "two"
    assert records[67].points == pytest.approx(columns["points_68"][68])
    assert records[67].pose == pytest.approx(columns["pose"][68])
    table = np.load(tmp_path / "fits.npz")
    assert table["failures"].tolist() == failures
    assert {len(table[name]) for name in table if name.startswith(("points", "visible", "identity"))} == {69}


def test_a_bias_is_kept(toy, tmp_path, faces, job, columns):
    bias = np.random.default_rng(2).normal(0, 0.1, (68, 3))
    biased = replace(job, bias=bias.tobytes())
    assert biased.offsets == pytest.approx(bias)
    shifted = fit_columns(biased, faces.points[:2], faces.sizes[:2])
    expected = Fitter(toy.model, "68").with_bias(bias).fit(faces.points[:2])
    assert shifted["fitted"] == pytest.approx(expected.points, abs=1e-2)
    write_table(tmp_path / "fits.npz", faces, columns, biased, tmp_path)
    assert read_bias(tmp_path / "fits.npz", 68) == bias.tobytes()
    write_table(tmp_path / "plain.npz", faces, columns, job, tmp_path)
    for path, message in {"plain.npz": "without an annotation bias", "none.npz": "not a table"}.items():
        with pytest.raises(InputError, match=message):
            read_bias(tmp_path / path, 68)


def test_nothing_to_write(tmp_path, job, faces):
    bad = Faces2D(("a.png",), ("",), np.full((1, 68, 2), np.nan), np.full((1, 2), np.nan), "68")
    with pytest.raises(DataError, match=r"none of the 1 faces.*a\.png: too few points"):
        write_table(tmp_path / "fits.npz", bad, fit_faces(job, bad), job, tmp_path)
    assert not (tmp_path / "fits.npz").exists()
    with pytest.raises(ShapeError, match="'51'"):
        fit_faces(replace(job, scheme="51"), faces)
    with pytest.raises(ShapeError, match="2 images"):
        Faces2D(("a", "b"), ("", ""), np.zeros((1, 68, 2)), np.zeros((2, 2)), "68")


def test_what_a_killed_call_has_done_is_not_done_again(tmp_path, job, faces, columns, monkeypatch):
    parts = tmp_path / ".fits.npz.parts"

    def killed(*arguments):
        if len(list(parts.glob("*.npz"))) == 1:
            raise KeyboardInterrupt
        return fit_columns(*arguments)

    monkeypatch.setattr("canthus.face3d.table.fit_columns", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_faces(job, faces, parts=parts)
    calls = []
    monkeypatch.setattr("canthus.face3d.table.fit_columns", lambda *given: calls.append(1) or fit_columns(*given))
    told = []
    again = fit_faces(job, faces, tick=told.append, parts=parts)
    assert (len(calls), told) == (1, [64, 6])
    for name, value in columns.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    with pytest.raises(OutputError, match="other settings"):
        fit_faces(replace(job, outline=False), faces, parts=parts)
    forget(parts)
    assert not parts.exists()
