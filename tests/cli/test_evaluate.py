import json
import shutil
import sys

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from canthus import cli
from canthus.errors import CanthusError, DataError, SchemeError
from canthus.evaluate.protocol import PROTOCOLS, ProtocolError
from canthus.formats import table as formats
from canthus.schemes.scheme import Scheme
from canthus.types import Faces


@pytest.fixture
def points(rng):
    """True points (6, 68, 2) and predictions near them."""
    truth = rng.uniform(0, 200, (6, 68, 2)).astype(np.float32)
    return truth, truth + rng.normal(0, 4, truth.shape).astype(np.float32)


@pytest.fixture
def files(tmp_path, points):
    for name, array in zip(("truth", "mine"), points, strict=True):
        np.savez(tmp_path / f"{name}.npz", points=array)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["evaluate", *map(str, arguments)], catch_exceptions=True)


def two_files(folder, *more):
    return run("--truth", folder / "truth.npz", "--predictions", folder / "mine.npz", *more)


def closed_form(points, unit, threshold):
    truth, found = (array.astype(np.float64) for array in points)
    errors = np.linalg.norm(found - truth, axis=2).mean(1) / unit(truth)
    return errors.mean(), np.clip(1 - errors / threshold, 0, None).mean(), (errors > threshold).mean()


UNITS = {
    "inter-ocular": lambda t: np.linalg.norm(t[:, 36] - t[:, 45], axis=1),
    "inter-pupil": lambda t: np.linalg.norm(t[:, 36:42].mean(1) - t[:, 42:48].mean(1), axis=1),
    "box": lambda t: np.sqrt(np.prod(t.max(1) - t.min(1), axis=1)),
    "diagonal": lambda t: np.linalg.norm(t.max(1) - t.min(1), axis=1),
}


@pytest.mark.parametrize("normaliser", UNITS)
def test_two_files(files, points, normaliser):
    out = files / "deep" / "out.json"
    result = two_files(files, "--scheme", "68", "--normaliser", normaliser, "--threshold", "0.04", "--json", out)
    assert result.exit_code == 0, result.output
    tree = json.loads(out.read_text())
    figures = tree["nme"], tree["auc"], tree["failure_rate"]
    assert figures == pytest.approx(closed_form(points, UNITS[normaliser], 0.04))
    assert tree["faces"] == 6
    assert tree["protocol"]["normaliser"] == normaliser
    assert tree["protocol"]["threshold"] == 0.04
    assert tree["protocol"]["scheme"] == "68"


def test_a_report_of_two_files(files):
    result = two_files(files, "--report", files / "out")
    assert result.exit_code == 0, result.output
    assert "report:" in result.output and "two files" in result.output
    assert {"report.html", "report.md", "report.json", "faces.csv", "ced.svg", "ced.png"} <= {
        path.name for path in (files / "out").iterdir()
    }


def test_another_scheme(tmp_path, rng):
    truth = rng.uniform(0, 100, (3, 98, 2))
    np.savez(tmp_path / "truth.npz", points=truth)
    np.savez(tmp_path / "mine.npz", points=truth + 1)
    assert two_files(tmp_path, "--scheme", "98").exit_code == 0
    assert isinstance(two_files(tmp_path).exception, SchemeError)


def test_pixels_counted_from_1(files, points):
    np.savez(files / "mine.npz", points=points[0] + 1)
    assert two_files(files, "--origin", "1", "--json", files / "a.json").exit_code == 0
    assert json.loads((files / "a.json").read_text())["nme"] == pytest.approx(0, abs=1e-6)


def test_missing_faces(files, points):
    found = points[1].copy()
    found[2] = np.nan
    np.savez(files / "mine.npz", points=found)
    assert "--missing failure" in str(two_files(files).exception)
    result = two_files(files, "--missing", "failure", "--json", files / "a.json")
    assert result.exit_code == 0
    tree = json.loads((files / "a.json").read_text())
    assert tree["missing"] == 1 and tree["failure_rate"] >= 1 / 6
    assert "note: 1 faces were not found" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--data, --protocol, or --truth"),
        (("--truth", "a.npz"), "--predictions"),
        (("--truth", "a.npz", "--predictions", "b.npz", "--data", "wild68"), "excludes --data"),
        (("--truth", "a.npz", "--predictions", "b.npz", "--normaliser", "ears"), "ears"),
        (("--data", "wild68"), "CANTHUS_DATA"),
        (("--origin", "7"), "Invalid value"),
    ],
)
def test_wrong_usage_is_2(monkeypatch, arguments, message):
    monkeypatch.delenv("CANTHUS_DATA", raising=False)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_what_cannot_be_done_is_3_with_one_line(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["canthus", "evaluate", "--protocol", "300w", "--root", str(files)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 3
    assert "did you mean 300w-" in capsys.readouterr().err


def test_the_protocols_are_listed():
    result = CliRunner(env={"COLUMNS": "300"}).invoke(cli.app, ["evaluate", "--protocols"])
    assert result.exit_code == 0
    assert all(name in result.output for name in PROTOCOLS)


@pytest.fixture
def data_set(tmp_path, rng):
    """A set "wild68" of 4 faces with boxes and two other systems."""
    folder = tmp_path / "wild68"
    (folder / "images" / "test").mkdir(parents=True)
    truth = rng.uniform(20, 80, (4, 68, 2)).astype(np.float32).round(2)
    names = [f"test/{index}.png" for index in range(4)]
    header = "image,identity," + ",".join(f"x{index},y{index}" for index in range(68))
    rows = [f"{name},{name}," + ",".join(map(str, face.ravel())) for name, face in zip(names, truth, strict=True)]
    (folder / "test.csv").write_text("\n".join([header, *rows]) + "\n")
    boxes = [f"{name},10,10,90,90,12,12,92,92" for name in names]
    sides = ",".join(f"{kind}_{side}" for kind in ("tight", "jitter") for side in ("x0", "y0", "x1", "y1"))
    (folder / "test_boxes.csv").write_text("\n".join([f"image,{sides}", *boxes]) + "\n")
    others = np.stack([truth + 1, truth + 2])
    np.savez(folder / "test_peers.npz", names=np.array(["one", "two"]), tight=others, jitter=others + 1)
    for name in names:
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 255, (100, 100, 3), np.uint8))
    return tmp_path, truth, names


class Centre:
    """Finds every point in the middle of the box."""

    def __init__(self):
        self.scheme, self.card = Scheme.open("68"), type("Card", (), {"name": "centre"})
        self.boxes = []

    def align_many(self, images, boxes):
        self.boxes += [tuple(box[0].tolist()) for box in boxes]
        middles = [(box[:, None, :2] + box[:, None, 2:]) / 2 for box in boxes]
        return [
            Faces(np.repeat(m, 68, 1), b, np.full((1, 68), 0.5), scheme="68")
            for m, b in zip(middles, boxes, strict=True)
        ]


@pytest.fixture
def centre(monkeypatch):
    aligner = Centre()
    monkeypatch.setattr("canthus.align.aligner.Aligner.open", lambda *arguments, **options: aligner)
    return aligner


def test_our_model_on_a_set_in_both_boxes_beside_the_others(data_set, centre):
    root, truth, _ = data_set
    result = run("--data", "wild68", "--root", root, "--report", root / "out", "--json", root / "out.json")
    assert result.exit_code == 0, result.output
    assert sorted(set(centre.boxes)) == [(10, 10, 90, 90), (12, 12, 92, 92)]
    tree = json.loads((root / "out.json").read_text())
    expected = closed_form((truth, np.full_like(truth, 50)), UNITS["inter-ocular"], 0.08)
    assert (tree["nme"], tree["auc"], tree["failure_rate"]) == pytest.approx(expected)
    assert [(row["system"], row["boxes"]) for row in tree["others"]] == [
        ("centre", "jitter"),
        ("one", "tight"),
        ("two", "tight"),
        ("one", "jitter"),
        ("two", "jitter"),
    ]
    for words in ("4 faces, tight boxes", "4 faces, jitter boxes", "cascaded_cnn, published", "mouth", "contour"):
        assert words in result.output
    assert "4 faces were scored; wild68-test has 224" in (root / "out" / "report.html").read_text()


def test_one_kind_of_boxes_and_no_peers(data_set, centre):
    root, *_ = data_set
    result = run(
        "--data", "wild68", "--root", root, "--box-source", "jitter", "--no-peers", "--json", root / "out.json"
    )
    assert result.exit_code == 0, result.output
    assert set(centre.boxes) == {(12, 12, 92, 92)}
    tree = json.loads((root / "out.json").read_text())
    assert tree["others"] == [] and tree["boxes"] == "jitter"
    wrong = run("--data", "wild68", "--root", root, "--box-source", "detector")
    assert isinstance(wrong.exception, DataError) and "jitter, tight" in str(wrong.exception)


def test_peers_that_are_not_there(data_set, centre):
    root, *_ = data_set
    (root / "wild68" / "test_peers.npz").unlink()
    assert isinstance(run("--data", "wild68", "--root", root, "--peers").exception, DataError)
    assert run("--data", "wild68", "--root", root).exit_code == 0


@pytest.mark.parametrize("kind", ["csv", "json", "npz", "mat", "pts"])
def test_anybodys_predictions_by_a_named_protocol(data_set, kind):
    root, truth, names = data_set
    found, path = truth + np.float32(1), root / f"mine.{kind}"
    records = [formats.Record(name, points) for name, points in zip(names, found, strict=True)]
    if kind == "pts":
        path = root / "mine"
        for record in records[::-1]:
            (path / record.image).parent.mkdir(parents=True, exist_ok=True)
            formats.dump((path / record.image).with_suffix(".pts"), [record])
    elif kind == "mat":
        from scipy.io import savemat

        savemat(path, {"points": found})
    else:
        formats.dump(path, records[::-1])
    out = root / "out.json"
    result = run("--protocol", "wild68-test-interpupil", "--root", root, "--predictions", path, "--json", out)
    assert result.exit_code == 0, result.output
    expected = closed_form((truth, found), UNITS["inter-pupil"], 0.08)
    assert json.loads(out.read_text())["nme"] == pytest.approx(expected[0], rel=1e-4)


def test_predictions_of_other_images_are_refused(data_set):
    root, truth, _ = data_set
    formats.dump(root / "mine.csv", [formats.Record(f"other/{index}", face) for index, face in enumerate(truth)])
    result = run("--protocol", "wild68-test", "--root", root, "--predictions", root / "mine.csv")
    assert isinstance(result.exception, DataError) and "has the name" in str(result.exception)


def test_a_missing_set_shows_the_folder_expected(data_set):
    root, *_ = data_set
    shutil.rmtree(root / "wild68")
    result = run("--protocol", "wild68-test", "--root", root, "--predictions", "mine.csv")
    assert isinstance(result.exception, CanthusError) and "test.csv" in str(result.exception)


def test_a_changed_rule_shows_in_the_name(data_set, centre):
    root, *_ = data_set
    result = run("--protocol", "wild68-test", "--root", root, "--threshold", "0.05")
    assert "wild68-test with threshold 0.05" in result.output
    assert "cascaded_cnn" not in result.output
    assert isinstance(run("--protocol", "wild68-test", "--root", root, "--mask", "visible").exception, ProtocolError)
