"""Annotated videos: frames from picture files where they have been extracted, otherwise from the decoded video.

The labels of frames between labelled ones can be interpolated.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
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


def videos_of(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """The samples of each video by its identity, with frames in order.

    Raises:
        DataError: a sample is not a video frame, or a frame has two samples.
    """
    videos: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.frame is None:
            raise DataError(
                f"{sample.image} is a still; faces can only be followed in videos, as those of 300vw and menpo3d"
            )
        videos.setdefault(sample.identity, []).append(sample)
    for name, frames in videos.items():
        frames.sort(key=lambda sample: sample.frame or 0)
        if any(before.frame == after.frame for before, after in pairwise(frames)):
            raise DataError(f"{name}: a frame has two faces; only videos of one face can be followed")
    return videos


def filled(samples: list[Sample]) -> list[Sample]:
    """A sample for every frame of a video, from the first labelled frame to the last.

    Args:
        samples: The labelled frames of one video, in order.

    Returns:
        These samples, and between them samples with linearly interpolated points, whose visibility and pose are not
        known.

    Raises:
        DataError: the picture of a frame is missing, or its name does not end in the number of the frame.
    """
    full = samples[:1]
    for before, after in pairwise(samples):
        assert before.frame is not None and after.frame is not None
        gap = after.frame - before.frame
        full += [_between(before, after, step, step / gap) for step in range(1, gap)]
        full.append(after)
    return full


def _between(before: Sample, after: Sample, step: int, share: float) -> Sample:
    assert before.frame is not None
    frame = before.frame + step
    image, pixels = before.image, before.pixels
    if isinstance(pixels, VideoFrame):
        pixels = VideoFrame(pixels.video, pixels.index + step)
        image = image.with_name(f"{frame + 1:06}")
    else:
        image = _picture(before.image, frame)
    points = (1 - share) * before.points + share * after.points
    return replace(before, image=image, points=points, frame=frame, pixels=pixels, visible=None, pose=None, boxes={})


def _picture(near: Path, frame: int) -> Path:
    """The picture file of a frame (from 0), named like that of another frame `near`; file names count from 1."""
    digits = len(near.stem) - len(near.stem.rstrip("0123456789"))
    path = near.with_name(f"{near.stem[: len(near.stem) - digits]}{frame + 1:0{digits}}{near.suffix}")
    if not digits or not path.is_file():
        raise DataError(f"{path}: no picture of frame {frame + 1}; extract every frame of the video there")
    return path
