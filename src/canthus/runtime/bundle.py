"""A model bundle: one zip file with a card, ONNX networks and arrays, each with its hash."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from canthus.errors import BundleError, SchemeError
from canthus.geometry.crop import Crop
from canthus.schemes.definition import Definition
from canthus.schemes.scheme import SCHEMES, Scheme, scheme_of
from canthus.types import SLOTS
from canthus.work.archive import read_arrays, read_member

Precision = Literal["fp32", "int8"]
CARD = "card.json"
FORMAT = 2
"""Version of the form of the card that this version of canthus reads and writes."""
CARD_LIMIT = 4 << 20
"""Largest size of a card, in bytes; those of the bundles in this repository have at most 30,000."""
LARGEST_CROP, MARGINS = 2048, (0.25, 16.0)
"""Largest side of a crop in pixels, and smallest and largest crop margin, that a card may give."""
EPOCH = (2020, 1, 1, 0, 0, 0)
"""Time stamp of every member, so that equal contents make equal files."""


class Strict(BaseModel):
    """A part of a card: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(Strict):
    """One file in the bundle.

    Attributes:
        file: Name of the file.
        sha256: Hash of its bytes.
    """

    file: str
    sha256: str


class Checkpoint(Strict):
    """Training run that one or several stages come from.

    Attributes:
        sha256: Hash of the checkpoint file; None = not recorded.
        recipe: The training recipe.
        training: Machine, minutes, commit, package versions, the runs that it started from.
    """

    sha256: str | None
    recipe: dict[str, Any]
    training: dict[str, Any]


class StageCard(Strict):
    """One stage of a system.

    Attributes:
        name: Name of the stage in `align/`.
        scheme: Name of the landmark scheme of its points.
        points: Number of its points.
        crop: Crop of the face that its networks get; None = whole pictures.
        parts: Networks by name, each as one file per precision.
        arrays: File with its arrays, such as mean shapes or dictionaries (.npz without pickle); None = no arrays.
        checkpoint: Key of `Card.checkpoints`.
    """

    name: str
    scheme: str
    points: int = Field(gt=0)
    crop: Crop | None
    parts: dict[str, dict[Precision, Member]]
    arrays: Member | None = None
    checkpoint: str

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.scheme in SCHEMES and self.points != (count := Scheme.open(self.scheme).count):
            raise ValueError(f"scheme {self.scheme} has {count} points, not {self.points}")
        low, high = MARGINS
        if self.crop and not (self.crop.size <= LARGEST_CROP and low <= self.crop.margin <= high):
            raise ValueError(f"a crop has at most {LARGEST_CROP} pixels and a margin of {low} to {high}")
        return self

    def members(self) -> Iterator[Member]:
        """Every file of the stage."""
        for variants in self.parts.values():
            yield from variants.values()
        if self.arrays is not None:
            yield self.arrays


class Card(Strict):
    """Facts about a model that one should know before using it.

    Attributes:
        format: Version of this form.
        name: Name of the model.
        system: Name of the system: a file in `align/`, or "detector" or "face_score".
        stages: Stages that have files, in their order.
        schemes: Definitions of the landmark schemes of the stages that are not in the package, by name.
        checkpoints: Training runs that the stages come from, by name.
        paper: Paper that it implements.
        data: Data sets and splits that it was trained on.
        measured: Measured errors, each with its protocol.
        licence: Permitted use of the weights.
        limits: Known weaknesses.
    """

    format: Literal[2] = 2
    name: str
    system: str
    stages: list[StageCard] = Field(min_length=1)
    schemes: dict[str, Definition] = Field(default_factory=dict, max_length=20)
    checkpoints: dict[str, Checkpoint]
    paper: str
    data: list[str]
    measured: list[dict[str, Any]]
    licence: str
    limits: list[str]

    @model_validator(mode="after")
    def _defined(self) -> Self:
        for name, definition in self.schemes.items():
            if name in SCHEMES:
                raise ValueError(f"scheme {name} is one of the package and cannot be defined otherwise")
            count = scheme_of(name, definition).count
            if any(stage.points != count for stage in self.stages if stage.scheme == name):
                raise ValueError(f"scheme {name} has {count} points, a stage another number")
        return self

    @property
    def scheme(self) -> str:
        """Name of the landmark scheme of the last stage."""
        return self.stages[-1].scheme

    @property
    def points(self) -> int:
        """Number of points of the last stage."""
        return self.stages[-1].points

    @property
    def parts(self) -> dict[str, dict[Precision, Member]]:
        """All networks of all stages; their names differ."""
        return {name: variants for stage in self.stages for name, variants in stage.parts.items()}

    @property
    def precisions(self) -> list[Precision]:
        """Precisions in which every network is there."""
        kinds: list[Precision] = ["fp32", "int8"]
        return [kind for kind in kinds if all(kind in variants for variants in self.parts.values())]


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
        """Read the card of a bundle; its landmark schemes are known by their names from then on.

        Args:
            path: The file; None = the bundle in the package.

        Raises:
            BundleError: missing, damaged, or not a bundle.
        """
        place = default_bundle() if path is None else Path(path)
        try:
            tree = json.loads(read_member(place, CARD, CARD_LIMIT))
            if isinstance(tree, dict) and tree.get("format") != FORMAT:
                raise BundleError(
                    f"{place}: the card has format {tree.get('format')}, this version of canthus reads format {FORMAT};"
                    " export the checkpoint again (canthus export), or use the bundles that come with this version"
                )
            card = Card.model_validate(tree)
            for name, definition in card.schemes.items():
                Scheme.define(name, definition, str(place))
        except SchemeError as error:
            raise BundleError(str(error)) from error
        except FileNotFoundError as error:
            raise BundleError(f"{place}: no such model bundle; omit --model to use the one in the package") from error
        except OSError as error:
            raise BundleError(f"{place}: cannot read the model bundle ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise BundleError(
                f"{place}: the card does not fit this version of canthus: {where}: {first['msg']}"
            ) from error
        except (KeyError, ValueError, RecursionError) as error:
            raise BundleError(
                f"{place}: not a canthus bundle, or a damaged one ({error}); `canthus export` makes them"
            ) from error
        return cls(place, card)

    def network(self, name: str, precision: Precision = "fp32") -> bytes:
        """The ONNX bytes of a network, checked against their hash.

        Raises:
            BundleError: no such network or precision, or the bytes are not those that the card names.
        """
        variants = self.card.parts.get(name, {})
        if precision not in variants:
            raise BundleError(f"{self.path}: holds {name!r} as {', '.join(variants) or 'nothing'}, not as {precision}")
        return self._read(variants[precision])

    def arrays(self, stage: StageCard) -> dict[str, NDArray[Any]]:
        """The arrays of a stage by name, checked against their hash; empty where it has none.

        Raises:
            BundleError: the bytes are not those that the card names, or no arrays.
        """
        if stage.arrays is None:
            return {}
        try:
            arrays = read_arrays(io.BytesIO(self._read(stage.arrays)))
        except ValueError as error:
            raise BundleError(f"{self.path}: {stage.arrays.file} is no .npz file of plain arrays: {error}") from error
        mean = arrays.get("mean")
        if mean is not None and not _is_mean(mean, stage.points):
            raise BundleError(
                f"{self.path}: the mean shape of {stage.name!r} is {mean.dtype} {mean.shape}, not {stage.points} finite"
                f" points x y, nor these or {SLOTS} slots for each of several views; export the checkpoint again"
            )
        return arrays

    def _read(self, member: Member) -> bytes:
        try:
            data = read_member(self.path, member.file)
        except (OSError, KeyError, ValueError) as error:
            raise BundleError(
                f"{self.path}: {member.file} is missing or damaged ({error}); fetch the bundle again"
            ) from error
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise BundleError(f"{self.path}: {member.file} is not the file that the card names (its hash differs)")
        return data


def default_bundle(stem: str = "default") -> Path:
    """Where the bundle of this stem is in the package, if it ships: "default", "detector", "face_score"."""
    return Path(str(files("canthus.runtime") / f"{stem}.canthus"))


def named_bundle(name: str | Path) -> Path:
    """Where a bundle is that a recipe names.

    Args:
        name: A file; or the name of a bundle in the package ("default", "detector", "face_score") or under `models/` of
            the current folder ("local_global").

    Raises:
        BundleError: there is no such bundle.
    """
    path = Path(name)
    if path.suffix or len(path.parts) != 1:
        return path
    for place in (default_bundle(str(name)), Path("models") / f"{name}.canthus"):
        if place.is_file():
            return place
    raise BundleError(f"no bundle is called {str(name)!r}, neither in the package nor under models/; give its file")


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
            f"{lack}; train it (canthus train {system}), make a bundle of it (canthus export)"
            " and give that (canthus detect: --detector-model)"
        )
    bundle = Bundle.open(place)
    if bundle.card.system != system:
        raise BundleError(f"{place}: holds the system {bundle.card.system!r}, not a {system}")
    return bundle


def member_of(file: str, data: bytes) -> Member:
    """The entry of a card for a file."""
    return Member(file=file, sha256=hashlib.sha256(data).hexdigest())


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as the bytes of an .npz file; equal arrays make equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w") as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def write_bundle(path: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    """Write a bundle to an open place; equal contents make equal bytes.

    Args:
        path: The file to make.
        card: Names every file with its hash.
        contents: Bytes of the networks and arrays by file name.

    Raises:
        BundleError: the card and the files do not fit together.
    """
    named = {member.file: member for stage in card.stages for member in stage.members()}
    if named != {file: member_of(file, data) for file, data in contents.items()}:
        raise BundleError(f"{path}: the card names {sorted(named)} with other hashes or files than {sorted(contents)}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file, data in [(CARD, card.model_dump_json(indent=2).encode()), *sorted(contents.items())]:
            archive.writestr(zipfile.ZipInfo(file, EPOCH), data, zipfile.ZIP_DEFLATED, 9)


def _is_mean(mean: NDArray[Any], points: int) -> bool:
    """Whether an array is a mean shape (P, 2), or those of several views: (V, P, 2), or (V, 68, 2) in their union."""
    views = mean.ndim == 3 and mean.shape[1:] in ((SLOTS, 2), (points, 2)) and len(mean) > 0
    if mean.dtype.kind != "f" or not (views or mean.shape == (points, 2)) or np.isinf(mean).any():
        return False
    known = np.isfinite(mean)
    pairs = bool((known[..., 0] == known[..., 1]).all())
    return pairs and bool((known[..., 0].sum(-1) > 1).all() if views else known.all())
