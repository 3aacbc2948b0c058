"""Pictures of maps: what they show, which outputs are fetched, and `canthus detect --maps` from model to file."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from canthus.align.aligner import Aligner
from canthus.align.maps import MAPS, SIDE, under
from canthus.errors import BundleError
from canthus.export.onnx import part_to_onnx
from canthus.geometry.crop import Crop
from canthus.nets.score_guided import ScoreGuided, parts
from canthus.nets.systems import configure
from canthus.runtime.bundle import StageCard, member_of, write_bundle
from canthus.runtime.session import Session
from canthus.types import Faces, Image
from command import run
from toy_card import toy_card

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
BOX = np.float32([[180, 88, 272, 179]])


@pytest.fixture(scope="module")
def model() -> bytes:
    """A network with random weights."""
    torch.manual_seed(0)
    fields = {"size": 32, "stem": [4, 4, 4, 8], "branch": 4, "scales": 1}
    net = ScoreGuided(configure("score_guided", "ablation", fields, "68")).eval()
    return part_to_onnx(parts(net)[0], {"crops": np.zeros((2, 32, 32, 3), np.uint8)}, ({0: torch.export.Dim("faces")},))


@pytest.fixture(scope="module")
def bundle(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    networks = {"landmarks.onnx": model}
    files = {"landmarks": {"fp32": member_of("landmarks.onnx", model)}}
    stage = StageCard(
        name="maps", scheme="68", points=68, crop=Crop(32, 1.3), parts=files, checkpoint="landmarks"  # type: ignore[arg-type]
    )  # fmt: skip
    path = tmp_path_factory.mktemp("bundle") / "maps.canthus"
    write_bundle(path, toy_card("score_guided", {}, None, stages=[stage]), networks)
    return path


@pytest.fixture(scope="module")
def portrait() -> Image:
    return cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB).astype(np.uint8)


def test_maps_are_fetched_where_they_are_wanted(model: bytes) -> None:
    every, some = Session(model), Session(model, skip=(*MAPS, "no such output"))
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert set(every.outputs) - set(some.outputs) == set(MAPS)
    assert every.run(crops)["heatmaps"].shape == every.run(crops)["scoremaps"].shape == (3, 68, 16, 16)
    assert set(some.run(crops)) == set(some.outputs)
    np.testing.assert_array_equal(some.run(crops)["points"], every.run(crops)["points"])


def test_a_map_shines_where_it_is_high() -> None:
    crop = np.full((32, 32, 3), 90, np.uint8)
    maps = np.full((2, 16, 16), -3.0)
    maps[0, 2, 2], maps[1, 12, 6] = 1.0, 40.0
    shown = under(crop, maps)
    assert shown.shape == (SIDE, SIDE, 3)
    change = np.abs(shown.astype(int) - 90).sum(-1).reshape(16, 16, 16, 16).mean((1, 3))
    assert {tuple(place) for place in np.argwhere(change > 0.8 * change.max()).tolist()} == {(2, 2), (12, 6)}
    assert change[8, 12] == 0
    np.testing.assert_array_equal(under(crop, np.zeros((2, 16, 16))), np.full((SIDE, SIDE, 3), 90))


def test_a_sheet_has_a_row_for_each_face(bundle: Path, portrait: Image) -> None:
    aligner = Aligner.open(bundle, batch=2, maps=True)
    faces = aligner.align(portrait, np.repeat(BOX, 3, 0))
    sheet = aligner.sheet(portrait, faces)
    assert sheet.shape == (3 * SIDE, 3 * SIDE, 3)
    assert (sheet[:SIDE] == sheet[SIDE : 2 * SIDE]).all()
    columns = np.split(sheet[:SIDE], 3, axis=1)
    assert not any(np.array_equal(columns[a], columns[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert aligner.sheet(portrait, Faces.empty("68", 68)).shape == (1, 1, 3)
    np.testing.assert_array_equal(Aligner.open(bundle).align(portrait, BOX).points, faces.points[:1])


def test_other_systems_refuse(bundle: Path) -> None:
    with pytest.raises(BundleError, match="compact has no score maps; use a model of score_guided"):
        Aligner.open(maps=True)


@pytest.mark.parametrize("overlay", [True, False])
def test_detect_writes_maps(overlay: bool, bundle: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "out", ["--overlay"] * overlay
    assert run("detect", PORTRAIT, "--model", bundle, "-o", out, "--maps", *words) == 0
    shown = cv2.imread(str(out / "astronaut.maps.png"))
    assert shown is not None and shown.shape == (SIDE, 3 * SIDE, 3)
    assert (out / "astronaut.jpg").exists() == overlay
    assert run("detect", PORTRAIT, "--model", bundle, "-o", out) == 0
    assert not (out / "astronaut.maps.png").exists()


def test_detect_without_maps_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("detect", PORTRAIT, "-o", tmp_path / "out", "--maps") == 3
    assert "has no score maps" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_maps_never_replace_an_image(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpg", "a.maps.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 40, 3), np.uint8))
    assert run("detect", tmp_path / "a.jpg", tmp_path / "a.maps.png", "--model", bundle, "-o", tmp_path, "--maps") == 3
    assert "would replace an image" in " ".join(capsys.readouterr().err.split())
