import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from canthus.errors import BundleError
from canthus.geometry.crop import Crop
from canthus.runtime.bundle import Bundle, Card, default_bundle, pack_arrays, write_bundle
from canthus.work.archive import FLOOR
from toy_card import toy_card


def card_for(networks: dict[str, bytes], **changes: object) -> Card:
    files = {"landmarks": {"fp32": ("a.onnx", networks["a.onnx"])}}
    return toy_card("compact", files, Crop(64, 1.3), **{"name": "tiny", **changes})  # type: ignore[arg-type]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    networks = {"a.onnx": b"network bytes"}
    path = tmp_path / "a.canthus"
    write_bundle(path, card_for(networks), networks)
    return path


def test_what_is_written_is_read(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.card.name == "tiny"
    assert opened.network("landmarks") == b"network bytes"


def test_equal_contents_make_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    networks = {"a.onnx": b"network bytes"}
    write_bundle(tmp_path / "b.canthus", card_for(networks), networks)
    assert bundle.read_bytes() == (tmp_path / "b.canthus").read_bytes()


def rewrite(path: Path, changes: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_a_wrong_hash_is_refused(bundle: Path) -> None:
    rewrite(bundle, {"a.onnx": b"other bytes"})
    with pytest.raises(BundleError, match=r"a\.canthus: a\.onnx is not the file that the card names"):
        Bundle.open(bundle).network("landmarks")


def test_an_unknown_field_is_named(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        tree = json.loads(archive.read("card.json"))
    rewrite(bundle, {"card.json": json.dumps({**tree, "colour": "blue"}).encode()})
    with pytest.raises(BundleError, match="colour"):
        Bundle.open(bundle)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"plain text"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.canthus"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"x\.canthus: not a canthus bundle"):
        Bundle.open(path)


def test_a_zip_without_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.canthus"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match="not a canthus bundle"):
        Bundle.open(path)


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such model bundle; omit --model"):
        Bundle.open(tmp_path / "none.canthus")
    with pytest.raises(BundleError, match="cannot read"):
        Bundle.open(tmp_path)


def test_a_precision_that_is_not_there(bundle: Path) -> None:
    with pytest.raises(BundleError, match="holds 'landmarks' as fp32, not as int8"):
        Bundle.open(bundle).network("landmarks", "int8")


def test_card_and_files_must_agree(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="other hashes or files"):
        write_bundle(tmp_path / "b.canthus", card_for({"a.onnx": b"one"}), {"a.onnx": b"two"})


def test_the_shipped_bundle_is_whole_and_small() -> None:
    bundle = Bundle.open()
    assert bundle.path.stat().st_size <= 5 * 2**20
    for name, variants in bundle.card.parts.items():
        for precision in variants:
            assert bundle.network(name, precision)
    assert bundle.card.licence
    assert bundle.card.measured
    assert default_bundle() == bundle.path


def test_arrays_of_a_stage(tmp_path: Path) -> None:
    """They come back as they were, without pickle, and are checked like networks."""
    arrays = {"mean": np.arange(136, dtype=np.float32).reshape(68, 2), "names": np.array(["a", "b"])}
    data = pack_arrays(arrays)
    assert data == pack_arrays(dict(reversed(arrays.items())))
    files = {"landmarks": {"fp32": ("a.onnx", b"network bytes")}}
    card = toy_card("compact", files, Crop(64, 1.3), ("landmarks.npz", data))  # type: ignore[arg-type]
    path = tmp_path / "a.canthus"
    write_bundle(path, card, {"a.onnx": b"network bytes", "landmarks.npz": data})
    bundle = Bundle.open(path)
    found = bundle.arrays(bundle.card.stages[0])
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    rewrite(path, {"landmarks.npz": data + b"x"})
    with pytest.raises(BundleError, match=r"landmarks\.npz is not the file that the card names"):
        bundle.arrays(bundle.card.stages[0])
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        pack_arrays({"objects": np.array([{}], object)})


@pytest.mark.parametrize("changes", [{"format": 1}, {"format": 3}])
def test_a_card_of_another_format_names_the_remedy(bundle: Path, changes: dict[str, int]) -> None:
    with zipfile.ZipFile(bundle) as archive:
        tree = json.loads(archive.read("card.json"))
    rewrite(bundle, {"card.json": json.dumps(tree | changes).encode()})
    with pytest.raises(BundleError, match=f"has format {changes['format']}, .*reads format 2; export the checkpoint"):
        Bundle.open(bundle)


@pytest.mark.parametrize("crop", [{"size": 0, "margin": 1.3}, {"size": 64, "margin": -1}, {"size": 64}])
def test_a_crop_that_cannot_be_is_named(bundle: Path, crop: dict[str, float]) -> None:
    with zipfile.ZipFile(bundle) as archive:
        tree = json.loads(archive.read("card.json"))
    tree["stages"][0]["crop"] = crop
    rewrite(bundle, {"card.json": json.dumps(tree).encode()})
    with pytest.raises(BundleError, match=r"stages\.0\.crop"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (b" " * (5 << 20), r"card\.json unpacks to 5,242,880 bytes, more than 4,194,304"),
        (b"[" * 100_000, "recursion"),
        (b"\xff", "utf-8"),
        (b'{"format": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_a_card_that_is_huge_or_damaged(bundle: Path, card: bytes, says: str) -> None:
    rewrite(bundle, {"card.json": card})
    with pytest.raises(BundleError, match=rf"a\.canthus: not a canthus bundle, or a damaged one \(.*{says}"):
        Bundle.open(bundle)


def test_a_bundle_that_unpacks_to_far_more_than_its_size(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(FLOOR))
    with pytest.raises(BundleError, match=r"unpack to .* more than a file of this size may"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"points": 98}, "scheme 68 has 68 points, not 98"),
        ({"crop": {"size": 100_000, "margin": 1.3}}, "a crop has at most 2048 pixels"),
        ({"crop": {"size": 64, "margin": 1e-9}}, "a margin of 0.25 to 16.0"),
        ({"crop": {"size": 64, "margin": float("nan")}}, "a crop has a size and a margin above 0"),
    ],
)
def test_a_stage_that_cannot_be(bundle: Path, changes: dict[str, object], says: str) -> None:
    with zipfile.ZipFile(bundle) as archive:
        tree = json.loads(archive.read("card.json"))
    tree["stages"][0] |= changes
    rewrite(bundle, {"card.json": json.dumps(tree).encode()})
    with pytest.raises(BundleError, match=rf"a\.canthus: the card does not fit .*stages\.0.*{says}"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    "mean",
    [
        np.zeros((67, 2), np.float32),
        np.full((68, 2), np.nan, np.float32),
        np.full((68, 2), "x"),
        np.float32(1),
        np.full((3, 68, 2), np.nan, np.float32),
        np.zeros((3, 67, 2), np.float32),
        np.float32(np.where(np.arange(136).reshape(1, 68, 2) == 7, np.nan, 1)),
    ],
)
def test_a_mean_shape_that_does_not_fit(tmp_path: Path, mean: np.ndarray) -> None:
    data = pack_arrays({"mean": mean})
    files = {"landmarks": {"fp32": ("a.onnx", b"network bytes")}}
    card = toy_card("compact", files, Crop(64, 1.3), ("landmarks.npz", data))  # type: ignore[arg-type]
    write_bundle(tmp_path / "a.canthus", card, {"a.onnx": b"network bytes", "landmarks.npz": data})
    opened = Bundle.open(tmp_path / "a.canthus")
    with pytest.raises(BundleError, match=r"the mean shape of 'landmarks' is .*, not 68 finite points"):
        opened.arrays(opened.card.stages[0])
