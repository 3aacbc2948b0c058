"""Videos of photographed faces that are pasted before a backdrop and moved: what happens to each is known.

Each shows one thing that trackers get wrong: a face that leaves and returns, a hand that passes, a cut, two faces that
cross, many faces at a time. The faces are those of wild68 val, which no network was trained on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.data.catalogue import open_set
from canthus.evaluate.cut import estimated_yaw
from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply, similarity
from canthus.schemes.scheme import Scheme
from canthus.synth.occlusion.layers import CoveredFace, Layer, frame_of
from canthus.synth.occlusion.occluders import hand
from canthus.types import Image

Doubles = NDArray[np.float64]
FPS = 25
NOISE = 2.0
"""Standard deviation of the noise of the camera, 0..255."""
Place = tuple[float, float, float, float] | None
"""Middle x and y, width and roll of a face; None = it is not there."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A face without its background: picture (H, W, 3), opacity (H, W), landmarks (68, 2) in pixels."""

    image: Image
    alpha: NDArray[np.float32]
    points: Doubles

    def placed(self, place: tuple[float, float, float, float]) -> Doubles:
        """The map (2, 3) that puts the middle of the landmarks at a place."""
        x, y, width, roll = place
        low, high = self.points.min(0), self.points.max(0)
        moved = similarity(width / float(high[0] - low[0]), roll)
        moved[:, 2] = np.array([x, y]) - moved[:, :2] @ ((low + high) / 2)
        return moved


@dataclass(frozen=True, eq=False)
class Play:
    """A video whose faces are known.

    Attributes:
        name: Its name.
        told: What happens, in words.
        size: Width and height.
        people: The faces; later ones are before earlier ones.
        course: Place of each face in each frame.
        behind: Backdrop of each frame, each (H, W, 3).
        front: What covers the faces, and how far right it is shifted in each frame; None = nothing.
    """

    name: str
    told: str
    size: tuple[int, int]
    people: Sequence[Cutout]
    course: Sequence[Sequence[Place]]
    behind: Sequence[Image]
    front: tuple[Layer, Sequence[float]] | None = None

    def __len__(self) -> int:
        return len(self.course)

    @property
    def times(self) -> Doubles:
        """Time of each frame, seconds."""
        return np.arange(len(self)) / FPS

    @property
    def truth(self) -> Doubles:
        """True points; NaN where half of a face is out of the picture. Shape (N, T, 68, 2)."""
        points = np.full((len(self), len(self.people), 68, 2), np.nan)
        for at, places in enumerate(self.course):
            for who, (person, place) in enumerate(zip(self.people, places, strict=True)):
                if place is not None:
                    moved = apply(person.placed(place), person.points)
                    if ((moved >= 0) & (moved < self.size)).all(1).mean() > 0.5:
                        points[at, who] = moved
        return points

    @property
    def boxes(self) -> Doubles:
        """True boxes; NaN where there is none. Shape (N, T, 4)."""
        truth = self.truth
        boxes = np.full((*truth.shape[:2], 4), np.nan)
        here = np.isfinite(truth[:, :, 0, 0])
        boxes[here] = box_of(truth[here])
        return boxes

    def __iter__(self) -> Iterator[Image]:
        """The pictures in order."""
        rng = np.random.default_rng(1)
        for at, places in enumerate(self.course):
            canvas = self.behind[at].astype(np.float32)
            for person, place in zip(self.people, places, strict=True):
                if place is not None:
                    matrix = person.placed(place)
                    over = cv2.warpAffine(person.image, matrix, self.size, flags=cv2.INTER_AREA)
                    alpha = cv2.warpAffine(person.alpha, matrix, self.size)[..., None]
                    canvas += alpha * (over - canvas)
            if self.front is not None:
                layer, shifts = self.front
                shift = np.array([[1, 0, shifts[at]], [0, 1, 0]])
                alpha = cv2.warpAffine(layer.alpha, shift, self.size)[..., None]
                canvas += alpha * (cv2.warpAffine(layer.colour, shift, self.size) - canvas)
            noisy = canvas + rng.normal(0, NOISE, canvas.shape).astype(np.float32)
            yield noisy.clip(0, 255).astype(np.uint8)


def cutouts(root: Path, count: int) -> list[Cutout]:
    """Faces of different persons that look to the front."""
    samples = list(open_set("wild68", root, "val"))
    yaw = estimated_yaw(np.stack([sample.points for sample in samples]), Scheme.open("68"))
    assert yaw is not None
    found: dict[str, Cutout] = {}
    for sample, angle in zip(samples, yaw, strict=True):
        points = sample.points.astype(np.float64)
        width, height = np.ptp(points, axis=0)
        image = sample.picture()
        middle = points.mean(0) - (0, 0.22 * height)
        axes = 0.68 * width, 0.95 * height
        fits = (middle - axes >= 0).all() and (middle + axes < image.shape[1::-1]).all()
        if abs(angle) > 15 or width < 90 or sample.identity in found or not fits:
            continue
        alpha = np.zeros(image.shape[:2], np.float32)
        cv2.ellipse(alpha, (middle.tolist(), (2 * axes[0], 2 * axes[1]), 0.0), 1.0, -1)
        found[sample.identity] = Cutout(image, cv2.GaussianBlur(alpha, (0, 0), 0.04 * width), points)
        if len(found) == count:
            return list(found.values())
    raise AssertionError(f"wild68 val has {len(found)} such persons")


def backdrops(root: Path, count: int, size: tuple[int, int], first: int = 0) -> list[Image]:
    """Backdrops without people."""
    samples = list(open_set("backdrops", root, "train"))[first::97][:count]
    return [cv2.resize(sample.picture(), size, interpolation=cv2.INTER_LINEAR).astype(np.uint8) for sample in samples]


def leaving(people: Sequence[Cutout], scenes: Sequence[Image]) -> Play:
    """A face goes out to the right, is away for two seconds and comes back."""
    out, back = np.linspace(320, 780, 45), np.linspace(780, 330, 45)
    x = [*[320.0] * 15, *out, *[900.0] * 50, *back, *[330.0] * 25]
    course = [[(at, 240.0, 130.0, 4 * float(np.sin(n / 9)))] for n, at in enumerate(x)]
    return Play("leaving", str(leaving.__doc__), (640, 480), people[:1], course, scenes[:1] * len(x))


def covered(people: Sequence[Cutout], scenes: Sequence[Image]) -> Play:
    """A hand passes over the face within 1.6 seconds and hides most of it for some of that time."""
    course = [[(320.0 + 12 * float(np.sin(n / 8)), 230.0, 150.0, 0.0)] for n in range(100)]
    shifts = [*np.linspace(-420, 420, 40)]
    return Play(
        "hand",
        str(covered.__doc__),
        (640, 480),
        people[:1],
        course,
        scenes[:1] * 100,
        (_hand(people[0]), [-900.0] * 30 + shifts + [900.0] * 30),
    )


def _hand(person: Cutout) -> Layer:
    """A hand before the middle of the picture, whose arm comes from below."""
    wide, high = 640, 480
    matrix = person.placed((320.0, 230.0, 150.0, 0.0))
    image = cv2.warpAffine(person.image, matrix, (wide, high))
    points = apply(matrix, person.points)
    for seed in range(200):
        face = CoveredFace(image, points, "68", frame_of(points, "68"), (), np.random.default_rng(seed))
        layer = hand(face)
        inside = layer.alpha[points.astype(int)[:, 1], points.astype(int)[:, 0]].mean()
        if layer.alpha[-1].any() and not layer.alpha[:, [0, -1]].any() and inside > 0.5:
            return layer
    raise AssertionError("no hand comes from below")


def cut(people: Sequence[Cutout], scenes: Sequence[Image]) -> Play:
    """Two scenes with a person each take turns, as in an interview; their faces are nearly at the same place."""
    one, two = (300.0, 230.0, 140.0, 0.0), (350.0, 240.0, 130.0, 3.0)
    course: list[list[Place]] = []
    behind = []
    for shot in range(4):
        for _ in range(30):
            course.append([one, None] if shot % 2 == 0 else [None, two])
            behind.append(scenes[shot % 2])
    return Play("cut", str(cut.__doc__), (640, 480), people[:2], course, behind)


def crossing(people: Sequence[Cutout], scenes: Sequence[Image]) -> Play:
    """Two faces of the same size cross; one passes before the other and hides it."""
    there = np.r_[np.full(15, 160.0), np.linspace(160, 480, 60), np.full(25, 480.0)]
    course = [[(640 - x, 235.0, 110.0, 0.0), (x, 250.0, 115.0, 0.0)] for x in there.tolist()]
    return Play("crossing", str(crossing.__doc__), (640, 480), people[:2], course, scenes[:1] * len(course))


def ten(people: Sequence[Cutout], scenes: Sequence[Image]) -> Play:
    """Ten faces move about, each around its place."""
    rng = np.random.default_rng(4)
    phase, pace = rng.uniform(0, 6, (10, 2)), rng.uniform(0.03, 0.09, (10, 2))
    course = []
    for at in range(75):
        sway = 45 * np.sin(pace * at + phase)
        course.append(
            [
                (150.0 + 240 * (who % 5) + sway[who, 0], 190.0 + 340 * (who // 5) + sway[who, 1], 85.0 + 3 * who, 0.0)
                for who in range(10)
            ]
        )
    return Play("ten", str(ten.__doc__), (1280, 720), people[:10], course, scenes * len(course))


def plays(root: Path) -> Iterator[Play]:
    """Every sequence."""
    people = cutouts(root, 10)
    makers: list[tuple[Callable[[Sequence[Cutout], Sequence[Image]], Play], int]]
    makers = [(leaving, 0), (covered, 2), (cut, 4), (crossing, 6)]
    for make, first in makers:
        yield make(people[first:], backdrops(root, 2, (640, 480), first))
    other = crossing([people[9], people[8]], backdrops(root, 1, (640, 480), 8))
    yield replace(other, name="crossing of two others")
    yield ten(people, backdrops(root, 1, (1280, 720), 9))
