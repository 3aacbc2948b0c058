"""Damages files: blindly, byte by byte, and by what their format means; the same numbers give the same damage."""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat, savemat

TOKENS = [
    *("nan", "inf", "-inf", "1e400", "-1e400", "1e39", "1e-320", "-0", "9" * 400, "0x10", "1_0", "", " ", "-", "²"),
    *(
        "\0",
        "\ufeff",
        "é",
        "\u2028",
        '"',
        "'",
        ",",
        ",,,,",
        "[",
        "]",
        "{",
        "}",
        ":",
        "&a",
        "*a",
        "<<: *a",
        "!!binary x",
    ),
    *("@y", "%", "2020-13-45", "2020-02-30", "null", "true", "~", "../x", "/etc/passwd", "x" * 300, "[/x]", "\r", "\n"),
    *("[" * 3000, "{a: " * 500, '{"a":' * 3000, "(" * 3000, "x" * 140_000, '"' + "y" * 140_000, "- " * 2000),
]
"""Text that is put into text files."""
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1.5, float("inf"), float("nan"), 1e39, -1e308, "", "x", "68"),
    *("../../x", "é", "\ud800", "\0", "[/x]", "x" * 2000, [], {}, [[]], [None], [[1, 2], [3]], {"a": 1}, [1] * 500),
]
"""Values that are put into trees of JSON and YAML."""
KINDS = ("f2", "f8", "i1", "u8", "c8", "?", "U3", "S3", "M8[s]", "V5", "O")
"""Types that arrays are converted to."""


def damaged(rng: Random, data: bytes, kind: str) -> bytes:
    """A damaged copy of a file of a kind, which is the ending of its name."""
    changed = data
    if kind in MEANING and rng.random() < 0.75:
        changed = MEANING[kind](rng, data)
    return blindly(rng, changed) if changed == data or rng.random() < 0.3 else changed


def blindly(rng: Random, data: bytes) -> bytes:
    """Some bytes changed, removed, copied or added."""
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 12))):
        at = rng.randrange(len(work) + 1)
        length = rng.choice((1, 2, 4, 8, 30, 200))
        match rng.randrange(7):
            case 0 if at < len(work):
                work[at] ^= 1 << rng.randrange(8)
            case 1:
                work[at : at + 1] = bytes([rng.choice((0, 1, 127, 128, 255))])
            case 2:
                number = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 10_000_000))
                work[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
            case 3 if rng.random() < 0.3:
                del work[at:]
            case 4:
                del work[at : at + length]
            case 5:
                work[at:at] = work[at : at + length] * rng.choice((1, 1, 3))
            case _:
                work[at:at] = rng.randbytes(length)
    return bytes(work)


def text(rng: Random, data: bytes) -> bytes:
    """A text with other numbers, words and lines, or in another encoding."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        words = list(re.finditer(r"[\w.+-]+", lines[at]))
        match rng.randrange(5):
            case 0:
                lines.insert(at, rng.choice(lines))
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                place = rng.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + rng.choice(TOKENS) + lines[at][place:]
            case _ if words:
                word = rng.choice(words)
                lines[at] = lines[at][: word.start()] + rng.choice(TOKENS) + lines[at][word.end() :]
            case _:
                lines[at] = rng.choice(TOKENS)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8", "latin-1", "utf-16"))
    return rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines).encode(encoding, "replace")


def altered(rng: Random, tree: Any) -> Any:
    """A tree of lists and objects with one value changed, removed, renamed or nested."""
    if not tree or not isinstance(tree, dict | list) or rng.random() < 0.12:
        deep: Any = rng.choice(VALUES)
        if rng.random() < 0.03:
            for _ in range(rng.choice((70, 900))):
                deep = [deep]
        return deep
    work = dict(tree) if isinstance(tree, dict) else list(tree)
    key: Any = rng.choice(list(work)) if isinstance(work, dict) else rng.randrange(len(work))
    match rng.randrange(9):
        case 0:
            del work[key]
        case 1 if isinstance(work, dict):
            work[rng.choice(("", "x", "é", "name", "points"))] = work.pop(key)
        case 2 if isinstance(work, list):
            work *= rng.choice((2, 3, 40))
        case _:
            work[key] = altered(rng, work[key])
    return work


def json_text(rng: Random, data: bytes) -> bytes:
    """JSON with another tree, or other text."""
    if rng.random() < 0.3:
        return text(rng, data)
    whole = json.dumps(altered(rng, json.loads(data)), ensure_ascii=rng.random() < 0.7)
    if rng.random() < 0.1:
        whole = re.sub(r"\d+", lambda number: rng.choice((number[0], number[0], "1e400", "9" * 5000)), whole, count=9)
    return whole.encode("utf-8", "surrogatepass")


def json_lines(rng: Random, data: bytes) -> bytes:
    """Lines of JSON, one of them damaged."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = json_text(rng, lines[at])
    return b"\n".join(lines) + b"\n" * rng.randrange(2)


def array(rng: Random, values: np.ndarray) -> np.ndarray:
    """An array with another shape, type or values."""
    match rng.randrange(7):
        case 0:
            return values.reshape(-1)
        case 1:
            return values[None]
        case 2 if values.ndim:
            return values[: rng.randrange(len(values) + 1)]
        case 3 if values.ndim:
            return np.repeat(values, 2, rng.randrange(values.ndim))
        case 4:
            try:
                return values.astype(rng.choice(KINDS))
            except (TypeError, ValueError):
                return np.zeros(values.shape, rng.choice(KINDS))
        case 5 if values.size and values.dtype.kind == "f":
            changed = values.copy()
            changed.flat[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, 1e39, -1e5, 3e38))
            return changed
        case _:
            shape = tuple(rng.choice((0, 1, 2, 3, 20)) for _ in range(rng.randrange(4)))
            return np.zeros(shape, values.dtype)


def arrays(rng: Random, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by name, one of them changed, removed or renamed."""
    name, changed = rng.choice(sorted(found)), dict(found)
    match rng.randrange(8):
        case 0:
            del changed[name]
        case 1:
            changed[rng.choice(sorted(found))] = changed.pop(name)
        case _:
            changed[name] = array(rng, changed[name])
    return changed


def npz(rng: Random, data: bytes) -> bytes:
    """An .npz file with other arrays, or whose headers do not tell the truth."""
    with np.load(io.BytesIO(data)) as archive:
        found = dict(archive)
    stream = io.BytesIO()
    rng.choice((np.savez, np.savez_compressed))(stream, **arrays(rng, found))
    return members(rng, stream.getvalue()) if rng.random() < 0.4 else stream.getvalue()


def npy(rng: Random, data: bytes) -> bytes:
    """An array whose header gives another shape, type or nonsense."""
    shape = rng.choice(
        ("(10**12,)", "(9999999999, 68, 2)", "(0, 99999999999, 2)", "(-1,)", "()", "(2, 68, 2)", "(" * 900)
    )
    kind = rng.choice(("'<f4'", "'|O'", "'<U999999999'", "'|V0'", "[('a', '<f4')]", "'<f4', 'x'", "1/0"))
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data[128:]


def members(rng: Random, data: bytes) -> bytes:
    """A zip file with one member damaged, left out, doubled, very large or said to be so."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [(name, archive.read(name)) for name in archive.namelist()]
    if not found:
        return data
    at = rng.randrange(len(found))
    name, content = found[at]
    stream = io.BytesIO()
    match rng.randrange(7):
        case 0:
            del found[at]
        case 1:
            found[at] = rng.choice(("x", name + "\0", "../" + name, name.upper())), content
        case 2:
            found[at] = name, bytes(rng.choice((0, 1000, 1000, 70_000_000)))
        case 3:
            found[at] = name, npy(rng, content)
        case _:
            found[at] = name, damaged(rng, content, "." + name.rpartition(".")[2])
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED)
    kind = kinds[-1] if any(len(content) > 1_000_000 for _, content in found) else rng.choice(kinds)
    with zipfile.ZipFile(stream, "w", kind) as out:
        for name, content in found:
            out.writestr(name, content)
    whole = bytearray(stream.getvalue())
    if rng.random() < 0.2:  # in the directory: the size, the flags, the way of compression
        at = whole.find(b"PK\x01\x02") + rng.choice((8, 10, 20, 24))
        whole[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 99, 2**31, 5_000_000_000 % 2**32)))
    return bytes(whole)


def bundle(rng: Random, data: bytes) -> bytes:
    """A model bundle, damaged inside, with the hashes that the card then needs."""
    if rng.random() < 0.25:
        return members(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(["card.json", *found])
    before = sha256(found[name]).hexdigest()
    found[name] = damaged(rng, found[name], "." + name.rpartition(".")[2])
    card = found["card.json"].replace(before.encode(), sha256(found[name]).hexdigest().encode())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for member, content in {**found, "card.json": card}.items():
            out.writestr(member, content)
    return stream.getvalue()


def mat(rng: Random, data: bytes) -> bytes:
    """A MATLAB file with other variables."""
    found = {name: value for name, value in loadmat(io.BytesIO(data)).items() if not name.startswith("__")}
    changed = {
        name: value for name, value in arrays(rng, found).items() if value.dtype.kind not in "VM" or value.dtype.names
    }
    stream = io.BytesIO()
    try:
        savemat(stream, changed, do_compression=rng.random() < 0.5)
    except (TypeError, ValueError):
        return blindly(rng, data)
    return stream.getvalue()


def hdf5(rng: Random, data: bytes) -> bytes:
    """A MATLAB file of version 7.3 with another variable, or one that lies elsewhere or is far too large."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        name = rng.choice([name for name, item in file.items() if isinstance(item, h5py.Dataset)])
        values = np.asarray(file[name])
        del file[name]
        match rng.randrange(6):
            case 0:
                file.create_dataset(name, (10**9, 68, 2), "f4")
            case 1:
                file[name] = h5py.ExternalLink("/proc/self/maps", "/x")
            case 2:
                file.create_dataset(name, (100,), "u1", external=[("/etc/passwd", 0, 100)])
            case 3 if values.dtype == h5py.ref_dtype:
                file.create_dataset(name, data=np.repeat(values, 40), dtype=h5py.ref_dtype)
            case _:
                with suppress(TypeError, ValueError):
                    file[name] = array(rng, values)
        if rng.random() < 0.4 and file.get(name) is not None:
            file[name].attrs["MATLAB_class"] = rng.choice((np.bytes_("char"), np.bytes_("cell"), 3, "é"))
    return stream.getvalue()


def png(rng: Random, data: bytes) -> bytes:
    """A PNG file with another size or depth in its header, whose checksum fits."""
    side = rng.choice((0, 1, 7, 5000, 2**16, 2**31 - 1, 2**32 - 1))
    sizes = [rng.choice((side, 48)), rng.choice((side, 64))]
    header = b"IHDR" + struct.pack(
        ">IIBBBBB", *sizes, rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 6)), 0, 0, rng.choice((0, 1))
    )
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def jpeg(rng: Random, data: bytes) -> bytes:
    """A JPEG file with another size in its frame header, or with two such headers."""
    at = max(data.find(b"\xff\xc0"), 2)
    frame = bytearray(data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
    frame[5:9] = struct.pack(">HH", rng.choice((1, 16, 30_000, 65_500)), rng.choice((1, 16, 30_000, 65_500)))
    return data[:at] + bytes(frame) + (data[at:] if rng.random() < 0.6 else data[at + len(frame) :])


MEANING: dict[str, Callable[[Random, bytes], bytes]] = {
    ".canthus": bundle,
    ".ckpt": members,
    ".csv": text,
    ".h5": hdf5,
    ".jpg": jpeg,
    ".json": json_text,
    ".jsonl": json_lines,
    ".ljson": json_text,
    ".mat": mat,
    ".npz": npz,
    ".png": png,
    ".pts": text,
    ".txt": text,
    ".yaml": text,
}
"""How the files of each kind are damaged, beside blindly."""
