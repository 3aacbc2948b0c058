"""Samples of data sets: one annotated face, sequences of samples read on access, and splits by person."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar, overload
from zlib import crc32

import numpy as np

from canthus.errors import DataError, ShapeError
from canthus.reader.image import read
from canthus.schemes.scheme import Scheme
from canthus.types import Floats, Image

Key = TypeVar("Key")
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

NO_POINTS = "none"
"""Scheme of samples without landmarks: an unlabelled face where there is a box, else a picture without a face."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One annotated face, or a picture of a set without landmarks.

    Attributes:
        image: File of the picture; where `pixels` is given, only a name.
        points: Landmarks in pixels; NaN = not annotated. Shape (P, 2) or (P, 3); (0, 2) in a set without landmarks.
        scheme: Name of the landmark scheme; `NO_POINTS` = the set has no landmarks.
        identity: Person or source picture; samples of one identity stay in one part of a split.
        box: Box that a system is given, x0 y0 x1 y1; None = the box of the points. Shape (4,).
        visible: True where a point is visible; False where a thing hides it, or the head itself, where a point is
            annotated in some sets and NaN in others; None = not known. Shape (P,).
        pose: Yaw, pitch, roll in degrees, with the signs of the set; NaN or None = not known. Shape (3,).
        frame: Number of the frame in a video, from 0; None = not a video.
        groups: Subsets of its set that it belongs to, as "challenging" or "blur".
        boxes: Boxes of the set by source, as "jitter" or "detector"; `boxed` selects one.
        pixels: Reads a picture that is not a file of its own, as in a .mat file or a video; None = `image` is a file.
    """

    image: Path
    points: Floats
    scheme: str
    identity: str
    box: Floats | None = None
    visible: Mask | None = None
    pose: Floats | None = None
    frame: int | None = None
    groups: frozenset[str] = field(default_factory=frozenset)
    boxes: Mapping[str, Floats] = field(default_factory=dict)
    pixels: Callable[[], Image] | None = None

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float32)
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise ShapeError(f"{self.image}: points are (P, 2) or (P, 3), not {points.shape}")
        object.__setattr__(self, "points", points)

    def picture(self) -> Image:
        """Read the picture. Shape (H, W, 3).

        Raises:
            ReadError: it cannot be read.
        """
        return self.pixels() if self.pixels else read(self.image)

    def boxed(self, source: str) -> "Sample":
        """This sample with one of its `boxes` as its box.

        Raises:
            DataError: the set has no such box.
        """
        if source not in self.boxes:
            known = ", ".join(sorted(self.boxes)) or "none but the box of its points"
            raise DataError(f"{self.image}: no box is called {source!r}; this sample has {known}")
        return replace(self, box=self.boxes[source])

    def in_scheme(self, scheme: Scheme, source: Path) -> "Sample":
        """This sample with points that the user says are those of a scheme.

        Args:
            scheme: The scheme.
            source: File of the points, which errors name.

        Raises:
            DataError: it has another number of points, or the file names another scheme.
        """
        if len(self.points) != scheme.count or self.scheme not in (scheme.name, str(scheme.count)):
            raise DataError(
                f"{source}: {self.image.name} has {len(self.points)} points of scheme {self.scheme}, not the"
                f" {scheme.count} of scheme {scheme.name}; change the option `scheme`"
            )
        return replace(self, scheme=scheme.name)


@dataclass(frozen=True, eq=False)
class Lazy(Sequence[Sample], Generic[Key]):
    """Samples that are read on access: a set of 100,000 label files opens at once and fits any memory.

    Attributes:
        keys: Key of each sample, as a tuple of paths.
        load: Reads the sample of a key; a function of a module, so that it can be sent to worker processes.
    """

    keys: Sequence[Key]
    load: Callable[[Key], Sample]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Lazy[Key]": ...
    def __getitem__(self, index: int | slice) -> "Sample | Lazy[Key]":
        """One sample by its index, or several by a slice."""
        return Lazy(self.keys[index], self.load) if isinstance(index, slice) else self.load(self.keys[index])


def split_by_identity(samples: Iterable[Sample], shares: Sequence[float]) -> list[list[Sample]]:
    """Split samples so that each identity is in one part only, and added samples do not move existing ones.

    Args:
        samples: The samples.
        shares: Size of each part as a fraction; the fractions add up to 1.

    Returns:
        The samples of each part.

    Raises:
        ShapeError: the shares do not add up to 1.
    """
    limits = np.cumsum(shares)
    if len(limits) == 0 or abs(limits[-1] - 1) > 1e-6 or min(shares) < 0:
        raise ShapeError(f"shares are fractions that add up to 1, not {list(shares)}")
    parts: list[list[Sample]] = [[] for _ in shares]
    for sample in samples:
        place = hash_of(sample.identity)
        parts[min(int(np.searchsorted(limits, place, side="right")), len(shares) - 1)].append(sample)
    return parts


def hash_of(identity: str) -> float:
    """A number from 0 to 1 that only depends on the identity."""
    return crc32(identity.encode("utf-8", "surrogatepass")) / 2**32
