"""All frames of partly labelled videos: the labels between two labelled frames are interpolated."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.reader.video import VideoFrame


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
