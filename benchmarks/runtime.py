"""Time per face: crop, network, decoding; devices; one and two threads; fp32 and int8; share of the convolution peak.

Run by `scripts/bench runtime`. All figures of a table come from one run in which the variants take turns, so a busy
machine slows all of them equally; each figure is the lower quartile of the rounds.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

import canthus
from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.geometry.crop import crop_matrix, warp
from canthus.runtime.bundle import Bundle
from canthus.runtime.session import DEVICES, Device, Session, installed

BATCHES = (1, 32)
REPEATS = 10
"""Number of consecutive calls per turn, as on a video; of batches of several faces, a fifth of it."""


def best(rounds: int, variants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each variant: lower quartile over rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        work()
        work()
    for _ in range(rounds):
        for name, work in variants.items():
            repeats = REPEATS // 5 if f" {BATCHES[-1]} " in name else REPEATS
            work()
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            times[name].append((time.perf_counter() - start) / repeats)
    return {name: float(np.percentile(some, 25)) for name, some in times.items()}


def peak_session(threads: int) -> tuple[Session, np.ndarray, float]:
    """A convolution at which the engine is fastest (3x3, 256 to 256 channels, 32 x 32), its input and multiply-adds."""
    weight = np.random.default_rng(0).normal(size=(256, 256, 3, 3)).astype(np.float32)
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [conv],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 256, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 256, 32, 32])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    session = Session(model.SerializeToString(), threads=threads)
    return session, np.random.default_rng(1).normal(size=(1, 256, 32, 32)).astype(np.float32), 256 * 256 * 9 * 32 * 32.0


def multiply_adds(model: bytes, size: int) -> float:
    """Number of multiply-adds of the convolutions of a network for one crop."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*graph.value_info, *graph.output, *graph.input]
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    total = 0.0
    for node in graph.node:
        if node.op_type == "Conv":
            name = casts.get(node.input[1], node.input[1])
            total += float(np.prod(weights[name])) * float(np.prod(shapes[node.output[0]][2:]))
    return total


def variants_of(
    bundle: Bundle, image: np.ndarray, box: np.ndarray, device: Device, threads_of: Sequence[int]
) -> dict[str, Callable[[], object]]:
    """What is timed on one device, by "device threads precision batch part"."""
    card = bundle.card
    (stage,) = card.stages
    assert stage.crop is not None, "this benchmark is for systems of one stage on crops"
    crop, size = stage.crop, stage.crop.size
    variants: dict[str, Callable[[], object]] = {}
    for threads in threads_of:
        for precision in card.precisions:
            session = Session(bundle.network("landmarks", precision), device, threads)
            system = system_of(card.system, card.scheme, {stage.name: Parts(crop, {"landmarks": session})})
            for count in BATCHES:
                crops = np.stack([warp(image, crop_matrix(box, size, crop.margin), size)] * count)
                boxes = np.repeat(box[None], count, 0)
                key = f"{device} {threads} {precision} {count}"
                variants[f"{key} whole"] = lambda s=system, b=boxes: s.align([image], [b])
                variants[f"{key} net"] = lambda s=session, c=crops: s.run(c)
    return variants


def start_times() -> None:
    """Print how long Python, the import and the first pipeline take."""
    for label, code in {
        "import canthus": "import canthus",
        "open the pipeline": "import canthus; canthus.Pipeline.open()",
        "bare Python": "pass",
    }.items():
        took = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            took.append(time.perf_counter() - start)
        print(f"{label}: {min(took):.2f} s (canthus {canthus.__version__})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--devices", nargs="+", choices=list(DEVICES), default=installed())
    options = parser.parse_args()
    cv2.setNumThreads(1)
    bundle = Bundle.open(options.model)
    card, crop = bundle.card, bundle.card.stages[0].crop
    assert crop is not None
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 3)
    box = np.array([220, 140, 400, 330], np.float32)
    macs = multiply_adds(bundle.network("landmarks", "fp32"), crop.size)
    print(
        f"{card.name}: {macs / 1e6:.1f} M multiply-adds at {crop.size} px, {bundle.path.stat().st_size / 2**20:.2f} MB"
    )

    variants: dict[str, Callable[[], object]] = {}
    for device in options.devices:
        variants |= variants_of(bundle, image, box, device, options.threads)
    for threads in options.threads:
        session, x, peak_macs = peak_session(threads)
        variants[f"{threads} peak"] = lambda s=session, x=x: s.run(x)
    variants["crop"] = lambda: warp(image, crop_matrix(box, crop.size, crop.margin), crop.size)
    seconds = best(options.rounds, variants)

    print(f"crop alone {seconds['crop'] * 1e3:.3f} ms")
    print("| device | threads | precision | batch | ms per face | network, ms | relative to cpu | share of the peak |")
    print("|---|---|---|---|---|---|---|---|")
    for device, threads, precision, count in product(options.devices, options.threads, card.precisions, BATCHES):
        key = f"{threads} {precision} {count}"
        whole, net = (seconds[f"{device} {key} {part}"] / count for part in ("whole", "net"))
        beside = net * count / seconds.get(f"cpu {key} net", float("nan"))
        share = f"{macs / net / (peak_macs / seconds[f'{threads} peak']):.0%}"
        share += " (of the fp32 peak)" if precision == "int8" else ""
        row = (device, threads, precision, count, f"{whole * 1e3:.2f}", f"{net * 1e3:.2f}", f"{beside:.2f} x", share)
        print("|", " | ".join(map(str, row)), "|")
    peaks = ", ".join(
        f"{peak_macs / seconds[f'{threads} peak'] / 1e9:.0f} with {threads}" for threads in options.threads
    )
    print(f"convolution peak on the CPU, G multiply-adds a second by threads: {peaks}")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    start_times()


if __name__ == "__main__":
    main()
