import json
import zipfile
from pathlib import Path

import pytest

from canthus.errors import BundleError
from canthus.runtime.bundle import Bundle, Card, Crop, default_bundle, member_of, write_bundle


def card_for(networks: dict[str, bytes], **changes: object) -> Card:
    fields: dict[str, object] = {
        "name": "tiny",
        "system": "compact",
        "scheme": "68",
        "points": 68,
        "crop": Crop(size=64, extent=1.3),
        "networks": {"landmarks": {"fp32": member_of("a.onnx", networks["a.onnx"])}},
        "paper": "none",
        "data": ["made up"],
        "recipe": {},
        "training": {},
        "measured": [],
        "licence": "MIT",
        "limits": [],
    }
    return Card.model_validate({**fields, **changes})


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
    with pytest.raises(BundleError, match="no such model bundle; leave --model away"):
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
    for name, variants in bundle.card.networks.items():
        for precision in variants:
            assert bundle.network(name, precision)
    assert bundle.card.licence
    assert bundle.card.measured
    assert default_bundle() == bundle.path
