"""Frames of annotated videos: picture files where someone has extracted them, else the video, decoded in order."""

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
