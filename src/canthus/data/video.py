"""Frames of annotated videos: picture files where someone has extracted them, else the video, decoded in order."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from canthus.data.files import checked, expect, read_pts
from canthus.data.lazy import Lazy
from canthus.data.sample import Sample
from canthus.errors import DataError, FormatError, ReadError
from canthus.reader.files import SUFFIXES
from canthus.types import Floats, Image


@dataclass(frozen=True)
class Clip:
    """An annotated video.

    Attributes:
        identity: The person, or the video where they are not known.
        video: The video file. Where a folder `frames` lies beside it, with 000001.jpg and so on, that is taken instead.
        labels: The folder of 000001.pts or 000001.ljson and so on, one a frame; the first frame is 1.
        count: Number of points; the scheme is called by it.
        groups: Subsets of its set.
    """

    identity: str
    video: Path
    labels: Path
    count: int
    groups: frozenset[str] = frozenset()


Key = tuple[Clip, Path, Path | None]


def read_clips(clips: Sequence[Clip], folder: Path, tree: str) -> Lazy[Key]:
    """The labelled frames of videos, in order.

    Args:
        clips: The videos.
        folder: The folder of the set.
        tree: What it should look like.

    Raises:
        DataError: a video has no labels, neither frames nor a video file, or a labelled frame has no picture.
    """
    keys: list[Key] = []
    for clip in clips:
        labels = _by_number(expect(clip.labels, folder, tree), {".pts", ".ljson"})
        if not labels:
            raise DataError(f"{clip.labels} holds no labels; expected\n{tree.format(folder=folder)}")
        frames = clip.video.parent / "frames"
        if not frames.is_dir():
            expect(clip.video, folder, tree)
            keys += [(clip, path, None) for path in labels.values()]
            continue
        pictures = _by_number(frames, SUFFIXES)
        for number, path in labels.items():
            if number not in pictures:
                raise DataError(f"{frames}: no picture for {path}; extract every frame of {clip.video.name} there")
            keys.append((clip, path, pictures[number]))
    return Lazy(keys, _sample)


def read_ljson(path: Path, count: int) -> Floats:
    """Points of a Menpo .ljson file: `landmarks.points`, each y x, first pixel at 0.

    Returns:
        Shape (count, 2), x y.

    Raises:
        FormatError: not such a file.
        DataError: another number of points, or one is missing.
    """
    try:
        points = np.array(json.loads(path.read_text(encoding="utf-8"))["landmarks"]["points"], np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: no Menpo landmarks in the picture ({error!r}); restore the file") from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise FormatError(
            f"{path}: the points are {points.shape}, not y x in the picture; take `projected_image_space`"
        )
    return checked(points[:, ::-1], path, count)


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video, decoded when it is called: fast in order, while going back starts the video again.

    Attributes:
        video: The file.
        index: Number of the frame, from 0.
    """

    video: Path
    index: int

    def __call__(self) -> Image:
        """The frame. Shape (H, W, 3)."""
        player = _player(self.video)
        with player.lock:
            return player.frame(self.index)


class _Player:
    """A video and the place it has been decoded to; it does not seek, for that is not exact to the frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()
        self.capture = cv2.VideoCapture()
        self.index = sys.maxsize  # beyond every frame: the next one wanted opens the file
        self.image: Image | None = None

    def frame(self, index: int) -> Image:
        """The frame of this number."""
        if index < self.index:
            self.capture.open(str(self.path))
            if not self.capture.isOpened():
                raise ReadError(f"{self.path}: not a video that OpenCV reads; extract its frames to `frames` beside it")
            self.index = -1
        while self.index < index:
            if not self.capture.grab():
                count, self.index = self.index + 1, sys.maxsize
                raise ReadError(f"{self.path}: ends after {count} frames, but frame {index + 1} has labels")
            self.index += 1
            self.image = None
        if self.image is None:
            done, pixels = self.capture.retrieve()
            if not done:
                raise ReadError(f"{self.path}: frame {index + 1} is damaged; copy the video again")
            self.image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        return self.image.copy()


@lru_cache(maxsize=4)
def _player(path: Path) -> _Player:
    return _Player(path)


def _sample(key: Key) -> Sample:
    clip, labels, picture = key
    index = _number(labels) - 1
    read = read_ljson if labels.suffix == ".ljson" else read_pts
    points = read(labels, clip.count)
    return Sample(
        picture or clip.video / labels.stem,
        points,
        str(clip.count),
        clip.identity,
        frame=index,
        groups=clip.groups,
        pixels=None if picture else VideoFrame(clip.video, index),
    )


def _by_number(folder: Path, suffixes: Iterable[str]) -> dict[int, Path]:
    """The files of a folder by the number at the end of their names, in order."""
    wanted = frozenset(suffixes)
    files = (path for path in folder.iterdir() if path.suffix.lower() in wanted and not path.name.startswith("."))
    return dict(sorted((_number(path), path) for path in files))


def _number(path: Path) -> int:
    digits = re.search(r"\d+$", path.stem)
    if not digits or int(digits[0]) < 1:
        raise DataError(f"{path}: its name does not end in the number of a frame, from 1; rename or remove it")
    return int(digits[0])
