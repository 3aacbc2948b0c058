"""Zip files and arrays of any origin."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from canthus.work.archive import (
    FLOOR,
    DamagedError,
    check_unpacked,
    open_arrays,
    read_array,
    read_arrays,
    read_member,
)


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def npy(shape: str, kind: str = "'<f4'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path: Path, rng: np.random.Generator, save: object) -> None:
    arrays = {
        "points": rng.random((3, 68, 2)),
        "turned": np.asfortranarray(rng.random((3, 4))),
        "names": np.array(["ä", "b😀", ""]),
        "big": np.array(["ab"], ">U2"),
        "one": np.array(7),
        "none": np.zeros((5, 0, 2), np.float32),
        "flags": np.array([True, False]),
    }
    save(tmp_path / "a.npz", **arrays)  # type: ignore[operator]
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable
    np.save(tmp_path / "a.npy", arrays["points"])
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), arrays["points"])
    with open_arrays(tmp_path / "a.npz") as opened:
        assert len(opened) == 7 and "one" in opened and int(opened["one"]) == 7
        with pytest.raises(KeyError):
            opened["two"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy("(1000000000000,)"), "does not fit into"),
        (npy("(0, 1000000000000, 2)"), "does not fit into"),
        (npy("(1000000000000,)", "'|V0'"), "does not fit into"),
        (npy("(2,)", "('<f4', (100000000,))"), "does not fit into"),
        (npy("(-1,)"), "of shape"),
        (npy("(2,)", "'|O'"), "Python objects"),
        (npy("(1,)", "'<U1'", b"\xff" * 4), "characters that do not exist"),
        (npy("(" * 2000), "."),
        (npy("(4,)", data=b"1234"), "."),
        (b"\x93NUMPY\x09\x00", "unknown version"),
        (b"no array", "."),
        (b"", "."),
        (npy("(1,)", data=b"12345"), "followed by further bytes"),
    ],
)
def test_an_array_that_is_damaged_or_does_not_tell_the_truth(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DamagedError, match=says):
        read_arrays(zipped(tmp_path / "a.npz", a=content))
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DamagedError, match=says):
        read_array(tmp_path / "a.npy")


def test_what_unpacks_to_far_more_than_its_size_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.npz", a=bytes(FLOOR), b=b"1")
    assert path.stat().st_size < 100_000
    for reader in (read_arrays, check_unpacked, lambda path: read_member(path, "b.npy")):
        with pytest.raises(DamagedError, match=r"bytes unpack to 67,108,865, more than a file of this size may"):
            reader(path)
    assert read_member(zipped(tmp_path / "b.npz", a=b"12345"), "a.npy", 5) == b"12345"
    with pytest.raises(DamagedError, match=r"a\.npy unpacks to 5 bytes, more than 4"):
        read_member(tmp_path / "b.npz", "a.npy", 4)


def test_zip_files_that_are_none(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.npz", a=npy("(1,)", data=b"1234")).read_bytes()
    encrypted = bytearray(whole)
    at = whole.find(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    unknown = bytearray(whole)
    unknown[at + 10 : at + 12] = b"\x63\0"
    stored = io.BytesIO()
    np.savez(stored, a=np.frombuffer(b"1234", "<f4"))
    wrong = stored.getvalue().replace(b"1234", b"5678")  # the checksum is that of other bytes
    for data in (b"", b"PK", whole[:-5], bytes(encrypted), bytes(unknown), wrong):
        with pytest.raises(DamagedError):
            read_arrays(io.BytesIO(data))
    with pytest.raises(KeyError):
        read_member(tmp_path / "a.npz", "b.npy")
    for name in ("none.npz", ""):
        with pytest.raises(OSError):
            read_arrays(tmp_path / name)
