"""`canthus synth denoise` from arguments to a data set and exit codes."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus.cli.synth import app
from canthus.data.catalogue import open_set
from canthus.errors import DataError, InputError, OutputError, SchemeError, ShapeError
from canthus.runtime.bundle import default_bundle

HALF = ("--weights", "contour=.5,.5,0", "--weights", "inner=.5,.5,0")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def fits(drawn, tmp_path):
    """A table of the eight training faces that places every point two pixels to the right, all but one."""
    return table(drawn, tmp_path / "fits.npz", 7)


def table(drawn, path, count, **changes):
    samples = open_set("wild68", drawn, "train")[:count]
    labels = np.stack([sample.points for sample in samples])
    columns = {
        "images": np.array([sample.image.relative_to(drawn / "wild68").as_posix() for sample in samples]),
        "identities": np.array([sample.identity for sample in samples]),
        "labels": labels,
        "fitted": np.concatenate([labels + np.array([2, 0]), np.zeros((count, 68, 1))], -1).astype(np.float32),
        "residual": np.full((count, 68), 2, np.float32),
        "error": np.full(count, 0.05, np.float32),
        "inter_ocular": np.full(count, 40, np.float32),
        "pose": np.zeros((count, 3), np.float32),
        "scale": np.ones(count, np.float32),
        "rotation": np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        "shift": np.zeros((count, 2), np.float32),
        "identity": np.zeros((count, 1), np.float32),
        "expression": np.zeros((count, 1), np.float32),
        "scheme": np.array("68"),
        "annotation_bias": np.zeros((0, 3)),
    }
    np.savez(path, **{**columns, **changes})
    return path


def order(drawn, fits, out, *more):
    return run("denoise", "--data", "wild68", "--root", drawn, "--fits", fits, "-o", out, *more)


def test_a_set_that_the_ordinary_reader_reads(drawn, fits, tmp_path):
    out = tmp_path / "clean"
    result = order(drawn, fits, out, *HALF)
    assert result.exit_code == 1, result.output  # one face has no fit
    assert "7 faces; points moved by 2.50%" in result.output
    assert "omitted: images/train/7.png: a prior is missing" in result.output
    old, new = (list(open_set(name, drawn, "train")) for name in ("wild68", f"csv:{out}"))
    assert [sample.identity for sample in new] == [sample.identity for sample in old[:7]]
    for before, after in zip(old, new, strict=False):
        assert after.image.resolve() == before.image.resolve() and after.picture().shape == (120, 120, 3)
        np.testing.assert_allclose(after.points, before.points + np.array([1, 0]), atol=0.002)
    with np.load(out / "train.npz") as index:
        np.testing.assert_allclose(index["moved"][:7], 1 / 40, rtol=1e-4)
        assert (index["problems"] != "").tolist() == [False] * 7 + [True]
    settings = json.loads((out / "train.json").read_text())
    assert settings["weights"] == {"contour": [0.5, 0.5, 0], "inner": [0.5, 0.5, 0]}
    assert (settings["faces"], settings["refused"], settings["points_kept"]) == (7, 1, 0)
    assert (out / "train.png").is_file() and not (out / "images").exists()
    assert isinstance(order(drawn, fits, out, *HALF).exception, OutputError)


def test_pictures_move_with_the_set(drawn, fits, tmp_path):
    assert order(drawn, fits, tmp_path / "clean", *HALF).exit_code == 1
    with (tmp_path / "clean" / "train.csv").open() as lines:
        assert next(csv.DictReader(lines))["image"].startswith("../../")


def test_beyond_the_limit_nothing_moves(drawn, fits, tmp_path):
    result = order(drawn, fits, tmp_path / "clean", *HALF, "--max-move", ".02")
    assert isinstance(result.exception, DataError)
    assert "would move too far" in str(result.exception)
    assert not (tmp_path / "clean").exists()


def test_a_network_with_its_own_bias_and_with_that_of_the_labels(drawn, tmp_path):
    fits, net = table(drawn, tmp_path / "fits.npz", 8), ("--model", default_bundle(), "--max-move", "9")
    label = ("--weights", "contour=1,0,0", "--weights", "inner=1,0,0")
    assert order(drawn, fits, tmp_path / "same", *net, *label).exit_code == 0
    assert order(drawn, fits, tmp_path / "net", *net, *label, "--bias-of", "net").exit_code == 0
    old, same, other = (
        open_set(name, drawn, "train") for name in ("wild68", f"csv:{tmp_path}/same", f"csv:{tmp_path}/net")
    )
    for before, after, shifted in zip(old, same, other, strict=True):
        np.testing.assert_allclose(after.points, before.points, atol=0.001)
        assert np.abs(shifted.points - before.points).max() > 1


@pytest.mark.parametrize(
    "more",
    [
        (),
        (*HALF, "--bias-of", "mine"),
        ("--weights", "contour"),
        ("--weights", "contour=1,0"),
        ("--weights", "contour=a,0,1"),
        ("--weights", "contour=.5,0,.5", "--weights", "inner=1,0,0"),
        ("--choose", "good.npz"),
        (*HALF, "--choose", "good.npz"),
    ],
)
def test_wrong_usage(drawn, fits, tmp_path, more):
    assert order(drawn, fits, tmp_path / "clean", *more).exit_code == 2
    assert not (tmp_path / "clean").exists()


def test_errors(drawn, fits, tmp_path):
    out, place = tmp_path / "clean", {"images": np.array([f"images/val/{index}.png" for index in range(4)])}
    other = table(drawn, tmp_path / "other.npz", 4, **place)
    assert isinstance(order(drawn, other, out, *HALF).exception, InputError)
    moved = table(drawn, tmp_path / "moved.npz", 4, labels=np.zeros((4, 68, 2)))
    assert isinstance(order(drawn, moved, out, *HALF).exception, InputError)
    fewer = table(drawn, tmp_path / "fewer.npz", 4, scheme=np.array("51"))
    assert isinstance(order(drawn, fewer, out, *HALF).exception, SchemeError)
    assert isinstance(order(drawn, fits, out, "--weights", "contour=1,0,0").exception, ShapeError)
    assert isinstance(order(drawn, tmp_path / "none.npz", out, *HALF).exception, InputError)
    assert not out.exists()


@pytest.mark.data
def test_weights_chosen_on_good_labels(data_root, tmp_path):
    model = data_root / "ict_facekit" / "ict_facekit.npz"
    for name in ("ytf68", "wild68"):
        place = ("--data", name, "--split", "val", "--root", data_root, "--limit", "12", "-o", tmp_path / f"{name}.npz")
        assert run("fit", "--face-model", model, *place).exit_code == 0
    good = ("--choose", tmp_path / "wild68.npz", "--choose-pictures", data_root / "wild68", "--face-model", model)
    noise = ("--label-noise", "contour=.03", "--label-noise", "inner=.02")
    common = ("--data", "ytf68", "--split", "val", "--root", data_root, "--fits", tmp_path / "ytf68.npz")
    result = run("denoise", *common, "--model", default_bundle(), *good, *noise, "-o", tmp_path / "clean")
    assert result.exit_code == 1 and "12 faces; points moved" in result.output
    settings = json.loads((tmp_path / "clean" / "val.json").read_text())
    assert settings["errors"]["inner"]["blend"] < settings["errors"]["inner"]["label"]
    assert len(open_set(f"csv:{tmp_path / 'clean'}", data_root, "val")) == 12
