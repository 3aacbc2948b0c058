"""`canthus synth` import, fit, profile and occlude from arguments to files and exit codes; a head of few vertices."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from canthus.cli.synth import app
from canthus.data.catalogue import open_set
from canthus.errors import CanthusError, InputError, OutputError
from canthus.face3d.morphable import MorphableModel
from canthus.formats.record import Record
from canthus.formats.table import dump, load
from canthus.schemes.scheme import Scheme


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """FaceXModel: half an ellipsoid whose vertices are places for 68 points, one identity, one expression."""
    place = tmp_path_factory.mktemp("ict") / "FaceXModel"
    place.mkdir()
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-7, 7, 29), np.linspace(9, -9, 25)))
    z = 8 * np.sqrt(np.maximum(1 - (x / 8) ** 2 - (y / 11) ** 2, 0)) + 2 * np.exp(-(x**2) - (y / 2) ** 2)
    mean = np.stack([x, y, z], -1)
    shapes = {
        "generic_neutral_mesh": mean,
        "identity000": mean * (1.1, 1, 1),
        "jawOpen": mean - np.outer(y < -4, [0, 1, 0]),
    }
    corners = [(r * 29 + c, r * 29 + 29 + c, r * 29 + 30 + c, r * 29 + c + 1) for r in range(24) for c in range(28)]
    for name, vertices in shapes.items():
        lines = [f"v {a} {b} {c}" for a, b, c in vertices] + ["vt 0 0"]
        lines += ["f " + " ".join(f"{corner + 1}/1" for corner in face) for face in corners]
        (place / f"{name}.obj").write_text("\n".join(lines))
    (place / "vertex_indices.json").write_text(json.dumps({"expressions": ["jawOpen"]}))
    return place


@pytest.fixture(scope="module")
def model(folder):
    """Made by the command; its landmarks are 68 vertices spread over the front."""
    path = folder.parent / "face.npz"
    result = run("import", folder, "-o", path)
    assert result.exit_code == 0, result.output
    assert "725 vertices, 1 identities, 1 expressions, 1344 triangles" in result.output
    spread = np.random.default_rng(0).permutation(725)[:68].tolist()
    path.with_name("landmarks.json").write_text(json.dumps({"sets": {"ibug68_3d": spread}}))
    return path


@pytest.fixture(scope="module")
def points(model):
    """Twenty faces as the model has them, and one that is mirrored."""
    head = MorphableModel.open(model)
    mean = 10 * head.mean[head.landmarks.points["68"], :2] + 100
    rng = np.random.default_rng(1)
    records = [Record(f"{index}.png", mean + rng.normal(0, 0.2, (68, 2))) for index in range(20)]
    dump(model.with_name("good.csv"), records)
    mirrored = Scheme.open("68").mirrored(mean, 200)[Scheme.open("68").mirror]
    dump(model.with_name("some.csv"), [*records, Record("turned.png", mirrored)])
    return model.with_name("good.csv")


def test_fit_a_file(model, points, tmp_path):
    result = run("fit", "--face-model", model, "--points", points, "-o", tmp_path / "fits.npz", "--limit", "5")
    assert result.exit_code == 0, result.output
    assert "no annotation bias is learnt from 5 faces" in result.output
    assert "5 faces; by yaw 5 at 0-30" in result.output
    assert len(load(tmp_path / "fits.npz")) == 5
    assert "no contact sheet: picture" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["fits.npz"]


def test_a_fit_comes_with_a_contact_sheet(model, points, tmp_path):
    for index in range(3):
        cv2.imwrite(str(points.with_name(f"{index}.png")), np.full((200, 200, 3), 90, np.uint8))
    load_three = [Record(f"{index}.png", record.points) for index, record in enumerate(load(points)[:3])]
    dump(points.with_name("three.csv"), load_three)
    out = tmp_path / "fitted" / "train.npz"
    out.parent.mkdir()
    result = run(
        "fit", "--face-model", model, "--points", points.with_name("three.csv"), "-o", out, "--no-annotation-bias"
    )
    assert result.exit_code == 0, result.output
    sheet = cv2.imread(str(out.with_suffix(".png")))
    assert sheet.shape == (128, 3 * 128, 3)
    assert (np.abs(sheet.astype(int) - 90).max(-1) > 60).any()
    samples = open_set("fits:fitted", tmp_path, "train", scheme="68", labels="2d")
    assert [sample.image.resolve() for sample in samples] == [points.with_name(f"{i}.png").resolve() for i in range(3)]


def test_some_faces_fail(model, points, tmp_path):
    some = points.with_name("some.csv")
    result = run("fit", "--face-model", model, "--points", some, "-o", tmp_path / "fits.npz", "--no-annotation-bias")
    assert result.exit_code == 1
    assert "1 faces were not fitted" in result.output
    assert "turned.png: mirrored labels" in result.output
    assert len(load(tmp_path / "fits.npz")) == 20


@pytest.fixture(scope="module")
def fits(model, points):
    """The table of the twenty, and their pictures beside it."""
    out = model.with_name("made.npz")
    assert run("fit", "--face-model", model, "--points", points, "-o", out, "--no-annotation-bias").exit_code == 0
    for index in range(20):
        cv2.imwrite(str(model.with_name(f"{index}.png")), np.full((200, 200, 3), (125, 150, 205), np.uint8))
    return out


def test_views(model, fits, tmp_path):
    out = tmp_path / "views" / "train"
    arguments = (
        "--face-model",
        model,
        "--fits",
        fits,
        "--pictures",
        model.parent,
        "-o",
        out,
        "-n",
        "20",
        "--size",
        "64",
    )
    result = run("profile", *arguments)
    assert result.exit_code == 1, result.output  # from the front nobody reaches the profiles
    made = len(open_set("views", tmp_path, "train"))
    assert 0 < made < 20
    assert f"{made} of 20 pictures" in result.output
    assert "in every ten degrees of azimuth from -90 to 90: 0 0 " in result.output
    assert run("profile", *arguments).output.splitlines()[2:] == result.output.splitlines()[2:]
    assert isinstance(run("profile", *arguments, "--seed", "1").exception, OutputError)


def test_occluded_copies(model, fits, tmp_path):
    out = tmp_path / "occluded" / "train"
    result = run("occlude", "--fits", fits, "--pictures", model.parent, "-o", out, "-n", "5", "--size", "64")
    assert result.exit_code == 0, result.output
    assert "5 of 5 pictures" in result.output and "refused 0.0%" in result.output
    samples = open_set("views:occluded", tmp_path, "train")
    assert len(samples) == 5 and samples[0].picture().shape == (64, 64, 3)
    result = run("occlude", "--fits", fits, "--pictures", tmp_path, "-o", tmp_path / "other")
    assert isinstance(result.exception, InputError)


def test_occluded_views(model, fits, tmp_path):
    views, out = tmp_path / "views" / "train", tmp_path / "covered" / "train"
    run(
        "profile",
        "--face-model",
        model,
        "--fits",
        fits,
        "--pictures",
        model.parent,
        "-o",
        views,
        "-n",
        "20",
        "--size",
        "64",
    )
    result = run("occlude", "--views", views, "-o", out, "-n", "6")
    assert result.exit_code == 0, result.output
    assert "6 of 6 pictures" in result.output
    samples = open_set("views:covered", tmp_path, "train", labels="3d")
    assert len(samples) == 6 and samples[0].picture().shape == (64, 64, 3)
    assert run("occlude", "-o", out).exit_code == 2
    assert run("occlude", "--fits", fits, "-o", out).exit_code == 2
    assert run("occlude", "--views", views, "--fits", fits, "-o", out).exit_code == 2
    assert run("occlude", "--views", views, "--size", "64", "-o", out).exit_code == 2
    assert isinstance(run("occlude", "--views", tmp_path, "-o", tmp_path / "other").exception, InputError)


def test_wrong_usage_and_errors(model, points, folder, tmp_path):
    out = tmp_path / "fits.npz"
    assert run("fit", "--face-model", model, "-o", out).exit_code == 2
    assert run("fit", "--face-model", model, "--points", points, "--data", "wild68", "-o", out).exit_code == 2
    assert run("fit", "--face-model", model, "--points", points, "-o", tmp_path / "fits.csv").exit_code == 2
    assert run("import", folder, "-o", tmp_path / "face.obj").exit_code == 2
    result = run("fit", "--face-model", tmp_path / "none.npz", "--points", points, "-o", out, "--no-annotation-bias")
    assert isinstance(result.exception, InputError)
    result = run("fit", "--face-model", model, "--points", points, "--scheme", "51", "-o", out, "--no-annotation-bias")
    assert isinstance(result.exception, CanthusError)
    assert not out.exists()
    assert isinstance(run("import", tmp_path / "nothing", "-o", out).exception, InputError)
