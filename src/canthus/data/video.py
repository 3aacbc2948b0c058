"""Frames of annotated videos: picture files where the frames have been extracted, otherwise the decoded video."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from canthus.data.files import expect, read_points
from canthus.data.sample import Lazy, Sample
from canthus.errors import DataError
from canthus.reader.files import SUFFIXES
from canthus.reader.video import VideoFrame


@dataclass(frozen=True)
class Clip:
    """An annotated video.

    Attributes:
        identity: Person, or the video where the person is not known.
        video: The video file. If there is a folder `frames` beside it, with 000001.jpg and so on, that is read instead.
        labels: The folder of the labels, one file per frame, as 000001.pts or 000001.ljson; the first frame is 1.
        count: Number of points, which is also the name of the scheme.
        groups: Subsets of its set that it belongs to.
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
        tree: Expected contents of the folder.

    Raises:
        DataError: a video has no labels, or neither frames nor a video file, or a labelled frame has no picture.
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


def _sample(key: Key) -> Sample:
    clip, labels, picture = key
    index = _number(labels) - 1
    return Sample(
        picture or clip.video / labels.stem,
        read_points(labels, clip.count),
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
