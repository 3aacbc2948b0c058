"""A model bundle: one zip file with a card and ONNX networks, each with its hash."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from canthus.errors import BundleError

Precision = Literal["fp32", "int8"]
CARD = "card.json"
EPOCH = (2020, 1, 1, 0, 0, 0)
"""Time stamp of every member, so that equal contents make equal files."""


class Strict(BaseModel):
    """A part of a card: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(Strict):
    """One file in the bundle.

    Attributes:
        file: Its name.
        sha256: Hash of its bytes.
    """

    file: str
    sha256: str


class Crop(Strict):
    """What a network sees.

    Attributes:
        size: Side of the square crop in pixels.
        extent: Crop margin: side of the crop over the longer side of the box.
        mean: Where crops are cut by the similarity of points to a mean shape: that shape, its box centred at 0 with 1
            as its longer side. Shape (P, 2).
    """

    size: int = Field(gt=0)
    extent: float = Field(gt=0)
    mean: list[tuple[float, float]] | None = None


class Card(Strict):
    """What one should know of a model before using it.

    Attributes:
        format: Version of this form.
        name: Name of the model.
        system: Stem of the system in `align/`.
        scheme: Name of the landmark scheme.
        points: Number of points.
        crop: What the first network sees; None = whole pictures.
        networks: For each network of the system the file of each precision.
        paper: What it implements.
        data: What it was trained on.
        recipe: The training recipe.
        training: Machine, minutes, commit, package versions, command.
        measured: Errors, each with its protocol.
        licence: What the weights may be used for.
        limits: What it is not good at.
    """

    format: Literal[1] = 1
    name: str
    system: str
    scheme: str
    points: int = Field(gt=0)
    crop: Crop | None
    networks: dict[str, dict[Precision, Member]]
    paper: str
    data: list[str]
    recipe: dict[str, Any]
    training: dict[str, Any]
    measured: list[dict[str, Any]]
    licence: str
    limits: list[str]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose card has been read.

    Attributes:
        path: The file.
        card: Its card.
    """

    path: Path
    card: Card

    @classmethod
    def open(cls, path: str | Path | None = None) -> "Bundle":
        """Read the card of a bundle.

        Args:
            path: The file; None = the bundle in the package.

        Raises:
            BundleError: missing, damaged, or not a bundle.
        """
        place = default_bundle() if path is None else Path(path)
        try:
            with zipfile.ZipFile(place) as archive:
                card = Card.model_validate(json.loads(archive.read(CARD)))
        except FileNotFoundError as error:
            raise BundleError(
                f"{place}: no such model bundle; leave --model away for the one in the package"
            ) from error
        except OSError as error:
            raise BundleError(f"{place}: cannot read the model bundle ({error.strerror})") from error
        except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BundleError(
                f"{place}: not a canthus bundle, or a damaged one; `canthus export` makes them"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise BundleError(
                f"{place}: the card does not fit this version of canthus: {where}: {first['msg']}"
            ) from error
        return cls(place, card)

    def network(self, name: str, precision: Precision = "fp32") -> bytes:
        """The ONNX bytes of a network, checked against their hash.

        Raises:
            BundleError: no such network or precision, or the bytes are not those that the card names.
        """
        variants = self.card.networks.get(name, {})
        if precision not in variants:
            raise BundleError(f"{self.path}: holds {name!r} as {', '.join(variants) or 'nothing'}, not as {precision}")
        member = variants[precision]
        try:
            with zipfile.ZipFile(self.path) as archive:
                data = archive.read(member.file)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise BundleError(f"{self.path}: {member.file} is missing or damaged; fetch the bundle again") from error
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise BundleError(f"{self.path}: {member.file} is not the file that the card names (its hash differs)")
        return data


def default_bundle(stem: str = "default") -> Path:
    """Where the bundle of this stem is in the package, if it ships: "default", "detector", "face_score"."""
    return Path(str(files("canthus.runtime") / f"{stem}.canthus"))


def open_system(system: str, path: str | Path | None = None) -> Bundle:
    """Read the card of a bundle that must hold a certain system beside the aligners.

    Args:
        system: "detector" or "face_score".
        path: The file; None = the one in the package.

    Raises:
        BundleError: it is missing, damaged, or holds another system.
    """
    place = default_bundle(system) if path is None else Path(path)
    if not place.is_file():
        lack = f"{place}: no such bundle" if path else f"this version of canthus ships no bundle of the {system}"
        raise BundleError(
            f"{lack}; train it (canthus train recipes/{system}.yaml), make a bundle of it (canthus export)"
            " and give that (canthus detect: --detector-model)"
        )
    bundle = Bundle.open(place)
    if bundle.card.system != system:
        raise BundleError(f"{place}: holds the system {bundle.card.system!r}, not a {system}")
    return bundle


def member_of(file: str, data: bytes) -> Member:
    """The entry of a card for a file."""
    return Member(file=file, sha256=hashlib.sha256(data).hexdigest())


def write_bundle(path: Path, card: Card, networks: dict[str, bytes]) -> None:
    """Write a bundle to an open place; equal contents make equal bytes.

    Args:
        path: The file to make.
        card: Names every file with its hash.
        networks: ONNX bytes by file name.

    Raises:
        BundleError: the card and the files do not fit together.
    """
    named = {member.file: member for variants in card.networks.values() for member in variants.values()}
    if named != {file: member_of(file, data) for file, data in networks.items()}:
        raise BundleError(f"{path}: the card names {sorted(named)} with other hashes or files than {sorted(networks)}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file, data in [(CARD, card.model_dump_json(indent=2).encode()), *sorted(networks.items())]:
            archive.writestr(zipfile.ZipInfo(file, EPOCH), data, zipfile.ZIP_DEFLATED, 9)
