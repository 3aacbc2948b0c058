"""Small valid files of every kind that canthus reads, from which damaged ones are made."""

import json
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import cv2
import h5py
import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from scipy.io import savemat

from canthus.data.listed.order_map import MAPS
from canthus.data.packed import PackedFace, packed_arrays
from canthus.data.sample import Sample
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.formats.tracks.moment import Moment
from canthus.formats.tracks.table import FORMATS
from canthus.formats.tracks.table import dump as dump_tracks
from canthus.geometry.crop import Crop, box_of
from canthus.geometry.pose import rotation
from canthus.runtime.bundle import pack_arrays, write_bundle
from canthus.types import Faces
from films import film, greys
from toy_card import toy_card

RNG = np.random.default_rng(3)
FACES = 2
RECIPE = """\
name: small
network: compact
config: {size: 32, stem: [8, 16], widths: [24, 24], depths: [1, 1], head: 16}
sets:
  - {name: wild68, weight: 1.5, options: {maps: x}}
val: [{name: wild68, split: val}]
augment: {flip: 0, rotation: 10.5}
optimiser: {rate: 1e-3, drops: [{share: 0.3, factor: 0.5}]}
phases: [{share: 0.25, size: 32}, {share: 0.75, size: 64}]
start: [{checkpoint: runs/a/best.ckpt, source: trunk, target: trunk}]
steps: 100
losses: {point: 1}
then: [{steps: 50, losses: {point: 2}}]
#--set optimiser.rate=2e-3
#--set sets.0.weight=3
"""


SCHEME = """\
title: small
source: nobody
points: 7
names: ["eye_{right,left}", "jaw_right_{1..2}", "jaw_left_{2..1}", nose]
groups: {contour: 2-5, eyes: 0 1, nose: 6}
curves: [2-5, 0 1 0]
normalisers: {inter-pupil: [0, 1], inter-ocular: ["0 2", "1 5"]}
"""


def pictures(folder: Path) -> list[Path]:
    """Pictures of 64 x 48 pixels in every format, and deep, transparent and grey ones."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 255, (48, 64, 4), np.uint8)
    endings = ("jpg", "png", "webp", "bmp", "tiff", "ppm", "gif")
    for ending in endings:
        cv2.imwrite(str(folder / f"a.{ending}"), pixels[..., :3])
    cv2.imwrite(str(folder / "deep.png"), pixels.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "grey.png"), pixels[..., 0])
    cv2.imwrite(str(folder / "deep.tiff"), pixels[..., :3].astype(np.uint16) * 257)
    return sorted(folder.iterdir())


def records() -> list[Record]:
    """Two faces with all that a format can hold."""
    return [
        Record(
            f"images/{index}.png",
            RNG.uniform(4, 40, (68, 2)),
            "68",
            f"person {index}",
            np.array([3, 4, 41, 44.5]),
            RNG.random(68),
            0.75,
            np.array([10, -5, 3.5]),
            (64, 48),
            RNG.random(68),
            RNG.uniform(4, 40, (68, 2)),
            1.0,
        )
        for index in range(FACES)
    ]


def annotations(folder: Path) -> dict[str, list[Path]]:
    """A file of every landmark format, by its ending; ".h5" = MATLAB 7.3."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for ending in (".pts", ".ljson", ".csv", ".json", ".npz", ".mat"):
        path = folder / f"a{ending}"
        dump(path, records()[:1] if ending in (".pts", ".ljson") else records())
        found[ending] = [path]
    (folder / "boxes.csv").write_text("image,x0,y0,x1,y1\na.jpg,1,2,30,40\nb.jpg,,,,\n")
    (folder / "many.csv").write_text("image,tight_x0,tight_y0,tight_x1,tight_y1\na.jpg,1,2,30,40\n")
    found[".csv"] += [folder / "boxes.csv", folder / "many.csv"]
    with h5py.File(folder / "a.h5", "w") as file:
        file["points"] = RNG.uniform(4, 40, (FACES, 68, 2)).T
        file["boxes"] = np.array([[3.0, 4, 41, 44.5]] * FACES).T
        for name, text in {"scheme": "68", "#refs#/a": "images/0.png"}.items():
            file[name] = np.array([[ord(letter)] for letter in text], np.uint16)
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
        cell = np.array([[file["#refs#/a"].ref]] * FACES, h5py.ref_dtype)
        file.create_dataset("images", data=cell)
        file["images"].attrs["MATLAB_class"] = np.bytes_("cell")
    return found | {".h5": [folder / "a.h5"]}


def network() -> bytes:
    """An ONNX network from pictures (N, 32, 32, 3) to 68 points, scores and a pose."""
    faces = ("faces", 32, 32, 3)
    shapes = {"points": (68, 2), "scores": (68,), "pose": (3,)}
    nodes = [
        helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean"], ["column"], axes=[1]),
    ]
    constants = []
    for name, shape in shapes.items():
        width = int(np.prod(shape))
        weights = np.linspace(0.01, 0.2, width, dtype=np.float32)[None]
        constants.append(numpy_helper.from_array(weights, f"w_{name}"))
        constants.append(numpy_helper.from_array(np.array([-1, *shape], np.int64), f"s_{name}"))
        nodes.append(helper.make_node("MatMul", ["column", f"w_{name}"], [f"f_{name}"]))
        nodes.append(helper.make_node("Reshape", [f"f_{name}", f"s_{name}"], [name]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, faces)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("faces", *shape)) for name, shape in shapes.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def bundles(folder: Path) -> list[Path]:
    """A bundle of the system `compact`, with an array."""
    folder.mkdir(parents=True, exist_ok=True)
    data, shape = network(), pack_arrays({"shape": RNG.uniform(-0.5, 0.5, (68, 2)).astype(np.float32)})
    networks = {"landmarks": {"fp32": ("a.onnx", data)}}
    own = {"toy7": yaml.safe_load(SCHEME)}
    card = toy_card("compact", networks, Crop(32, 1.3), ("a.npz", shape), schemes=own)  # type: ignore[arg-type]
    write_bundle(folder / "a.canthus", card, {"a.onnx": data, "a.npz": shape})
    return [folder / "a.canthus"]


def schemes(folder: Path) -> list[Path]:
    """Files of landmark schemes: a small one, and those of the package that are their own mirrors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.yaml").write_text(SCHEME)
    for name in ("5", "68"):
        (folder / f"{name}.yaml").write_text(files("canthus.schemes").joinpath("data", f"{name}.yaml").read_text())
    return sorted(folder.iterdir())


def _views(root: Path) -> list[Path]:
    points = RNG.uniform(4, 40, (FACES, 68, 3)).astype(np.float32)
    index = {
        "images": np.array(["0.png", "1.png"]),
        "identities": np.array(["ann", "bob"]),
        "kind": np.array(["", "hand"]),
        "pose": np.zeros((FACES, 3), np.float32),
        "azimuth": np.array([-12.0, 70.0], np.float32),
        "points_68": points,
        "visible_68": np.ones((FACES, 68), np.bool_),
        "outline_68": points,
    }
    (root / "views" / "train").mkdir(parents=True)
    (root / "fits").mkdir()
    np.savez(root / "views" / "train" / "index.npz", **index)
    fits = {key: value for key, value in index.items() if key not in ("azimuth", "kind")}
    turns = rotation(np.array([[10.0, 0, 0], [-40.0, 0, 0]]))
    np.savez(root / "fits" / "train.npz", rotation=turns, folder=np.array("."), **fits)
    scene = root / "300vw" / "001"
    scene.mkdir(parents=True)
    (scene / "vid.avi").touch()
    np.savez(scene / "annot3d.npz", **{key: index[key] for key in ("pose", "points_68", "visible_68", "outline_68")})
    for place in ("views/train/0.png", "views/train/1.png", "fits/0.png", "fits/1.png"):
        (root / place).touch()
    return [root / "views/train/index.npz", root / "fits/train.npz", scene / "annot3d.npz"]


def _packed(root: Path) -> list[Path]:
    """A packed set of two faces."""
    points = RNG.uniform(4, 40, (FACES, 68, 2)).astype(np.float32)
    picture = cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    samples = [Sample(Path(f"{row}.png"), points[row], "68", str(row), visible=np.ones(68, np.bool_)) for row in (0, 1)]
    path = root / "packed" / "train.npz"
    path.parent.mkdir()
    path.write_bytes(pack_arrays(packed_arrays([PackedFace(sample, picture) for sample in samples])))
    return [path]


def _csv(root: Path) -> list[Path]:
    folder = root / "wild68"
    (folder / "images").mkdir(parents=True)
    names = ["images/0.png", "images/1.png"]
    for name in names:
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        (folder / "images" / name).touch()
    dump(folder / "val.csv", records())
    boxes = "".join(f"{name},1,2,30,40\n" for name in names)
    (folder / "val_boxes.csv").write_text(f"image,tight_x0,tight_y0,tight_x1,tight_y1\n{boxes}")
    heads = ",".join(f"v{index}" for index in range(68))
    codes = "".join(f"{name},{','.join(['1'] * 68)}\n" for name in names)
    (folder / "visibility.csv").write_text(f"image,{heads}\n{codes}")
    (folder / "flags.csv").write_text("image,blur\n" + "".join(f"{name},1\n" for name in names))
    (root / MAPS).write_text(json.dumps({"wild69": {"8": [8], "30": [30, 31]}}))
    peers = {
        "names": np.array(["dlib"]),
        "tight": RNG.random((1, FACES, 68, 2)),
        "consensus": RNG.random((FACES, 68, 2)),
    }
    np.savez(folder / "val_peers.npz", **peers)
    paths = [folder / name for name in ("val.csv", "val_boxes.csv", "visibility.csv", "flags.csv", "val_peers.npz")]
    return [*paths, root / MAPS]


def _of_owners(root: Path) -> list[Path]:
    """Data sets in the form in which their owners distribute them."""
    wflw = root / "wflw" / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    wflw.mkdir(parents=True)
    (root / "wflw" / "WFLW_images").mkdir()
    (root / "wflw" / "WFLW_images" / "a.jpg").touch()
    line = " ".join(["12.5"] * 196 + ["1", "2", "30", "40"] + ["0"] * 6 + ["a.jpg"])
    (wflw / "list_98pt_rect_attr_test.txt").write_text(f"{line}\n{line}\n")
    afw, marks = root / "300w-lp" / "AFW", root / "300w-lp" / "landmarks" / "AFW"
    afw.mkdir(parents=True)
    marks.mkdir(parents=True)
    (afw / "AFW_1_1_0.jpg").touch()
    savemat(afw / "AFW_1_1_0.mat", {"pt2d": RNG.random((2, 68)), "Pose_Para": RNG.random((1, 7))})
    savemat(marks / "AFW_1_1_0_pts.mat", {"pts_2d": RNG.random((68, 2)), "pts_3d": RNG.random((68, 2))})
    (root / "cofw").mkdir()
    with h5py.File(root / "cofw" / "COFW_test.h5", "w") as stored:
        cells = stored.create_dataset("IsT", (1, FACES), h5py.ref_dtype)
        for index in range(FACES):
            cells[0, index] = stored.create_dataset(f"#refs#/{index}", data=np.zeros((30, 20), np.uint8)).ref
        stored["phisT"] = RNG.uniform(2, 20, (87, FACES))
        stored["bboxesT"] = np.array([[3.0, 4, 20, 22]] * FACES).T
    (root / "aflw" / "flickr").mkdir(parents=True)
    (root / "aflw" / "flickr" / "a.jpg").touch()
    with closing(sqlite3.connect(root / "aflw" / "aflw.sqlite")) as database:
        database.executescript(
            "CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT);"
            "CREATE TABLE FaceImages (file_id TEXT, filepath TEXT);"
            "CREATE TABLE FaceRect (face_id INTEGER, x INTEGER, y INTEGER, w INTEGER, h INTEGER);"
            "CREATE TABLE FacePose (face_id INTEGER, roll REAL, pitch REAL, yaw REAL);"
            "CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL);"
            "INSERT INTO Faces VALUES (1, 'a'); INSERT INTO FaceImages VALUES ('a', 'a.jpg');"
            "INSERT INTO FaceRect VALUES (1, 3, 4, 20, 22); INSERT INTO FacePose VALUES (1, 0.1, 0.2, -0.5);"
            "INSERT INTO FeatureCoords VALUES (1, 15, 12.5, 14.25), (1, 1, 3, 5);"
        )
    return [
        wflw / "list_98pt_rect_attr_test.txt",
        afw / "AFW_1_1_0.mat",
        marks / "AFW_1_1_0_pts.mat",
        root / "cofw" / "COFW_test.h5",
        root / "aflw" / "aflw.sqlite",
    ]


def data_sets(root: Path) -> list[Path]:
    """Files of labels in folders of data sets, all under one root."""
    return [*_views(root), *_packed(root), *_csv(root), *_of_owners(root)]


def tracks(folder: Path) -> list[Path]:
    """Tables of tracks of three frames, one without a face."""
    points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    faces = Faces(points, box_of(points), np.full((2, 5), 0.5), scheme="5", identity=np.array([1, 4]))
    moments = [Moment(at, at / 25, faces[:count], ("tracked", "new")[:count]) for at, count in enumerate((2, 0, 1))]
    paths = [folder / f"tracks{ending}" for ending in FORMATS]
    for path in paths:
        dump_tracks(path, moments)
    return paths


def videos(folder: Path) -> list[Path]:
    """Small videos in several containers."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = (("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264"))
    return [film(folder / name, greys(8), codec=codec) for name, codec in kinds]
