"""A toy face model, made from the form in which ICT-FaceKit is distributed: an ellipsoid with a nose and 68 points."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.face3d.contour import outline
from canthus.face3d.ict import import_ict
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.table import Faces2D, FitJob, fit_faces, write_table
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import index_map

ACROSS, DOWN = 91, 45
EXPRESSIONS = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "eyeLookUp_L")


def surface() -> np.ndarray:
    """The neutral head in the file's axes (x right, y up, z to the viewer), row by row from the top. Shape (V, 3)."""
    azimuth, elevation = np.meshgrid(np.deg2rad(np.linspace(-180, 180, ACROSS)), np.deg2rad(np.linspace(75, -75, DOWN)))
    x, y = 7.5 * np.cos(elevation) * np.sin(azimuth), 10 * np.sin(elevation)
    z = 9 * np.cos(elevation) * np.cos(azimuth)
    z = z + 2.5 * np.exp(-((x / 1.2) ** 2) - ((y + 0.5) / 1.8) ** 2) * (z > 0)
    return np.stack([x, y, z], -1).reshape(-1, 3)


def quads() -> list[tuple[int, int, int, int]]:
    """Counter-clockwise seen from outside."""
    return [
        (r * ACROSS + c, (r + 1) * ACROSS + c, (r + 1) * ACROSS + c + 1, r * ACROSS + c + 1)
        for r in range(DOWN - 1)
        for c in range(ACROSS - 1)
    ]


def write_obj(path: Path, vertices: np.ndarray, faces: list[tuple[int, ...]]) -> None:
    lines = ["mtllib some.mtl", *(f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in vertices)]
    lines += [f"vt {index / len(vertices):.6f} 0.5" for index in range(len(vertices))]
    lines += ["f " + " ".join(f"{corner + 1}/{corner + 1}" for corner in face) for face in faces]
    path.write_text("\n".join(lines) + "\n")


def write_folder(folder: Path, vertices: np.ndarray, faces: list, modes: np.ndarray, expressions: dict) -> None:
    """A folder FaceXModel."""
    folder.mkdir(parents=True)
    write_obj(folder / "generic_neutral_mesh.obj", vertices, faces)
    for index, mode in enumerate(modes):
        write_obj(folder / f"identity{index:03d}.obj", vertices + mode, faces)
    for name, mode in expressions.items():
        write_obj(folder / f"{name}.obj", vertices + mode, faces)
    (folder / "vertex_indices.json").write_text(json.dumps({"expressions": list(expressions)}))


def landmarks_of(vertices: np.ndarray) -> dict:
    """The form of landmarks.json: 68, 51 and 29 points, and the lines on which the jaw slides."""

    def near(x: float, y: float) -> int:
        return int(np.argmin((vertices[:, 0] - x) ** 2 + (vertices[:, 1] - y) ** 2 + 99 * (vertices[:, 2] < 2)))

    ring = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    mouth, lips = np.linspace(0, 2 * np.pi, 12, endpoint=False), np.linspace(0, 2 * np.pi, 8, endpoint=False)
    inner = [(x, 4.5 - 0.1 * abs(abs(x) - 3.5)) for x in (*np.linspace(-5.5, -1.2, 5), *np.linspace(1.2, 5.5, 5))]
    inner += [(0, 2.6), (0, 1.6), (0, 0.6), (0, -0.5), *((x, -1.8) for x in (-1.6, -0.8, 0, 0.8, 1.6))]
    inner += [(side * 3.2 - 1.5 * np.cos(a), 2.6 + 0.7 * np.sin(a)) for side in (-1, 1) for a in ring]
    inner += [(-2.6 * np.cos(a), -4.5 + 1.2 * np.sin(a)) for a in mouth]
    inner += [(-1.7 * np.cos(a), -4.5 + 0.5 * np.sin(a)) for a in lips]
    lines, middle = {}, ACROSS // 2
    for index, turn in enumerate(np.linspace(-1, 1, 17)):
        column = round(middle + turn * 20)
        row = round(DOWN * (0.45 + 0.35 * np.cos(turn * np.pi / 2)))
        step = int(np.sign(middle - column))
        lines[str(index)] = [row * ACROSS + column + step * k for k in range(abs(column - middle) or 1)]
    inside = [near(x, y) for x, y in inner]
    points = [line[0] for line in lines.values()] + inside
    alone = {"nose_wing": (1.8, -1.0), "brow": (3.5, 4.0)}  # what the 68 do not tell
    few = []
    for name, part in zip(Scheme.open("29").names, index_map("68", "29").parts, strict=True):
        x, y = vertices[[points[item] for item in part]].mean(0)[:2] if part else next(
            place for kind, place in alone.items() if name.startswith(kind)
        )  # fmt: skip
        few.append(points[part[0]] if len(part) == 1 else near(x if part or "left" in name else -x, y))
    sets = {"ibug68_3d": points, "ibug51": inside, "cofw29": few}
    loop = [points[index] for index in range(36, 42)]
    return {
        "sets": sets,
        "contour_lines": {"ibug17": lines},
        "fit_expression_drop": ["eyeLook"],
        "hole_polygons": {"eye_left_img": loop},
    }


@dataclass(frozen=True)
class Toy:
    """The toy model and where it came from."""

    folder: Path
    path: Path
    model: MorphableModel
    tree: dict


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Six identities, four expressions (one of them left out of fitting)."""
    root, rng = tmp_path_factory.mktemp("synth"), np.random.default_rng(4)
    vertices = surface()
    place = vertices / 8
    p, q, r = place.T
    smooth = np.stack([p**2, q, q**2, r**2, p**2 * q, q * r])
    modes = 0.15 * np.einsum("kb,bv,kd->kvd", rng.normal(size=(6, 6)), smooth, rng.normal(size=(6, 3)))
    x, y, _ = vertices.T
    jaw = np.exp(-(((y + 6) / 2.5) ** 2))[:, None] * (0, -1.5, -0.3) * (y < -4.4)[:, None]
    smile = [np.exp(-((x - s * 2.6) ** 2) - ((y + 4.5) ** 2))[:, None] * (s * 0.8, 0.6, -0.3) for s in (1, -1)]
    look = np.exp(-((x - 3.2) ** 2) - (y - 2.6) ** 2)[:, None] * (0, 0.2, 0)
    expressions = dict(zip(EXPRESSIONS, [jaw, *smile, look], strict=True))
    write_folder(root / "FaceXModel", vertices, quads(), modes, expressions)
    path = root / "toy.npz"
    import_ict(root / "FaceXModel", path)
    tree = landmarks_of(vertices)
    path.with_name("landmarks.json").write_text(json.dumps(tree))
    return Toy(root / "FaceXModel", path, MorphableModel.open(path), tree)


@dataclass(frozen=True)
class Truth:
    """Faces of a model before a camera: what a fit should find."""

    pose: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    scale: float
    points: np.ndarray
    labels: np.ndarray


def people(model: MorphableModel, pose: np.ndarray, rng: np.random.Generator) -> Truth:
    """Random people in the poses (F, 3), 20 pixels a cm: 3D points of the true jaw, labels of the outline."""
    pose = np.asarray(pose, float)
    coefficients = rng.normal(size=(len(pose), len(model.identity)))
    kept = [not name.startswith(model.landmarks.dropped) for name in model.expression_names]
    weights = rng.uniform(0, 0.7, (len(pose), len(kept))) * kept * (rng.random((len(pose), len(kept))) < 0.3)
    turned, scale = rotation(pose), 20.0
    lines = model.landmarks.lines["68"]
    shape = model.vertices(coefficients, weights, lines.ravel()).astype(float)
    seen = (scale * shape @ np.swapaxes(turned, 1, 2)).reshape(len(pose), *lines.shape, 3)
    seen[..., :2] += (300, 280)
    picked, _ = outline(model.normals[lines], turned)
    labels = np.take_along_axis(seen, picked[..., None, None], 2)[:, :, 0]
    labels[:, 17:] = seen[:, 17:, 0]
    return Truth(pose, coefficients, weights, scale, seen[:, :, 0], labels[..., :2])


@pytest.fixture(scope="session")
def make_faces():
    """`people` for tests."""
    return people


@pytest.fixture(scope="session")
def make_folder():
    """`write_folder` for tests."""
    return write_folder


@dataclass(frozen=True)
class Studio:
    """Photographs of plain skin, and the table of their fits."""

    folder: Path
    table: Path
    poses: np.ndarray


@pytest.fixture(scope="session")
def studio(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Twelve faces of six people in azimuths from -50 to 50 degrees."""
    folder, rng = tmp_path_factory.mktemp("studio"), np.random.default_rng(8)
    poses = np.stack([np.linspace(-50, 50, 12), np.zeros(12), rng.uniform(-5, 5, 12)], -1)
    labels = people(toy.model, poses, rng).labels
    names = tuple(f"images/{index:02d}.png" for index in range(12))
    (folder / "images").mkdir()
    light = np.linspace(0.9, 1.1, 600)[:, None, None]
    for index, name in enumerate(names):
        skin = np.full((600, 600, 3), (125 + index, 150, 205)) * light
        cv2.imwrite(str(folder / name), (skin + rng.normal(0, 2, skin.shape)).clip(0, 255).astype(np.uint8))
    faces = Faces2D(names, tuple("abcdefabcdef"), labels, np.full((12, 2), 600.0), "68")
    job = FitJob(toy.path, None, "68")
    write_table(folder / "fits.npz", faces, fit_faces(job, faces), job, folder)
    return Studio(folder, folder / "fits.npz", poses)


@pytest.fixture(scope="session")
def face_model(data_root: Path) -> MorphableModel:
    """The real one."""
    return MorphableModel.open(data_root / "ict_facekit" / "ict_facekit.npz")
