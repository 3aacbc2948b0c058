"""Time per face: crop, network, decoding; one and two threads; fp32 and int8; compared with the convolution peak.

Run by `scripts/bench runtime`. All figures of a table come from one run in which the variants take turns, so a busy
machine slows all of them equally; each figure is the lower quartile of the rounds.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

import canthus
from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.geometry.crop import crop_matrix, warp
from canthus.runtime.bundle import Bundle
from canthus.runtime.session import Session

REPEATS = 10
"""Number of consecutive calls per turn, as on a video."""


def best(rounds: int, variants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each variant: lower quartile over rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        work()
        work()
    for _ in range(rounds):
        for name, work in variants.items():
            work()
            start = time.perf_counter()
            for _ in range(REPEATS):
                work()
            times[name].append((time.perf_counter() - start) / REPEATS)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    bundle = Bundle.open(options.model)
    card = bundle.card
    (stage,) = card.stages
    assert stage.crop is not None, "this benchmark is for systems of one stage on crops"
    crop, size, margin = stage.crop, stage.crop.size, stage.crop.margin
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 3)
    box = np.array([220, 140, 400, 330], np.float32)
    boxes = {count: np.repeat(box[None], count, 0) for count in (1, 32)}
    macs = multiply_adds(bundle.network("landmarks", "fp32"), size)
    print(f"{card.name}: {macs / 1e6:.1f} M multiply-adds at {size} px, {bundle.path.stat().st_size / 2**20:.2f} MB")

    variants: dict[str, Callable[[], object]] = {}
    precisions = card.precisions
    for threads in (1, 2):
        for precision in precisions:
            session = Session(bundle.network("landmarks", precision), threads=threads)
            system = system_of(card.system, card.scheme, {stage.name: Parts(crop, {"landmarks": session})})
            for count in (1, 32):
                crops = np.stack([warp(image, crop_matrix(box, size, margin), size)] * count)
                key = f"{threads} {precision} {count}"
                variants[f"{key} whole"] = lambda s=system, n=count: s.align([image], [boxes[n]])
                variants[f"{key} net"] = lambda s=session, c=crops: s.run(c)
        session, x, peak_macs = peak_session(threads)
        variants[f"{threads} peak"] = lambda s=session, x=x: s.run(x)
    variants["crop"] = lambda: warp(image, crop_matrix(box, size, margin), size)
    seconds = best(options.rounds, variants)

    print(f"crop alone {seconds['crop'] * 1e3:.3f} ms")
    print("| threads | precision | batch | ms per face | network alone, ms | share of the convolution peak |")
    print("|---|---|---|---|---|---|")
    for threads in (1, 2):
        peak = peak_macs / seconds[f"{threads} peak"]
        for precision in precisions:
            for count in (1, 32):
                whole, net = (seconds[f"{threads} {precision} {count} {part}"] / count for part in ("whole", "net"))
                share = f"{macs / net / peak:.0%}" + (" (of the fp32 peak)" if precision == "int8" else "")
                print(f"| {threads} | {precision} | {count} | {whole * 1e3:.2f} | {net * 1e3:.2f} | {share} |")
        print(f"| {threads} | fp32 | - | peak: {peak / 1e9:.0f} G multiply-adds a second | | 100% |")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
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


if __name__ == "__main__":
    main()
