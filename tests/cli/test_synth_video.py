"""`canthus synth video` from arguments to files and exit codes; half an ellipsoid of few vertices is the head."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import canthus.cli
from canthus.cli.synth import app
from canthus.data.catalogue import open_set
from canthus.errors import InputError, OutputError
from canthus.face3d.ict import import_ict


def run(*arguments):
    return CliRunner().invoke(app, ["video", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Half an ellipsoid with 68 points, made from the form in which ICT-FaceKit is distributed."""
    place = tmp_path_factory.mktemp("ict") / "FaceXModel"
    place.mkdir()
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-7, 7, 15), np.linspace(9, -9, 13)))
    mean = np.stack([x, y, 8 * np.sqrt(np.maximum(1 - (x / 8) ** 2 - (y / 11) ** 2, 0))], -1)
    corners = [(r * 15 + c, r * 15 + 15 + c, r * 15 + 16 + c, r * 15 + c + 1) for r in range(12) for c in range(14)]
    for name, vertices in {"generic_neutral_mesh": mean, "identity000": mean * (1.1, 1, 1), "jawOpen": mean}.items():
        lines = [f"v {a} {b} {c}" for a, b, c in vertices] + ["vt 0 0"]
        lines += ["f " + " ".join(f"{corner + 1}/1" for corner in face) for face in corners]
        (place / f"{name}.obj").write_text("\n".join(lines))
    (place / "vertex_indices.json").write_text(json.dumps({"expressions": ["jawOpen"]}))
    path = place.parent / "face.npz"
    import_ict(place, path)
    spread = np.random.default_rng(0).permutation(195)[:68].tolist()
    path.with_name("landmarks.json").write_text(json.dumps({"sets": {"ibug68_3d": spread}}))
    return path


def test_videos_are_made_and_made_once(model, tmp_path):
    out = tmp_path / "videos"
    arguments = ("--face-model", model, "-o", out, "-n", 2, "--frames", 3, "--size", 48)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "2 sequences of 3 frames" in result.output and "look at sheet.png" in result.output
    shares = result.output.split("from -90 to 90: ")[1].split()
    assert len(shares) == 18 and sum(map(int, shares)) == 6
    samples = open_set("300vw:videos", tmp_path, "synth", labels="3d")
    assert len(samples) == 6 and samples[0].points.shape == (68, 3)
    assert samples[5].picture().shape == (48, 48, 3)
    written = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = run(*arguments, "--workers", 2)
    assert again.exit_code == 0 and again.output.splitlines()[-1] == result.output.splitlines()[-1]
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == written


def test_pictures_as_backgrounds(model, tmp_path):
    walls = tmp_path / "walls"
    walls.mkdir()
    cv2.imwrite(str(walls / "wall.png"), np.full((60, 60, 3), (200, 40, 10), np.uint8))
    arguments = ("--face-model", model, "-n", 1, "--frames", 1, "--size", 48, "--backgrounds")
    assert run(*arguments, walls, "-o", tmp_path / "videos").exit_code == 0
    frame = cv2.VideoCapture(str(tmp_path / "videos" / "001" / "vid.avi")).read()[1]
    assert frame[0, 0].astype(float) == pytest.approx([200, 40, 10], abs=12)
    assert isinstance(run(*arguments, tmp_path / "none", "-o", tmp_path / "other").exception, InputError)


def test_wrong_usage(model, tmp_path):
    assert run("--face-model", model).exit_code == 2
    assert run("--face-model", model, "-o", tmp_path / "videos", "--frames", 0).exit_code == 2
    assert not (tmp_path / "videos").exists()


def test_what_cannot_be_made_or_written(model, tmp_path, monkeypatch, capsys):
    arguments = ("-n", 1, "--frames", 1, "--size", 48)
    (tmp_path / "broken.npz").write_bytes(b"broken")
    (tmp_path / "landmarks.json").write_text("{}")
    result = run("--face-model", tmp_path / "broken.npz", "-o", tmp_path / "videos", *arguments)
    assert isinstance(result.exception, InputError) and "broken.npz" in str(result.exception)
    result = run("--face-model", model, "-o", tmp_path / "broken.npz" / "videos", *arguments)
    assert isinstance(result.exception, OutputError) and "cannot be written" in str(result.exception)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("x")
    command = ["canthus", "synth", "video", "--face-model", model, "-o", tmp_path / "mine", *arguments]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in command])
    with pytest.raises(SystemExit) as stop:
        canthus.cli.main()
    assert stop.value.code == 3
    assert "is not empty and holds no run (run.json is missing); choose another folder" in capsys.readouterr().err
