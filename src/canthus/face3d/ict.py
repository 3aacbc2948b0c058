"""Make a face model file from ICT-FaceKit as its owners distribute it: the folder FaceXModel of .obj files.

ICT-FaceKit [Li et al., Learning formation of physically-based face attributes, 2020] has the MIT licence. Vertices keep
their numbers; those from 24591 on (lacrimal fluid, eye blends, occlusion meshes, lashes) and their faces are dropped.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError
from canthus.face3d.contour import lines_to
from canthus.face3d.mesh import Neighbours
from canthus.work.documents import read_json
from canthus.work.files import replace_whole

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

VERTICES = 24591
"""Number of vertices that are kept."""
STEP = 5e-4
"""Resolution of a mode, cm, unless it moves a vertex by more than 32767 of them."""
REGIONS = {
    "face": 0,
    "head_neck": 9409,
    "mouth_socket": 11248,
    "eye_socket_left": 13294,
    "eye_socket_right": 13678,
    "gums_tongue": 14062,
    "teeth": 17039,
    "sclera_left": 21451,
    "iris_left": 22221,
    "sclera_right": 23021,
    "iris_right": 23791,
}
"""First vertex of each part, from the README of ICT-FaceKit."""
NEUTRAL, TABLE = "generic_neutral_mesh.obj", "vertex_indices.json"

_JAW = (
    "1278 1275 1272 1248 12 820 1834 1902 243 844 781 1673 2199 801 1447 800 966 "
    "3041 3661 3042 4390 3880 3022 3085 2484 4102 4036 3061 2253 3466 3490 3493 3496"
)
_INNER = (
    "268 493 1914 2044 1401 3615 4240 4114 2734 2509 978 4527 4942 4857 1140 2075 1147 4269 3360 1507 1542 1537 1528 "
    "1518 1511 3742 3751 3756 3721 3725 3732 5708 5695 2081 0 4275 6200 6213 6346 6461 5518 5957 5841 5702 5711 5533 "
    "6216 6207 6470 5517 5966"
)
"""Jaw lines and inner Multi-PIE points, from the README of ICT-FaceKit."""


@dataclass(frozen=True, eq=False)
class _Mesh:
    """An .obj file: vertices (V, 3), texture coordinates (U, 2), faces as (vertex, texture) pairs."""

    vertices: Doubles
    uv: Doubles
    faces: list[list[tuple[int, int]]]


def import_ict(folder: Path, out: Path) -> dict[str, int]:
    """Write the .npz, and landmarks.json beside it if there is none.

    This landmarks.json has the sets that ICT-FaceKit publishes (68, 51 and 84 points), and lines along which their
    contour slides, found on the mesh; no other scheme.

    Args:
        folder: Folder FaceXModel.
        out: The .npz file to write.

    Returns:
        Number of vertices, identities, expressions, triangles.

    Raises:
        InputError: the folder lacks a file, or one is damaged or of another mesh.
        OutputError: the file cannot be written.
    """
    neutral = _read_mesh(folder / NEUTRAL)
    kept = min(VERTICES, len(neutral.vertices))
    identities = _identities(folder)
    expressions = _expressions(folder)
    mean = neutral.vertices[:kept]
    identity, identity_step = _modes(identities, neutral, kept)
    expression, expression_step = _modes(expressions, neutral, kept)
    triangles, corners = _triangles(neutral, kept)
    textures, triangle_uv = np.unique(corners, return_inverse=True)
    uv = neutral.uv[textures]
    triangle_uv = triangle_uv.reshape(triangles.shape)
    vertex_uv = np.zeros((kept, 2))
    vertex_uv[triangles] = uv[triangle_uv]
    starts = np.minimum([*REGIONS.values(), VERTICES], kept)
    region = np.searchsorted(starts[1:], np.arange(kept), side="right")
    arrays: dict[str, NDArray[Any]] = {
        "mean": mean.astype(np.float32),
        "identity_q": identity,
        "identity_step": identity_step,
        "expression_q": expression,
        "expression_step": expression_step,
        "expression_names": np.array([path.stem for path in expressions]),
        "triangles": triangles.astype(np.uint16),
        "uv": uv.astype(np.float32),
        "triangle_uv": triangle_uv.astype(np.uint16),
        "vertex_uv": vertex_uv.astype(np.float32),
        "region": region.astype(np.uint8),
        "region_names": np.array(list(REGIONS)),
        "region_range": np.stack([starts[:-1], starts[1:]], 1).astype(np.int32),
        "units": np.array("cm"),
    }
    with replace_whole(out) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    _write_landmarks(out.with_name("landmarks.json"), mean, triangles)
    counts = {"vertices": kept, "identities": len(identities), "expressions": len(expressions)}
    return counts | {"triangles": len(triangles)}


def _identities(folder: Path) -> list[Path]:
    """Files identity000.obj and so on, without a gap."""
    count = len(list(folder.glob("identity[0-9][0-9][0-9].obj")))
    paths = [folder / f"identity{number:03d}.obj" for number in range(count)]
    missing = [path.name for path in [*paths, folder / "identity000.obj"] if not path.is_file()]
    if missing:
        raise InputError(f"{folder}: {missing[0]} is missing; give the folder FaceXModel of ICT-FaceKit, whole")
    return paths


def _expressions(folder: Path) -> list[Path]:
    """The expressions in the order of vertex_indices.json, then those it does not name."""
    table = folder / TABLE
    try:
        tree = read_json(table, InputError, "give the complete folder FaceXModel of ICT-FaceKit")
        names = [str(name) for name in tree["expressions"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{table}: not the table of ICT-FaceKit: it has no list 'expressions'") from error
    others = {path.stem for path in folder.glob("*.obj") if not path.stem.startswith("identity")} - {Path(NEUTRAL).stem}
    paths = [folder / f"{name}.obj" for name in [*names, *sorted(others - set(names))]]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{folder}: {missing[0]}, which {TABLE} names, is missing")
    return paths


def _modes(paths: list[Path], neutral: _Mesh, kept: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Differences of meshes from the neutral one as whole numbers (K, 3, V), and their steps (K,)."""
    modes = np.zeros((len(paths), 3, kept), np.int16)
    steps = np.full(len(paths), STEP, np.float32)
    for index, path in enumerate(paths):
        vertices = _read_mesh(path, whole=False).vertices
        if len(vertices) != len(neutral.vertices):
            raise InputError(f"{path}: has {len(vertices)} vertices, {NEUTRAL} has {len(neutral.vertices)}")
        difference = (vertices - neutral.vertices)[:kept]
        steps[index] = max(STEP, float(np.abs(difference).max(initial=0)) / 32767)
        modes[index] = np.rint(difference.T / steps[index])
    return modes, steps


def _triangles(mesh: _Mesh, kept: int) -> tuple[Indices, Indices]:
    """Faces (a, b, c, d) as (a, b, c) and (a, c, d): vertices (T, 3) and texture coordinates (T, 3)."""
    corners = [
        (face[0], face[index], face[index + 1])
        for face in mesh.faces
        if max(vertex for vertex, _ in face) < kept
        for index in range(1, len(face) - 1)
    ]
    table = np.array(corners, np.intp).reshape(-1, 3, 2)
    return table[..., 0], table[..., 1]


def _read_mesh(path: Path, whole: bool = True) -> _Mesh:
    """Parse an .obj file, or its vertices alone."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give the folder FaceXModel, whole") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file") from error
    rows: dict[str, list[str]] = {"v": [], "vt": [], "f": []}
    wanted = ("v", "vt", "f") if whole else ("v",)
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in wanted:
            rows[kind].append(rest)
    try:
        vertices, uv = _numbers(rows["v"], 3), _numbers(rows["vt"], 2)
        faces = [[_corner(text) for text in row.split()] for row in rows["f"]]
    except ValueError as error:
        raise InputError(f"{path}: not a Wavefront mesh: {error}") from error
    _check_mesh(path, vertices, uv, faces)
    return _Mesh(vertices, uv, faces)


def _numbers(rows: list[str], width: int) -> Doubles:
    """The first numbers of each row. Shape (N, width)."""
    table = np.array([row.split()[:width] for row in rows], np.float64)
    if rows and table.shape != (len(rows), width):
        raise ValueError(f"a line has fewer than {width} numbers")
    return table.reshape(-1, width)


def _corner(text: str) -> tuple[int, int]:
    """Vertex 6 and texture coordinate 8 of "7/9/3"."""
    vertex, _, rest = text.partition("/")
    return int(vertex) - 1, int(rest.partition("/")[0]) - 1


def _check_mesh(path: Path, vertices: Doubles, uv: Doubles, faces: list[list[tuple[int, int]]]) -> None:
    if not len(vertices) or not np.isfinite(vertices).all():
        raise InputError(f"{path}: holds no vertices")
    for face in faces:
        if len(face) < 3 or not all(0 <= v < len(vertices) and 0 <= t < len(uv) for v, t in face):
            raise InputError(
                f"{path}: a face has corners {face} (from 0), of {len(vertices)} vertices and {len(uv)} uv"
            )


def _write_landmarks(path: Path, mean: Doubles, triangles: Indices) -> None:
    """Write the published sets with the lines of their jaw, unless the file exists or the mesh is another."""
    jaw, inner = ([int(number) for number in text.split()] for text in (_JAW, _INNER))
    if path.exists() or len(mean) < VERTICES:
        return
    sets = {"ibug68_3d": jaw[::2] + inner, "ibug51": inner, "menpo3d84": jaw + inner}
    drop = ["eyeLook", "Pupil", "cheek", "mouthPress", "mouthShrugUpper", "jawForward"]  # hardly seen in landmarks
    skin = triangles[(triangles < REGIONS["mouth_socket"]).all(1)]
    lines = {"menpo33": dict(enumerate(_jaw_lines(Neighbours(skin), mean, np.array(jaw), np.array(inner))))}
    tree = {"sets": sets, "contour_lines": lines, "fit_expression_drop": drop}
    with replace_whole(path) as part:
        part.write_text(json.dumps(tree), encoding="utf-8")


def _jaw_lines(neighbours: Neighbours, mean: Doubles, jaw: Indices, inner: Indices) -> list[list[int]]:
    """A line for each of the 33 points; they end on the path outer eye corner, mouth corner, lower lip."""
    chin = len(jaw) // 2
    right = lines_to(neighbours, mean, jaw[: chin + 1], inner[[19, 31, 40]])
    left = lines_to(neighbours, mean, jaw[: chin - 1 : -1], inner[[28, 37, 40]])
    return right + left[-2::-1]
