"""Packed sets: the faces of a split in one file, reduced to what training needs, to carry to another machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import expect
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.reader.image import decode
from canthus.types import Floats, Image
from canthus.work.archive import read_arrays

TREE = """\
{folder}/
  train.npz, val.npz      pictures and labels, by canthus train --pack"""
UNKNOWN, SEEN = -1, 1
"""Codes of the visibility of a point: not known, visible; 0 = hidden."""


@dataclass(frozen=True, eq=False)
class PackedFace:
    """A face of a packed set: its sample, whose coordinates are pixels of a picture of its own.

    Attributes:
        sample: The sample, without its picture.
        picture: The picture as an encoded image file.
    """

    sample: Sample
    picture: bytes


def read_packed(folder: Path, split: str) -> list[Sample]:
    """Read a packed set.

    Args:
        folder: The folder of the set.
        split: Name of its file without the extension.

    Returns:
        Samples with all that the set had when it was packed, but for boxes of other sources and frame numbers.

    Raises:
        DataError: there is no such file, or it is damaged.
    """
    path = expect(folder / f"{split}.npz", folder, TREE)
    try:
        arrays = read_arrays(path)
        ends = arrays["ends"]
        pictures = np.split(arrays["pictures"], ends[:-1]) if len(ends) else []
        if len(ends) and ends[-1] != len(arrays["pictures"]):
            raise ValueError("pictures are missing")
        return [_sample(arrays, row, pictures[row]) for row in range(len(ends))]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path}: is damaged: {error}; pack the set again") from error


def packed_arrays(faces: Sequence[PackedFace]) -> dict[str, NDArray[Any]]:
    """The arrays of a packed set, as `read_packed` reads them.

    Args:
        faces: Faces with the same number of points; at least one.
    """
    samples = [face.sample for face in faces]
    return {
        "pictures": np.frombuffer(b"".join(face.picture for face in faces), np.uint8),
        "ends": np.cumsum([len(face.picture) for face in faces]),
        "names": np.array([sample.image.name for sample in samples]),
        "identities": np.array([sample.identity for sample in samples]),
        "schemes": np.array([sample.scheme for sample in samples]),
        "groups": np.array(["\n".join(sorted(sample.groups)) for sample in samples]),
        "points": np.stack([sample.points for sample in samples]),
        "visible": np.stack([_codes(sample) for sample in samples]),
        "box": np.stack([_or_nan(sample.box, 4) for sample in samples]),
        "pose": np.stack([_or_nan(sample.pose, 3) for sample in samples]),
    }


def _codes(sample: Sample) -> NDArray[np.int8]:
    """Codes of the visibility of each point. Shape (P,)."""
    return np.full(len(sample.points), UNKNOWN, np.int8) if sample.visible is None else sample.visible.astype(np.int8)


def _or_nan(values: Floats | None, count: int) -> Floats:
    return np.full(count, np.nan, np.float32) if values is None else np.asarray(values, np.float32)


def _sample(arrays: Mapping[str, NDArray[Any]], row: int, picture: NDArray[np.uint8]) -> Sample:
    """One face of a packed set."""
    visible, box, pose = arrays["visible"][row], arrays["box"][row], arrays["pose"][row]
    name = str(arrays["names"][row])
    return Sample(
        image=Path(name),
        points=arrays["points"][row],
        scheme=str(arrays["schemes"][row]),
        identity=str(arrays["identities"][row]),
        box=None if np.isnan(box).any() else box,
        visible=None if (visible == UNKNOWN).any() else visible == SEEN,
        pose=None if np.isnan(pose).all() else pose,
        groups=frozenset(filter(None, str(arrays["groups"][row]).split("\n"))),
        pixels=partial(_decode, picture, name),
    )


def _decode(picture: NDArray[np.uint8], name: str) -> Image:
    return decode(picture.tobytes(), name)
