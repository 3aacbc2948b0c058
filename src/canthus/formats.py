"""Landmarks in files: one table, extension -> how to load and how to dump.

Law (tested): `load(dump(records))` gives the records back, bit for bit, in all that the format can hold;
.pts keeps 1/10000 px of the points alone.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus import __version__
from canthus.errors import FormatError, InputError, OutputError, ShapeError
from canthus.types import Floats

BOX, POSE = ("bx0", "by0", "bx1", "by1"), ("yaw", "pitch", "roll")


def _nothing() -> Floats:
    return np.zeros((0, 2), np.float32)


def _floats(values: Any) -> Floats:
    """As float32; None becomes NaN, what is too large infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Record:
    """One face in a file. One without points and box says: this image holds no face.

    Attributes:
        image: Name of the image, as the file gives it; of a .pts file its own name without the extension.
        points: Landmarks in pixels, NaN = missing. Shape (P, 2) or (P, 3).
        scheme: Name of the landmark scheme; empty = the file does not say.
        identity: Person or source picture; empty = not known.
        box: x0 y0 x1 y1. Shape (4,).
        scores: Reliability of each point. Shape (P,).
        confidence: How sure it is that this is a face; NaN = not known.
        pose: Yaw, pitch, roll in degrees. Shape (3,).
        size: Width and height of the image.
    """

    image: str
    points: Floats = field(default_factory=_nothing)
    scheme: str = ""
    identity: str = ""
    box: Floats | None = None
    scores: Floats | None = None
    confidence: float = float("nan")
    pose: Floats | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        points = _floats(self.points)
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise ShapeError(f"points are (P, 2) or (P, 3), not {points.shape}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "confidence", float(_floats(self.confidence)))
        for name, shape in {"box": (4,), "scores": (len(points),), "pose": (3,)}.items():
            if (value := getattr(self, name)) is not None:
                array = _floats(value)
                if array.shape != shape:
                    raise ShapeError(f"the {name} of {len(points)} points is {shape}, not {array.shape}")
                object.__setattr__(self, name, array)
        if any(
            value is not None and np.isinf(value).any()
            for value in (points, self.box, self.scores, self.pose, self.confidence)
        ):
            raise ShapeError("a value is infinite; what is missing is NaN")

    @property
    def empty(self) -> bool:
        """True where the image holds no face."""
        return len(self.points) == 0 and self.box is None


@dataclass(frozen=True)
class Format:
    """How a kind of file is loaded and dumped."""

    load: Callable[[Path], list[Record]]
    dump: Callable[[Path, Sequence[Record]], None]


def load(path: Path) -> list[Record]:
    """The faces in a file, or in all .pts files of a folder (then `image` is the path within it, without extension).

    Raises:
        FormatError: the file is not in the format its extension promises; the message names file and line.
        InputError: the file is missing or cannot be read.
    """
    if path.is_dir():
        return _load_folder(path)
    handler = _format_of(path, FormatError)
    try:
        return handler.load(path)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file; it is there whole or not at all.

    Raises:
        OutputError: the format cannot hold these records, or the file cannot be written.
    """
    handler = _format_of(path, OutputError)
    with replace_whole(path) as part:
        try:
            handler.dump(part, records)
        except ShapeError as error:
            raise OutputError(f"{path}: {error}") from error


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write to, which takes its place when the block ends well and vanishes when not.

    The hidden file has the extension of `path`; the folder is made.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _format_of(path: Path, error: type[FormatError] | type[OutputError]) -> Format:
    known = FORMATS.get(path.suffix.lower())
    if known is None:
        raise error(f"{path}: points are kept in {', '.join(FORMATS)} files, not in {path.suffix or 'no extension'!r}")
    return known


def _load_folder(folder: Path) -> list[Record]:
    inside = ((path, path.relative_to(folder).parts) for path in folder.rglob("*.pts"))
    found = sorted(path for path, parts in inside if not any(part.startswith(".") for part in parts))
    if not found:
        raise FormatError(f"{folder}: holds no .pts file; give a folder of .pts files, or one file")
    return [
        Record(path.relative_to(folder).with_suffix("").as_posix(), record.points)
        for path in found
        for record in load(path)
    ]


def _record(place: str, **values: Any) -> Record:
    try:
        return Record(**values)
    except ShapeError as error:
        raise FormatError(f"{place}: {error}") from error


# .pts: iBUG; the first pixel is (1, 1)


def _load_pts(path: Path) -> list[Record]:
    rows: list[list[float]] = []
    promised: float | None = None
    inside = closed = False
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        text = line.strip()
        if not inside:
            key, _, value = text.partition(":")
            if key.strip() == "n_points":
                promised = _number(value, f"{path}:{number}")
            inside = text == "{"
        elif text == "}":
            closed = True
            break
        elif text:
            rows.append([_number(token, f"{path}:{number}") for token in text.split()])
            if len(rows[-1]) not in (2, 3) or len(rows[-1]) != len(rows[0]):
                raise FormatError(
                    f"{path}:{number}: a point is two or three numbers, as on the other lines, not {text!r}"
                )
    if not closed:
        raise FormatError(f"{path}: the points do not stand between {{ and }}; the file may be cut short")
    if promised not in (None, len(rows)):
        raise FormatError(f"{path}: n_points says {promised:g}, but there are {len(rows)} points")
    points = np.array(rows, np.float64).reshape(len(rows), -1 if rows else 2)
    points[:, :2] -= 1
    return [_record(str(path), image=path.stem, points=points)]


def _dump_pts(path: Path, records: Sequence[Record]) -> None:
    if len(records) != 1:
        raise ShapeError(f"a .pts file holds one face, not {len(records)}; write .json or .csv")
    points = records[0].points.astype(np.float64)
    points[:, :2] += 1
    lines = [" ".join(f"{value:.4f}" for value in row) for row in points]
    path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}", ""]), encoding="utf-8")


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise FormatError(f"{place}: {text.strip()!r} is not a number") from error


# .csv: one row a face: image, face, x0, y0, ...; NaN is an empty cell


def _load_csv(path: Path) -> list[Record]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        header = [name.strip() for name in next(rows, [])]
        columns = _columns(header, path)
        records = []
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if not row:
                continue
            if len(row) != len(header):
                raise FormatError(f"{place}: {len(row)} cells, but the header has {len(header)}")
            records.append(_csv_record(row, columns, place))
    return records


def _columns(header: Sequence[str], path: Path) -> dict[str, list[int]]:
    """Where each part of a record stands in a row; a part that the file lacks is left out."""
    at = {name: index for index, name in enumerate(header)}
    if len(at) != len(header):
        raise FormatError(f"{path}:1: a column name stands twice")
    if "image" not in at:
        raise FormatError(f"{path}:1: there is no column 'image'; the header is image,face,x0,y0,x1,y1,...")
    count = sum(name[:1] == "x" and name[1:].isdigit() for name in header)
    axes = "xyz" if "z0" in at else "xy"
    single = ("image", "face", "identity", "scheme", "confidence")
    parts: dict[str, list[str]] = {name: [name] for name in single if name in at}
    parts["points"] = [f"{axis}{index}" for index in range(count) for axis in axes]
    parts |= {name: list(names) for name, names in {"box": BOX, "pose": POSE}.items() if set(names) & at.keys()}
    if "s0" in at:
        parts["scores"] = [f"s{index}" for index in range(count)]
    missing = [name for names in parts.values() for name in names if name not in at]
    if missing:
        raise FormatError(f"{path}:1: the column {missing[0]!r} is missing")
    return {part: [at[name] for name in names] for part, names in parts.items()} | {"axes": [len(axes)]}


def _csv_record(row: Sequence[str], columns: Mapping[str, Sequence[int]], place: str) -> Record:
    values: dict[str, Any] = {
        part: row[columns[part][0]].strip() for part in ("image", "identity", "scheme") if part in columns
    }
    if "face" in columns and not row[columns["face"][0]].strip():
        return _record(place, **values)
    for part in ("points", "box", "pose", "scores"):
        if part in columns:
            cells = (row[index].strip() for index in columns[part])
            values[part] = np.array([_number(cell or "nan", place) for cell in cells], np.float64)
    values["points"] = values["points"].reshape(-1, columns["axes"][0])
    values |= {part: None for part in ("box", "pose", "scores") if part in values and np.isnan(values[part]).all()}
    if "confidence" in columns:
        values["confidence"] = _number(row[columns["confidence"][0]].strip() or "nan", place)
    return _record(place, **values)


def _dump_csv(path: Path, records: Sequence[Record]) -> None:
    faces = [record for record in records if not record.empty]
    count, dims = _common_shape(faces)
    optional: dict[str, tuple[str, ...]] = {
        "box": BOX,
        "confidence": ("confidence",),
        "pose": POSE,
        "scores": tuple(f"s{index}" for index in range(count)),
    }
    labels = [name for name in ("identity", "scheme") if any(getattr(record, name) for record in records)]
    known = [name for name in optional if any(_given(record, name) for record in faces)]
    header = ["image", "face", *labels, *(f"{axis}{index}" for index in range(count) for axis in "xyz"[:dims])]
    header += [column for name in known for column in optional[name]]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        face, image = 0, None
        for record in records:
            face = face + 1 if record.image == image else 0
            image = record.image
            cells = [image, "" if record.empty else str(face), *(getattr(record, name) for name in labels)]
            if not record.empty:
                cells += _cells(record.points)
                for name in known:
                    cells += _cells(getattr(record, name)) if _given(record, name) else [""] * len(optional[name])
            table.writerow(cells + [""] * (len(header) - len(cells)))


def _common_shape(records: Sequence[Record]) -> tuple[int, int]:
    shapes = {record.points.shape for record in records} or {(0, 2)}
    if len(shapes) > 1:
        raise ShapeError(f"all faces need the same number of points, not {sorted(shapes)}; write .json")
    return shapes.pop()


def _given(record: Record, name: str) -> bool:
    value = getattr(record, name)
    return value is not None and not np.isnan(value).all()


def _cells(values: Any) -> list[str]:
    """Shortest text that gives back the same float32; nothing for NaN."""
    return ["" if np.isnan(value) else str(value) for value in np.asarray(values, np.float32).ravel()]


# .json: {"canthus": version, "images": [{"image", "width", "height", "scheme", "faces": [...]}]}; NaN is null


def _load_json(path: Path) -> list[Record]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("images"), list):
        raise FormatError(f'{path}: not landmarks as canthus writes them: there is no list "images"')
    records = []
    for number, entry in enumerate(tree["images"]):
        try:
            records += _json_records(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"{path}: images[{number}]: {what}") from error
    return records


def _json_records(entry: Mapping[str, Any]) -> list[Record]:
    size = (int(entry["width"]), int(entry["height"])) if "width" in entry else None
    shared: dict[str, Any] = {"image": str(entry["image"]), "scheme": entry.get("scheme", ""), "size": size}
    records = []
    for face in entry["faces"]:
        points = _floats(face["points"])
        records.append(
            Record(
                **shared,
                points=points if points.size else _nothing(),
                identity=face.get("identity", ""),
                box=face.get("box"),
                scores=face.get("scores"),
                confidence=face.get("confidence", float("nan")),
                pose=_floats([face["pose"][name] for name in POSE]) if "pose" in face else None,
            )
        )
    return records or [Record(**shared)]


def _dump_json(path: Path, records: Sequence[Record]) -> None:
    images = []
    for (image, scheme, size), group in groupby(records, lambda record: (record.image, record.scheme, record.size)):
        entry: dict[str, Any] = {"image": image}
        if size is not None:
            entry |= {"width": size[0], "height": size[1]}
        if scheme:
            entry["scheme"] = scheme
        images.append(entry | {"faces": [_json_face(record) for record in group if not record.empty]})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in images)
    path.write_text(f'{{"canthus": "{__version__}", "images": [\n{lines}\n]}}\n', encoding="utf-8")


def _json_face(record: Record) -> dict[str, Any]:
    face: dict[str, Any] = {"identity": record.identity} if record.identity else {}
    if record.box is not None:
        face["box"] = _plain(record.box)
    if not np.isnan(record.confidence):
        face["confidence"] = _plain(record.confidence)
    if record.pose is not None:
        face["pose"] = dict(zip(POSE, _plain(record.pose), strict=True))
    face["points"] = _plain(record.points)
    if record.scores is not None:
        face["scores"] = _plain(record.scores)
    return face


def _plain(values: Any) -> Any:
    """Nested lists of the shortest numbers that give back the same float32; None for NaN."""
    if np.ndim(values):
        return [_plain(value) for value in values]
    return None if np.isnan(values) else float(str(np.float32(values)))


# .npz: points (F, P, 2 or 3), and if known images, identities, scheme, boxes, scores, confidence, pose


def _load_npz(path: Path) -> list[Record]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = dict(archive)
    except (ValueError, BadZipFile, EOFError) as error:
        raise FormatError(f"{path}: not a .npz file of plain arrays: {error}") from error
    points = arrays.get("points")
    if points is None or points.ndim != 3:
        raise FormatError(f"{path}: needs an array 'points' of shape (F, P, 2), has {sorted(arrays) or 'nothing'}")
    parts = {"images": "image", "identities": "identity", "boxes": "box", "scores": "scores", "pose": "pose"}
    parts |= {"confidence": "confidence"}
    wrong = [name for name in parts if name in arrays and len(np.atleast_1d(arrays[name])) != len(points)]
    if wrong:
        raise FormatError(f"{path}: {wrong[0]!r} has {arrays[wrong[0]].shape}, 'points' has {len(points)} faces")
    scheme = str(arrays["scheme"]) if "scheme" in arrays else ""
    records = []
    for index, face in enumerate(points):
        values = {field_: arrays[name][index] for name, field_ in parts.items() if name in arrays}
        texts = {name: str(values.pop(name, "")) for name in ("image", "identity")}
        confidence = float(values.pop("confidence", np.nan))
        values = {name: None if np.isnan(value).all() else value for name, value in values.items()}
        place = f"{path}: face {index}"
        records.append(_record(place, points=face, scheme=scheme, confidence=confidence, **texts, **values))
    return records


def _dump_npz(path: Path, records: Sequence[Record]) -> None:
    if any(record.empty for record in records):
        raise ShapeError("a .npz file holds faces alone, no image without one; write .json or .csv")
    schemes = {record.scheme for record in records}
    if len(schemes) > 1:
        raise ShapeError(f"all faces need one scheme, not {sorted(schemes)}; write .json")
    count, dims = _common_shape(records)
    sizes = {
        "boxes": ("box", (4,)),
        "scores": ("scores", (count,)),
        "pose": ("pose", (3,)),
        "confidence": ("confidence", ()),
    }
    arrays: dict[str, Any] = {
        "points": np.array([record.points for record in records]).reshape(len(records), count, dims)
    }
    for name, (source, shape) in sizes.items():
        if any(_given(record, source) for record in records):
            missing = np.full(shape, np.nan)
            values = [getattr(record, source) if _given(record, source) else missing for record in records]
            arrays[name] = np.array(values, np.float32)
    for name, source in {"images": "image", "identities": "identity"}.items():
        if any(getattr(record, source) for record in records):
            arrays[name] = np.array([getattr(record, source) for record in records])
    if schemes - {""}:
        arrays["scheme"] = np.array(*schemes)
    np.savez_compressed(path, **arrays)


FORMATS: dict[str, Format] = {
    ".pts": Format(_load_pts, _dump_pts),
    ".csv": Format(_load_csv, _dump_csv),
    ".json": Format(_load_json, _dump_json),
    ".npz": Format(_load_npz, _dump_npz),
}
