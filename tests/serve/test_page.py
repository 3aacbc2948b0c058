"""The functions of the browser page compute what Python and OpenCV compute."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from canthus.align.calibration import Curve
from canthus.align.view import View
from canthus.detect.own import STRIDES, OwnDetector, _reduced, decode, suppress
from canthus.formats.faces import faces_in
from canthus.formats.table import dump
from canthus.geometry.box import turned_box
from canthus.geometry.crop import warp
from canthus.geometry.transform import apply, compose, invert, scale_of, similarity
from canthus.runtime.bundle import Bundle
from canthus.serve.page.build import model_of
from canthus.track.motion import Placement
from canthus.track.smooth import PointSmoother, Smoothing
from canthus.types import Faces, Image
from canthus.version import __version__

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "src/canthus/serve/page"
NODE = shutil.which("node")

if NODE is None:
    pytest.skip("node is not installed", allow_module_level=True)


def plain(image: Image) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {"width": width, "height": height, "rgb": image.ravel().tolist()}


def noise(rng: np.random.Generator, width: int, height: int) -> Image:
    """A picture with coarse and fine structures."""
    coarse = cv2.resize(rng.integers(0, 256, (4, 4, 3)).astype(np.float32), (width, height))
    return np.clip(coarse + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def reductions(rng: np.random.Generator) -> list[dict[str, Any]]:
    sizes = {
        "interpolated": ((61, 40), (49, 31)),
        "enlarged along one side": ((40, 33), (40, 35)),
        "halved": ((64, 48), (32, 24)),
        "halved with odd sides": ((65, 47), (32, 23)),
        "halved with one odd side": ((64, 47), (32, 23)),
        "halved twice, then interpolated": ((131, 97), (30, 22)),
    }
    cases = []
    for name, (source, target) in sizes.items():
        image = noise(rng, *source)
        cases.append({"name": name, "source": plain(image), "target": plain(_reduced(image, target))})
    return cases


def warps(rng: np.random.Generator) -> list[dict[str, Any]]:
    maps = {
        "enlarged": similarity(1.7, 12, (-30, -20)),
        "turned": similarity(0.8, -130, (10, 70)),
        "averaged over 2 x 2 pixels": similarity(0.4, 20, (5, -4)),
        "averaged over 3 x 3 pixels": similarity(0.31, -50, (3, 15)),
        "averaged, out of the picture": similarity(0.2, 5, (12, 18)),
        "larger than the picture": similarity(0.01, 0, (16, 16)),
        "beside the picture": similarity(1, 0, (500, 0)),
    }
    image = noise(rng, 120, 90)
    return [
        {"name": name, "source": plain(image), "matrix": matrix.ravel().tolist(), "size": 32}
        | {"rgb": warp(image, matrix, 32).ravel().tolist()}
        for name, matrix in maps.items()
    ]


def maps_of(rng: np.random.Generator) -> dict[str, Any]:
    inner, outer = similarity(0.7, 33, (4, -9)), np.array([[1.1, 0.2, 3], [-0.1, 0.9, 7]])
    both, points = compose(outer, inner), rng.normal(0, 100, (5, 2)).astype(np.float32)
    return {
        "similarity": {"of": [0.7, 33, 4, -9], "matrix": inner.ravel().tolist()},
        "outer": outer.ravel().tolist(),
        "composed": both.ravel().tolist(),
        "inverse": invert(both).ravel().tolist(),
        "points": points.ravel().tolist(),
        "moved": apply(both, points).ravel().tolist(),
        "scale": float(scale_of(both)),
    }


def frames(rng: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for roll in (0, 30, -75, 179):
        box, points = np.array([[30, 40, 110, 150]], np.float32), rng.normal(100, 30, (68, 2)).astype(np.float32)
        view = View.of_boxes([np.zeros((1, 1, 3), np.uint8)], box, np.array([roll], np.float32))
        cases.append(
            {"box": box[0].tolist(), "roll": roll, "points": points.ravel().tolist()}
            | {"square": turned_box(box, np.array([roll]))[0].tolist(), "frame": view.frames[0].ravel().tolist()}
            | {"placed": Placement.of(points, roll).frame.ravel().tolist(), "angle": float(view.angles[0])}
        )
    return cases


def cells(rng: np.random.Generator) -> dict[str, Any]:
    maps = [rng.normal(-1, 1.5, (17, 64 // stride, 96 // stride)).astype(np.float32) for stride in STRIDES]
    found = decode(maps, 0.5)
    return {
        "maps": [{"data": one.ravel().tolist(), "height": one.shape[1], "width": one.shape[2]} for one in maps],
        "boxes": found.boxes.ravel().tolist(),
        "scores": found.scores.tolist(),
        "rolls": found.rolls.tolist(),
    }


def suppressed(rng: np.random.Generator) -> dict[str, Any]:
    corner, side = rng.uniform(0, 200, (60, 2)), rng.uniform(30, 90, (60, 1))
    boxes, scores = np.concatenate([corner, corner + side], 1), rng.uniform(0.5, 1, 60)
    return {"boxes": boxes.tolist(), "scores": scores.tolist(), "kept": suppress(boxes, scores, 0.4).tolist()}


def pyramids() -> list[dict[str, Any]]:
    detector, cases = OwnDetector(network=None), []  # type: ignore[arg-type]
    for width, height in ((512, 512), (640, 480), (2600, 40), (90, 1700), (20, 20), (1, 3)):
        tiles = [
            {
                "level": [max(1, round(width * tile.scale[0])), max(1, round(height * tile.scale[1]))],
                "corner": list(tile.corner),
                "scale": list(tile.scale),
                "inner": [value if np.isfinite(value) else None for value in map(float, tile.inner)],
                "last": tile.last,
            }
            for tile in detector._tiles(0, np.zeros((height, width, 3), np.uint8))
        ]
        for tile in tiles:  # Python pads a tile, which hides its size
            tile["size"] = [min(side - first, 1280) for side, first in zip(tile["level"], tile["corner"], strict=True)]
        cases.append({"width": width, "height": height, "tiles": tiles})
    return cases


def calibration(rng: np.random.Generator) -> dict[str, Any]:
    bundle = Bundle.open()
    curve = Curve.of(bundle.arrays(bundle.card.stages[0]))
    assert curve is not None
    scores = np.concatenate([[0, 1, curve.claimed[3]], rng.uniform(0, 1, 50)]).astype(np.float32)
    return {
        "scores": scores.tolist(),
        "curve": {"claimed": curve.claimed.tolist(), "actual": curve.true.tolist()},
        "calibrated": curve(scores).tolist(),
    }


def smoothing(rng: np.random.Generator) -> list[dict[str, Any]]:
    """A face that moves, turns through 180 degrees and grows, with a gap after which it starts anew."""
    shape, smoother, frames = rng.normal(0, 40, (68, 2)), PointSmoother(Smoothing.of("68")), []
    for number in range(24):
        time = number / 30 + (1 if number > 18 else 0)
        moved = apply(similarity(1 + 0.01 * number, 150 + 4 * number, (200 + 3 * number, 150)), shape)
        points = (moved + rng.normal(0, 1, moved.shape)).astype(np.float32)
        scores = rng.uniform(0, 1, 68).astype(np.float32)
        steady = smoother(points, scores, time)
        frames.append(
            {"points": points.ravel().tolist(), "scores": scores.tolist(), "time": time}
            | {"steady": steady.ravel().tolist()}
        )
    return frames


def files(rng: np.random.Generator, folder: Path) -> list[dict[str, Any]]:
    cases = []
    for name, count in (("two faces, one.png", 2), ('no "face"é.jpg', 0)):
        points = rng.uniform(-5, 3000, (count, 68, 2)).astype(np.float32)
        points[:, :3] = [[12, 7.5], [0.03125, 100.09375], [-0.5, 1e-3]]  # halves of the fourth decimal, and integers
        faces = Faces(
            points,
            rng.uniform(0, 500, (count, 4)).astype(np.float32),
            rng.uniform(0.01, 1, (count, 68)).astype(np.float32),
            rng.uniform(0.5, 1, count).astype(np.float32),
            rng.uniform(-90, 90, (count, 3)).astype(np.float32),
            scheme="68",
        )
        records = faces_in(name, (640, 480), faces)
        dump(folder / "a.json", records)
        dump(folder / "a.csv", records)
        texts = []
        for record in records[:count]:
            dump(folder / "a.pts", [record])
            texts.append((folder / "a.pts").read_text())
        found = [
            {"points": face.points.ravel().tolist(), "scores": face.scores.tolist(), "box": face.box.tolist()}
            | {"pose": face.pose.tolist(), "confidence": face.confidence}
            for face in faces
        ]
        cases.append(
            {"name": name, "version": __version__, "pts": texts}
            | {"found": {"name": name, "width": 640, "height": 480, "scheme": "68", "faces": found}}
            | {"json": (folder / "a.json").read_text(), "csv": (folder / "a.csv").read_text()}
        )
    return cases


def test_the_example_is_the_one_of_the_project() -> None:
    assert (PAGE / "example.jpg").read_bytes() == (ROOT / "examples" / "astronaut.jpg").read_bytes()


def test_functions_of_the_page_are_those_of_python(rng: np.random.Generator, tmp_path: Path) -> None:
    model = model_of({})
    vectors = {
        "settings": model["detector"],
        "outline": model["outline"],
        "reduced": reductions(rng),
        "warp": warps(rng),
        "transform": maps_of(rng),
        "frames": frames(rng),
        "cells": cells(rng),
        "suppress": suppressed(rng),
        "pyramids": pyramids(),
        "calibration": calibration(rng),
        "smoothing": {"settings": model["smoothing"], "frames": smoothing(rng)},
        "formats": files(rng, tmp_path),
    }
    (tmp_path / "vectors.json").write_text(json.dumps(vectors))
    environment = {**os.environ, "VECTORS": str(tmp_path / "vectors.json"), "PAGE": str(PAGE)}
    command = [str(NODE), "--test", str(Path(__file__).with_name("page.test.mjs"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
