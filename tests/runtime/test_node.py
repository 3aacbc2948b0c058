"""The example in JavaScript finds the points of Python: the contract in docs/runtime-contract.md holds."""

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import canthus
from canthus.align.aligner import Aligner
from canthus.geometry.crop import crop_matrix, warp
from canthus.runtime.bundle import Bundle, default_bundle
from canthus.types import Image

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "node"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (EXAMPLE / "node_modules" / "onnxruntime-web").is_dir(),
        reason="the packages of the example are not installed: run npm ci in examples/node",
    ),
]
BOX = np.array([180, 88, 272, 179], np.float32)
"""The face of the picture below."""


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return canthus.read(ROOT / "examples" / "astronaut.jpg")


def saved(image: Image, path: Path) -> Path:
    """The image as a PNG file."""
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def node(*words: object) -> dict[str, np.ndarray]:
    """What the example prints."""
    assert NODE is not None
    command = [NODE, "landmarks.mjs", "--bundle", default_bundle(), *words]
    done = subprocess.run([*map(str, command)], cwd=EXAMPLE, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return {name: np.array(value) for name, value in json.loads(done.stdout).items()}


@pytest.mark.parametrize(
    ("enlarged", "corner"),
    [
        pytest.param(1, (0, 0), id="samples"),
        pytest.param(6, (0, 0), id="averages blocks first"),
        pytest.param(3, (195, 100), id="reaches out of the picture"),
    ],
)
def test_points_of_a_box_are_those_of_python(
    enlarged: int, corner: tuple[int, int], astronaut: Image, tmp_path: Path
) -> None:
    """To .05 pixels of the crop, in a picture that starts at `corner` and is `enlarged` times as fine."""
    x, y = corner
    size = (512 - x) * enlarged, (512 - y) * enlarged
    image = cv2.resize(astronaut[y:, x:], size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    box = (BOX - np.tile(corner, 2).astype(np.float32)) * enlarged
    expected = Aligner.open().align(image, box)
    found = node("--image", saved(image, tmp_path / "a.png"), f"--box={','.join(map(str, box))}")
    np.testing.assert_allclose(found["points"], expected.points[0], atol=0.05 * enlarged)
    np.testing.assert_allclose(found["scores"], expected.scores[0], atol=0.005)
    np.testing.assert_allclose(found["pose"], expected.pose[0], atol=0.05)


def test_points_of_a_crop_are_those_of_python(astronaut: Image, tmp_path: Path) -> None:
    crop = Bundle.open().card.stages[0].crop
    assert crop is not None
    matrix = crop_matrix(BOX, crop.size, crop.margin)
    found = node("--crop", saved(warp(astronaut, matrix, crop.size), tmp_path / "crop.png"))
    expected = Aligner.open().align(astronaut, BOX).points[0] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(found["points"], expected, atol=0.002)
