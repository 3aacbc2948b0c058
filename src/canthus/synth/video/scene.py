"""Videos of moving faces with true labels: head, expression, gaze, camera and light move smoothly and at random.

One sequence is a folder in the layout of 300-VW, and that of the Menpo-3D test set:

    NAME/vid.avi                  Motion JPEG
    NAME/annot/000001.pts, ...    2D labels of one scheme, one file for each frame
    NAME/annot3d.npz              for every scheme S points_S on the true jaw (N, P, 3), visible_S (N, P) and, if it has
                                  a contour, outline_S on the visible outline (N, P, 3); pose (N, 3), seed;
                                  `data.scenes` and `formats.load` read it

In the .pts files of scheme 68 the contour lies on the outline that is seen, as in 300-VW; those of other schemes are
the 3D points in the picture, as in Menpo-3D. A folder is whole or does not exist.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.data.scenes import TRUTH, VIDEO
from canthus.errors import OutputError, ShapeError
from canthus.face3d.morphable import MorphableModel
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.reader.image import read
from canthus.synth.video.render import (
    BREADTH,
    HeadState,
    Light,
    Rendering,
    backdrop,
    framing,
    light_from,
    render,
    square,
    unused,
)
from canthus.synth.video.skin import random_person
from canthus.types import Image
from canthus.work.archive import open_arrays
from canthus.work.files import part_of, sync_all

Doubles = NDArray[np.float64]

OUTLINED = ("68",)
"""Schemes whose 2D labels lie on the outline."""
FPS = 25
"""Frames per second."""
QUALITY = 92
"""JPEG quality of the frames, 0..100."""
MARGIN = 1.2
"""Side of the background over that of the picture; the camera pans over it."""
FASTEST = 0.8
"""Highest frequency at which a head turns and moves, Hz."""
BLINK = 8
"""Number of frames of a blink."""


@dataclass(frozen=True)
class SceneJob:
    """What sequences have in common; a value that can be sent to another process.

    Attributes:
        model: File of the face model.
        landmarks: File of its landmark vertices; None = landmarks.json beside it.
        scheme: Scheme of the .pts files.
        frames: Number of frames of a sequence.
        size: Side of the pictures, pixels.
        backgrounds: Pictures, one of which is chosen at random; none = smooth noise.
    """

    model: Path
    landmarks: Path | None = None
    scheme: str = "68"
    frames: int = 200
    size: int = 256
    backgrounds: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 32:
            raise ShapeError(f"a sequence has at least 1 frame of 32 pixels, not {self.frames} of {self.size}")


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion in N frames.

    Attributes:
        views: Expression, pose and position in each frame.
        lights: Light in each frame.
        pan: Position of the picture in the background, 0..1 across and down. Shape (N, 2).
    """

    views: Sequence[HeadState]
    lights: Sequence[Light]
    pan: Doubles


def drift(rng: np.random.Generator, frames: int, channels: int, fastest: float = 0.4) -> Doubles:
    """Smooth random motion: sums of five slow waves.

    Args:
        rng: Random numbers.
        frames: Number of frames.
        channels: Number of independent channels.
        fastest: Highest frequency, Hz; a step is at most 2 pi fastest / FPS.

    Returns:
        Values between -1 and 1. Shape (frames, channels).
    """
    strength = rng.uniform(0.2, 1, (5, channels))
    frequency, phase = rng.uniform(0.1, 1, (5, channels)) * fastest, rng.uniform(0, 2 * np.pi, (5, channels))
    time = np.arange(frames)[:, None, None] / FPS
    wandering: Doubles = (strength / strength.sum(0) * np.sin(2 * np.pi * frequency * time + phase)).sum(1)
    return wandering


def random_motion(model: MorphableModel, rng: np.random.Generator, frames: int, size: int) -> Motion:
    """A head that moves around a random direction, up to 75 degrees of yaw, talks, blinks and looks around.

    Args:
        model: The face model.
        rng: Random numbers.
        frames: Number of frames.
        size: Side of the pictures, pixels.
    """
    reach = rng.uniform((15, 5, 4), (75, 20, 18))
    rest = rng.uniform(-1, 1, 3) * (75 - reach[0], 8, 6)
    pace = rng.uniform(0.3, FASTEST)
    pose = rest + reach * drift(rng, frames, 3, pace)
    scale = size / BREADTH * rng.uniform(0.5, 0.62) * np.exp(rng.uniform(0.05, 0.15) * drift(rng, frames, 1, 0.2)[:, 0])
    centre = size * (0.5 + rng.uniform(0.02, 0.08) * drift(rng, frames, 2, pace))
    shift = framing(pose, scale, centre)
    gaze = 18 * drift(rng, frames, 2, 0.6)
    expression = _expressions(model, rng, frames)
    first = rng.uniform((-60, 0, 0.6, 0.2, -1), (60, 45, 1.2, 0.5, 1))
    light = first + np.array([35, 15, 0.25, 0.1, 0.3]) * drift(rng, frames, 5, 0.25)
    return Motion(
        [HeadState(expression[at], pose[at], float(scale[at]), shift[at], gaze[at]) for at in range(frames)],
        [light_from(*row) for row in light.tolist()],
        0.5 + 0.5 * drift(rng, frames, 2, 0.15),
    )


def write_scene(job: SceneJob, folder: Path, name: str, seed: int) -> bool:
    """Make one sequence in `folder / name` unless it exists; the same seed gives the same one.

    Args:
        job: What all sequences have in common.
        folder: Folder of the run.
        name: Name of the sequence, as "001".
        seed: Seed that chooses person, motion, light and background.

    Returns:
        False if it existed.

    Raises:
        SchemeError: the model does not have the scheme.
        InputError: the model or a background cannot be read.
        OutputError: it cannot be written, or the folder holds another sequence.
    """
    target = folder / name
    part = part_of(target)
    if target.exists():
        _same(job, target, seed)
        return False
    model = _model(job.model, job.landmarks)
    model.landmarks.of(job.scheme)
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        (part / "annot").mkdir(parents=True)
        _write(job, model, part, seed)
        sync_all([part / VIDEO, part / TRUTH])
        part.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def scene(
    model: MorphableModel, seed: int, frames: int, size: int, background: Image | None = None
) -> Iterator[Rendering]:
    """The frames of a sequence, in order.

    Args:
        model: The face model.
        seed: Seed of all random choices.
        frames: Number of frames.
        size: Side of the pictures, pixels.
        background: Picture whose middle the camera pans over; None = smooth noise. Shape (H, W, 3).
    """
    rng = np.random.default_rng(seed)
    person, motion = random_person(model, rng), random_motion(model, rng, frames, size)
    wide = round(MARGIN * size)
    behind = backdrop(wide, rng) if background is None else square(background, wide)
    for view, light, pan in zip(motion.views, motion.lights, motion.pan, strict=True):
        corner = pan * (wide - size)
        shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]])
        cut = cv2.warpAffine(behind, shift, (size, size), borderMode=cv2.BORDER_REPLICATE)
        yield render(model, person, view, light, cut.astype(np.uint8, copy=False))


_model = cache(MorphableModel.open)


def _expressions(model: MorphableModel, rng: np.random.Generator, frames: int) -> Doubles:
    """Weights (frames, E): a few random expressions, nearly the same on both sides; a talking jaw; blinking eyes."""
    names = model.expression_names
    weight = np.zeros((frames, len(names)))
    usable = [name for name, skip in zip(names, unused(model), strict=True) if not skip]
    kinds = sorted({name.removesuffix("_L").removesuffix("_R") for name in usable})
    for kind in rng.permutation(kinds)[: rng.integers(3, 8)]:
        course = rng.uniform(0.4, 1.2) * np.maximum(drift(rng, frames, 1)[:, 0] * 2 - rng.uniform(0, 0.5), 0)
        for index in (at for at, name in enumerate(names) if name in (kind, f"{kind}_L", f"{kind}_R")):
            weight[:, index] = course * rng.uniform(0.7, 1)
    if "jawOpen" in names:
        talking = np.maximum(drift(rng, frames, 1, 0.2), 0) * (1 + drift(rng, frames, 1, 3.0))
        weight[:, names.index("jawOpen")] += rng.uniform(0.1, 0.5) * talking[:, 0]
    closed = _blinks(rng, frames)
    for index in (at for at, name in enumerate(names) if name.startswith("eyeBlink")):
        weight[:, index] = np.maximum(weight[:, index], closed)
    return weight.clip(0, 1)


def _blinks(rng: np.random.Generator, frames: int) -> Doubles:
    """How far the eyes are closed, 0..1; blinks are some three seconds apart. Shape (frames,)."""
    closed = np.zeros(frames + 2 * BLINK)
    pulse = np.sin(np.pi * np.arange(1, BLINK) / BLINK) ** 2
    at = int(rng.integers(BLINK, 4 * FPS))
    while at < frames + BLINK:
        closed[at : at + BLINK - 1] = pulse
        at += int(rng.integers(FPS, 5 * FPS))
    return closed[BLINK : frames + BLINK]


def _write(job: SceneJob, model: MorphableModel, folder: Path, seed: int) -> None:
    """Write the files of a sequence into a folder."""
    video = folder / VIDEO
    chosen = np.random.default_rng(seed).integers(max(len(job.backgrounds), 1))
    background = read(job.backgrounds[chosen]) if job.backgrounds else None
    writer = cv2.VideoWriter(
        str(video),
        cv2.CAP_OPENCV_MJPEG,
        cv2.VideoWriter.fourcc(*"MJPG"),
        FPS,
        (job.size, job.size),
        [cv2.VIDEOWRITER_PROP_QUALITY, QUALITY],
    )
    if not writer.isOpened():
        raise OutputError(f"{video}: OpenCV cannot write it; choose another place")
    columns: dict[str, list[NDArray[Any]]] = {}
    try:
        for number, frame in enumerate(scene(model, seed, job.frames, job.size, background), 1):
            writer.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
            labels = (frame.labels if job.scheme in OUTLINED else frame.points)[job.scheme]
            dump(folder / "annot" / f"{number:06d}.pts", [Record(f"{number:06d}", labels[:, :2])])
            row = {"points": frame.points[job.scheme], "pose": frame.pose, "images": np.array(f"{number:06d}")}
            row |= {f"points_{scheme}": points for scheme, points in frame.points.items()}
            row |= {f"outline_{scheme}": frame.labels[scheme] for scheme in model.landmarks.lines}
            row |= {f"visible_{scheme}": seen for scheme, seen in frame.visible.items()}
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
    finally:
        writer.release()
    written = _count(video)
    if written != job.frames:
        raise OutputError(f"{video}: holds {written} of {job.frames} frames; is the disk full?")
    arrays = {name: np.stack(rows) for name, rows in columns.items()}
    np.savez_compressed(folder / TRUTH, **arrays, **_identity(job, seed))  # type: ignore[arg-type]


def _identity(job: SceneJob, seed: int) -> dict[str, NDArray[Any]]:
    """What identifies a sequence."""
    return {"scheme": np.array(job.scheme), "seed": np.array(seed), "size": np.array([job.frames, job.size])}


def _count(video: Path) -> int:
    """Number of frames that can be decoded."""
    capture = cv2.VideoCapture(str(video))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _same(job: SceneJob, folder: Path, seed: int) -> None:
    """Refuse a folder that holds anything but this sequence."""
    remedy = "choose another folder, or remove it"
    try:
        with open_arrays(folder / TRUTH) as arrays:
            there = {name: arrays[name].tolist() for name in ("scheme", "seed", "size")}
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{folder}: exists, but is no sequence made by canthus synth video; {remedy}") from error
    wanted = {name: value.tolist() for name, value in _identity(job, seed).items()}
    if there != wanted:
        raise OutputError(f"{folder}: holds another sequence ({there}, not {wanted}); {remedy}")
