"""The wheel and the sdist, built and looked into: licences, metadata, README and data files."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from canthus.data.licences import LICENCES
from canthus.runtime.bundle import Bundle
from canthus.version import __version__

ROOT = Path(__file__).parents[1]
ADDRESS = "https://code.example/canthus"
BUNDLES = [*sorted((ROOT / "src/canthus/runtime").glob("*.canthus")), *sorted((ROOT / "models").glob("*.canthus"))]


def build(kind: str, source: Path, folder: Path, address: str = "") -> Path:
    """Build a wheel or an sdist of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    environment = {**os.environ, "CANTHUS_ADDRESS": address}
    subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "built")) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"canthus-{__version__}"


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> zipfile.ZipFile:
    """A wheel built from the sdist, as package indexes and `pip install` of an sdist do."""
    return zipfile.ZipFile(build("wheel", sdist, tmp_path_factory.mktemp("wheel"), ADDRESS))


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"canthus-{__version__}.dist-info/METADATA").decode())


def test_the_wheel_has_both_licences_as_files_and_in_its_metadata(wheel):
    metadata = metadata_of(wheel)
    assert metadata["License-Expression"] == "MIT AND LicenseRef-canthus-weights"
    assert metadata.get_all("License-File") == ["LICENSE", "LICENSE-WEIGHTS.md"]
    for name in metadata.get_all("License-File"):
        assert wheel.read(f"canthus-{__version__}.dist-info/licenses/{name}") == (ROOT / name).read_bytes()


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src/canthus").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == package
    assert {"canthus/runtime/default.canthus", "canthus/evaluate/report/templates/page.html"} <= inside


def test_the_sdist_has_what_a_reader_and_a_builder_need(sdist):
    for name in ("LICENSE", "LICENSE-WEIGHTS.md", "CITATION.cff", "CHANGELOG.md", "README.md", "hatch_build.py"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()
    assert {"src", "tests", "docs", "examples", "scripts"} <= {path.name for path in sdist.iterdir()}


def test_with_an_address_links_and_pictures_of_the_readme_are_absolute(wheel):
    metadata = metadata_of(wheel)
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", metadata.get_payload())
    assert {bool(mark) for mark, _ in links} == {True, False}
    for mark, target in links:
        assert target.startswith(f"{ADDRESS}/{'raw' if mark else 'blob'}/v{__version__}/"), target
        assert (ROOT / target.removeprefix(ADDRESS).split("/", 3)[3].partition("#")[0]).exists(), target
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))
    assert urls.keys() == {"Source", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(ADDRESS) for url in urls.values())


def test_without_an_address_the_readme_has_no_picture_and_no_dead_link(sdist, tmp_path):
    metadata = metadata_of(zipfile.ZipFile(build("wheel", sdist, tmp_path)))
    text = metadata.get_payload()
    assert "docs/model.md" in text and "](" not in text
    assert metadata.get_all("Project-URL") is None


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_licence_of_the_weights_says_what_the_card_says(path):
    card = Bundle.open(path).card
    text = (ROOT / "LICENSE-WEIGHTS.md").read_text(encoding="utf-8")
    folders = [part.split(" ")[0].rpartition(":")[2].rpartition("/")[2] for part in card.data]
    folders = [folder for folder in folders if folder != "occluded_views"]  # copies of the rotated views
    made = {
        f"{kind}_{name}": name for kind in ("views", "occluded", "fits") for name in LICENCES
    }  # of the data factory
    sets = list(dict.fromkeys(made.get(folder, folder) for folder in folders))
    (row,) = re.findall(rf"^\| `{path.relative_to(ROOT)}`[^|]*\|[^|]*\| (.*) \|$", text, re.MULTILINE)
    assert row.split(", ") == sets
    assert card.licence.startswith("Weights: research use only, because of the training data")
    for name in sets:
        assert f"{name}: {LICENCES[name].text}" in card.licence
        assert f"\n| {name} | {LICENCES[name].text} | " in text


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
