from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from canthus.align.aligner import Aligner
from canthus.align.calibration import Curve
from canthus.data.catalogue import open_set
from canthus.errors import CanthusError, InputError
from canthus.export.landmarks import export
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.export.proof import Faces, faces_of, prove, record
from canthus.export.quantise import quantise
from canthus.export.scores import calibrate
from canthus.geometry.crop import Crop, box_of
from canthus.nets.compact import Compact, CompactConfig, Deployed, parts
from canthus.reader.image import read
from canthus.runtime.bundle import Bundle
from canthus.runtime.session import Session
from canthus.train.fit import fit
from canthus.train.landmarks.system import Trained, join, load_trained
from canthus.train.recipe import Recipe

TINY = CompactConfig(size=32, stem=(8, 16), widths=(16, 16), depths=(1, 1), head=16)


@pytest.fixture(scope="module")
def net() -> Compact:
    """A network whose norms are not trivial."""
    torch.manual_seed(0)
    net = Compact(TINY)
    for _ in range(20):
        net(torch.randn(8, 3, 32, 32))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return net.eval()


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def trained(net: Compact, tiny: Recipe) -> Trained:
    return Trained(net, tiny, "68", {})


@pytest.fixture(scope="module")
def faces(trained: Trained, drawn: Path) -> Faces:
    return faces_of(trained, trained.recipe.sets, drawn)


@pytest.fixture(scope="module")
def model(net: Compact) -> bytes:
    (part,) = parts(fold_norms(net))  # type: ignore[arg-type]
    return part_to_onnx(part, {"crops": np.zeros((2, 32, 32, 3), np.uint8)}, ({0: torch.export.Dim("faces")},))


def test_folding_norms_changes_nothing(net: Compact, crops: np.ndarray) -> None:
    inputs = torch.from_numpy(crops)
    with torch.no_grad():
        for a, b in zip(Deployed(net)(inputs), Deployed(fold_norms(net))(inputs), strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())


def test_onnx_runtime_gives_what_torch_gives(trained: Trained, model: bytes, faces: Faces) -> None:
    assert prove([trained], [0.0], {"landmarks": model}, faces) < 0.01
    assert prove([trained], [0.0], {"landmarks": halve(model)}, faces) < 0.05


def test_what_is_recorded_is_what_the_running_system_cuts(trained: Trained, faces: Faces) -> None:
    records = record([trained], [0.0], faces)
    assert records.keys() == {"landmarks"}
    np.testing.assert_array_equal(records["landmarks"]["crops"], faces[0].cut(trained.crop))


def test_any_number_of_faces(model: bytes, crops: np.ndarray) -> None:
    session = Session(model)
    for count in (1, 2, 7):
        assert session.run(crops[:count])["points"].shape == (count, 68, 2)


def test_a_bundle_names_no_file_of_the_machine(model: bytes) -> None:
    home = str(Path(torch.__file__).parents[1]).encode()
    assert home not in model
    assert b"site-packages" not in model


def test_another_network_is_found_out(trained: Trained, model: bytes, faces: Faces) -> None:
    torch.manual_seed(9)
    with pytest.raises(CanthusError, match="differ"):
        prove([replace(trained, net=Compact(TINY).eval())], [0.0], {"landmarks": model}, faces)


def test_half_precision_halves_the_weights(model: bytes) -> None:
    weights = sum(4 * int(np.prod(tensor.dims)) for tensor in onnx.load_from_string(model).graph.initializer)
    saved = len(model) - len(halve(model, least=64))
    assert 0.4 * weights < saved < 0.5 * weights


def test_int8_keeps_what_stays_in_float_in_half_precision(crops: np.ndarray) -> None:
    (part,) = parts(Compact(replace(TINY, widths=(16, 64))).eval())
    whole = part_to_onnx(part, {"crops": crops[:2]}, ({0: torch.export.Dim("faces")},))
    weights = {
        tensor.name: tensor for tensor in onnx.load_from_string(quantise(whole, {"crops": crops})).graph.initializer
    }
    assert weights["net.trunk.context.weight.half"].data_type == onnx.TensorProto.FLOAT16
    assert all(np.prod(tensor.dims) < 1024 for tensor in weights.values() if tensor.data_type == onnx.TensorProto.FLOAT)


def test_int8_leaves_the_decoding_in_float(model: bytes, crops: np.ndarray) -> None:
    small = quantise(model, {"crops": crops})
    graph = onnx.load_from_string(small).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    (soft,) = [node for node in graph.node if node.op_type == "Softmax"]
    decode = graph.node[list(graph.node).index(soft) :]
    assert not any("QuantizeLinear" in producers.get(name, "") for node in decode for name in node.input)
    assert any(node.op_type == "QuantizeLinear" for node in graph.node)
    a, b = Session(model).run(crops)["points"], Session(small).run(crops)["points"]
    assert 0 < np.abs(a - b).mean() < 1


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt does not exist; `canthus train` writes"):
        load_trained(tmp_path / "best.ckpt")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_from_recipe_to_bundle(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """Train, export, open, align: the points are those that validation in torch saw."""
    best = fit(tiny.model_copy(update={"steps": 6, "validate_every": 3}), drawn, tmp_path / "run")
    out = tmp_path / "tiny.canthus"
    card = export([best], drawn, out, measured=[{"nme": 1.0}])
    assert out.stat().st_size < 400_000
    assert card.checkpoints["landmarks"].training["parity_px"] < 0.05
    assert card.stages[0].crop == Crop(32, 1.3)
    assert "wild68: iBUG annotations" in card.licence
    assert card.limits[0] == "the head poses of the training faces are not known"
    trained, _ = load_trained(best)
    sample = open_set("wild68", drawn, "val")[0]
    image, box = read(sample.image), box_of(sample.points)
    (ours,) = join([trained]).align([image], [box[None]])
    theirs = Aligner.open(out).align(image, box)
    assert np.abs(ours.points - theirs.points).max() < 0.2
    assert Aligner.open(out, precision="int8").align(image, box).points.shape == (1, 68, 2)


def test_calibrated_reliability_is_the_share_of_near_points(drawn: Path, tiny: Recipe) -> None:
    samples = list(open_set("wild68", drawn, "val"))
    torch.manual_seed(4)
    net = Compact(CompactConfig(**tiny.config)).eval()
    trained = Trained(net, tiny, "68", {})
    view, truth, _ = faces = faces_of(trained, tiny.val, drawn)
    assert len(view) == len(samples)
    shift = calibrate(trained, faces)
    found = join([trained], [trained.stage_parts(calibration=shift)]).run(view)
    sides = np.ptp(truth, axis=1).max(1)
    share = (np.linalg.norm(found.points - truth, axis=-1) < net.config.near * sides[:, None]).mean()
    assert float(found.scores.mean()) == pytest.approx(share, abs=0.01)
    unknown = truth.copy()
    unknown[0, 5:] = np.nan
    assert np.isfinite(calibrate(trained, faces._replace(truth=unknown)))


def test_scores_are_calibrated_over_all_validation_sets(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """The curve is in the bundle; with it the mean score of the faces it was fitted on is the share of near points."""
    fit(tiny, drawn, tmp_path / "run")
    export([tmp_path / "run" / "best.ckpt"], drawn, tmp_path / "tiny.canthus", int8=False)
    aligner = Aligner.open(tmp_path / "tiny.canthus")
    samples = list(open_set("wild68", drawn, "val"))
    truth = np.stack([sample.points for sample in samples])
    boxes = box_of(truth)
    found = aligner.align_many([sample.picture() for sample in samples], [box[None] for box in boxes])
    error = np.linalg.norm(np.concatenate([faces.points for faces in found]) - truth, axis=-1)
    near = error < 0.025 * (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None]
    scores = np.concatenate([faces.scores for faces in found])
    assert scores.mean() == pytest.approx(near.mean(), abs=0.03)
    curve = Curve.of(Bundle.open(tmp_path / "tiny.canthus").arrays(aligner.card.stages[-1]))
    assert curve is not None and aligner.system.curve is not None
    np.testing.assert_array_equal(curve.true, aligner.system.curve.true)
