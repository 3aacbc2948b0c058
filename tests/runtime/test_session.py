"""Engines: outputs by name, the devices and what they say where they cannot be used."""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import canthus
from canthus.align.aligner import Aligner
from canthus.detect.own import open_own
from canthus.detect.score import FaceScorer
from canthus.errors import BundleError, CanthusError, ExtraMissingError
from canthus.geometry.crop import Crop
from canthus.runtime import cuda, openvino
from canthus.runtime.bundle import Bundle, write_bundle
from canthus.runtime.session import Named, Session
from canthus.types import Image
from fuzz.seeds import network
from toy_card import toy_card

ROOT = Path(__file__).parents[2]
BUNDLES = [None, *sorted((ROOT / "models").glob("*.canthus"))]
BOXES = np.array([[180, 88, 272, 179], [172, 84, 268, 176], [188, 80, 276, 186]], np.float32)
"""The face of the picture below, and boxes that are less exact."""
with_openvino = pytest.mark.skipif(
    find_spec(openvino.PACKAGE) is None, reason="the extra openvino is not installed: pip install 'canthus[openvino]'"
)


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return canthus.read(ROOT / "examples" / "astronaut.jpg")


def zeros(count: int) -> np.ndarray:
    """Black crops for the default model."""
    crop = Bundle.open().card.stages[0].crop
    assert crop is not None
    return np.zeros((count, crop.size, crop.size, 3), np.uint8)


@pytest.mark.parametrize("device", ["cpu", pytest.param("openvino", marks=with_openvino)])
def test_outputs_come_by_name(device: Any) -> None:
    session = Session(Bundle.open().network("landmarks"), device)
    for count in (1, 3):
        out = session.run(zeros(count))
        assert {name: value.shape for name, value in out.items()} == {
            "points": (count, 68, 2),
            "scores": (count, 68),
            "pose": (count, 3),
        }


@pytest.mark.parametrize("device", ["cpu", pytest.param("openvino", marks=with_openvino)])
def test_a_damaged_network(device: Any) -> None:
    with pytest.raises(BundleError, match="the network is damaged, or not in the format ONNX"):
        Session(b"not a network", device)


def test_a_device_that_does_not_exist() -> None:
    with pytest.raises(CanthusError, match="no device is called 'abacus'; there are cpu, cuda, openvino"):
        Session(b"", device="abacus")  # type: ignore[arg-type]


def test_a_negative_number_of_threads() -> None:
    with pytest.raises(CanthusError, match="at least 1, or 0 = all cores, not -1"):
        Aligner.open(threads=-1)


def test_without_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[openvino\]'"):
        Session(b"", device="openvino")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(cuda, "distribution", absent)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[gpu\]' && pip uninstall -y onnxruntime && "):
        Session(b"", device="cuda")


def absent(package: str) -> None:
    raise PackageNotFoundError(package)


def test_an_old_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "find_spec", lambda name: object())
    monkeypatch.delattr(onnxruntime, "get_ep_devices", raising=False)
    with pytest.raises(CanthusError, match=r"needs ONNX Runtime 1\.23 or newer"):
        Session(b"", device="openvino")


def test_onnxruntime_hides_onnxruntime_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(cuda, "distribution", lambda package: object())
    with pytest.raises(CanthusError, match=r"both installed.*pip uninstall -y onnxruntime && pip install --force"):
        Session(b"", device="cuda")


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (cuda.DRIVER, "no NVIDIA driver is installed"),
        (cuda.LIBRARIES[1], r"libcublasLt.so.13 of CUDA or cuDNN was not found.*onnxruntime-gpu\[cuda,cudnn\]"),
    ],
)
def test_what_a_gpu_lacks_is_named(lost: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here are neither driver nor GPU: the loader of libraries is a stand-in."""

    def load(name: str, mode: int = 0) -> object:
        if name.endswith(lost):
            raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")
        return object()

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.PROVIDER])
    monkeypatch.setattr(ctypes, "CDLL", load)
    with pytest.raises(CanthusError, match=says):
        Session(b"", device="cuda")


def test_a_provider_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.PROVIDER])
    monkeypatch.setattr(cuda, "missing", lambda: "")
    silent = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **options: silent)
    with pytest.raises(CanthusError, match="could not start CUDAExecutionProvider"):
        Session(b"", device="cuda")


@with_openvino
@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem if path else "default")
def test_openvino_finds_the_points_of_the_cpu(path: Path | None, astronaut: Image) -> None:
    """Every bundle, one face alone and several together, to .05 px of the picture."""
    ours, theirs = (Aligner.open(path, device=device) for device in ("cpu", "openvino"))
    for boxes in (BOXES[:1], BOXES):
        expected, found = ours.align(astronaut, boxes), theirs.align(astronaut, boxes)
        np.testing.assert_allclose(found.points, expected.points, atol=0.05)
        np.testing.assert_allclose(found.scores, expected.scores, atol=0.005)
        np.testing.assert_allclose(found.pose, expected.pose, atol=0.05)


@with_openvino
def test_openvino_in_int8_is_as_near_to_fp32_as_the_cpu(astronaut: Image) -> None:
    """Engines round int8 differently; the difference from fp32 must not grow."""
    rng = np.random.default_rng(0)
    boxes = BOXES[:1] + rng.normal(0, 3, (40, 4)).astype(np.float32)
    exact = Aligner.open().align(astronaut, boxes).points

    def error(device: Any) -> float:
        points = Aligner.open(device=device, precision="int8").align(astronaut, boxes).points
        return float(np.linalg.norm(points - exact, axis=-1).mean())

    assert error("openvino") < 1.1 * error("cpu") < 0.2


@with_openvino
def test_openvino_runs_detector_and_face_score(astronaut: Image) -> None:
    """The detector's pictures have any size: several in turn, and back."""
    expected, found = (open_own(device=device) for device in ("cpu", "openvino"))
    for picture in (astronaut, astronaut[:300, 60:400], astronaut):
        ours, theirs = expected.detect(picture), found.detect(picture)
        assert len(theirs) == len(ours) == 1
        np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=0.05)
        np.testing.assert_allclose(theirs.points, ours.points, atol=0.05)
    scored = [FaceScorer.open(device=device).score(astronaut, BOXES) for device in ("cpu", "openvino")]
    np.testing.assert_allclose(scored[1].scores, scored[0].scores, atol=1e-3)
    np.testing.assert_allclose(scored[1].points, scored[0].points, atol=0.05)


@with_openvino
def test_openvino_in_several_threads(astronaut: Image) -> None:
    aligner = Aligner.open(device="openvino")
    expected = [aligner.align(astronaut, box).points for box in BOXES]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: aligner.align(astronaut, BOXES[index % 3]).points, range(60)))
    assert all(np.array_equal(points, expected[index % 3]) for index, points in enumerate(found))


@with_openvino
def test_openvino_on_the_command_line(tmp_path: Path) -> None:
    picture = str(ROOT / "examples" / "astronaut.jpg")
    command = [sys.executable, "-m", "canthus", "detect", picture, "-o", str(tmp_path), "--device", "openvino"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "astronaut.json").is_file()


def test_inputs_that_the_network_does_not_take() -> None:
    session = Session(network())
    with pytest.raises(BundleError, match=r"(?s)cannot run the network: .*card and network may not belong together"):
        session.run(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(BundleError, match="takes 1 inputs, not 2"):
        session.run(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1))
    with pytest.raises(BundleError, match=r"has no output 'depth', only points, scores, pose"):
        session.run(np.zeros((1, 32, 32, 3), np.uint8))["depth"]


def test_a_part_that_is_not_there() -> None:
    with pytest.raises(BundleError, match="no network 'b', only a; export"):
        Named([("a", 1)], "no network")["b"]


def bundle_of(folder: Path, data: bytes, size: int = 32, part: str = "landmarks") -> Path:
    card = toy_card("compact", {part: {"fp32": ("a.onnx", data)}}, Crop(size, 1.3))
    write_bundle(folder / "a.canthus", card, {"a.onnx": data})
    return folder / "a.canthus"


def changed(name: str, size: int) -> bytes:
    """The network with another number of points or angles."""
    model = onnx.load_from_string(network())
    for output in model.graph.output:
        if output.name == name:
            output.type.tensor_type.shape.dim[1].dim_value = size
    for tensor in model.graph.initializer:
        if tensor.name == f"w_{name}":
            width = size * (2 if name == "points" else 1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones((1, width), np.float32), tensor.name))
        if tensor.name == f"s_{name}":
            shape = [-1, size, 2] if name == "points" else [-1, size]
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(shape, np.int64), tensor.name))
    return model.SerializeToString()


def test_card_and_network_must_agree(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    assert Aligner.open(bundle_of(tmp_path, network())).align(image, [1, 2, 30, 40]).points.shape == (1, 68, 2)
    with pytest.raises(
        BundleError, match=r"a\.canthus: the network 'landmarks' takes pictures of 32 x 32 .* crops of 64"
    ):
        Aligner.open(bundle_of(tmp_path, network(), 64))
    with pytest.raises(BundleError, match=r"gives points of shape \(98, 2\) per face, but the card \(68, 2\)"):
        Aligner.open(bundle_of(tmp_path, changed("points", 98)))
    with pytest.raises(BundleError, match=r"gives pose of shape \(2,\) per face"):
        Aligner.open(bundle_of(tmp_path, changed("pose", 2)))
    with pytest.raises(BundleError, match=r"a\.canthus: landmarks: the network is damaged"):
        Aligner.open(bundle_of(tmp_path, b"none"))
    with pytest.raises(BundleError, match=r"a\.canthus: the stage 'landmarks' has no network 'landmarks', only other"):
        Aligner.open(bundle_of(tmp_path, network(), part="other")).align(image, [1, 2, 30, 40])
