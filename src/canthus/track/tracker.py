"""Follows faces through a video: points that do not jitter, and identities that stay.

A face starts from the detector and is then fitted in the crop that its smoothed motion in the frame before gives. The
detector runs again at a rhythm for new faces, at once where a fit fails or the scene changes, and more often while a
face is lost. `state` says how a face gets lost and found.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from canthus.align.aligner import Aligner
from canthus.detect.detector import Detector, options_of
from canthus.detect.score import FaceScorer
from canthus.errors import InputError, ShapeError
from canthus.geometry.box import overlaps
from canthus.geometry.crop import box_of
from canthus.reader.frame import Frame
from canthus.reader.picture import Picture, as_pixels
from canthus.runtime.bundle import Precision
from canthus.runtime.session import Device
from canthus.schemes.scheme import Scheme
from canthus.track.face import TrackedFace
from canthus.track.fitter import Fit, Fitter
from canthus.track.match import assign, costs_of, doubles
from canthus.track.memory import RATE, Memory
from canthus.track.smooth import Smoothing
from canthus.track.state import Rules, State
from canthus.track.step import Step, smooth_steps
from canthus.types import FaceDetector, Faces, Image, as_image

Smooth = Literal["off", "online", "offline"]
COVERED = 0.3
"""A detection that overlaps a fitted face by more than this is that face."""


class Tracker:
    """Follows faces through a video.

    >>> tracker = canthus.Tracker.open()
    >>> for faces in tracker.run(frames):
    ...     faces.points, faces.identity  # (F, 68, 2), (F,)

    Attributes:
        smooth: "off", "online" or "offline".
        smoothing: Cutoffs of the smoothing.
        memory: What it knows of the frames so far.
    """

    def __init__(
        self,
        detector: FaceDetector,
        fitter: Fitter,
        *,
        smooth: Smooth = "online",
        every: int = 15,
        max_faces: int | None = None,
        rules: Rules | None = None,
        smoothing: Smoothing | None = None,
    ) -> None:
        """Join a detector and models of landmarks.

        Args:
            detector: Finds faces.
            fitter: Fits their points.
            smooth: "off"; "online", without looking ahead; "offline", which `run` alone can do, when it has all frames.
            every: Number of frames from one search for new faces to the next; a third of it while a face is lost.
            max_faces: Largest number of faces that are followed at a time, most confident first; None = all.
            rules: When a fit counts as failed and a face as lost; None = the usual ones.
            smoothing: Cutoffs of the smoothing; None = the usual ones of the scheme.

        Raises:
            InputError: an option is out of its range.
        """
        if smooth not in get_args(Smooth):
            raise InputError(f"smooth is one of {', '.join(get_args(Smooth))}, not {smooth!r}")
        if every < 1 or (max_faces is not None and max_faces < 1):
            raise InputError(f"a tracker needs every >= 1 and max_faces >= 1, not {every} and {max_faces}")
        self._detector, self._fitter = detector, fitter
        self.smooth, self._every, self._most = smooth, every, max_faces
        self._rules, self.smoothing = rules or Rules(), smoothing or Smoothing.of(fitter.scheme)
        self.reset()

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        *,
        start: str | Path | None = None,
        follow: str | Path | None = None,
        detector: str | FaceDetector | None = None,
        device: Device = "cpu",
        precision: Precision = "fp32",
        threads: int = 1,
        **options: Any,
    ) -> "Tracker":
        """Load the models.

        Args:
            model: Bundle that finds the points of a face in a box; None = the default model of the package.
            start: Bundle that starts a face from these points, as of the recipe local_global_start; None = none.
            follow: Bundle that follows a face from its points in the frame before, as of the recipe
                local_global_follow; None = `model`, in the box of these points.
            detector: A detector, or the name of one; None = the default detector.
            device: "cpu", "cuda" or "openvino".
            precision: "fp32", or "int8", which is faster and slightly less accurate.
            threads: Number of CPU threads of each network; 0 = all cores.
            **options: Options of `Tracker`: smooth, every, max_faces, rules, smoothing.

        Raises:
            CanthusError: a model, the detector or the device cannot be used, the models do not fit together, or an
                option is out of its range.
        """
        engine: dict[str, Any] = {"device": device, "threads": threads}
        first, other, after = (
            None if path is None and at else Aligner.open(path, precision=precision, **engine).system
            for at, path in enumerate((model, start, follow))
        )
        assert first is not None
        if detector is None or isinstance(detector, str):
            known = options_of(detector)
            detector = Detector.open(detector, **{name: value for name, value in engine.items() if name in known})
        return cls(detector, Fitter(first, FaceScorer.open(**engine), other, after), **options)

    def reset(self) -> None:
        """Forget all faces, as before another video; identities begin at 1 again."""
        self.memory = Memory()

    def __call__(self, image: Picture, time: float | None = None) -> Faces:
        """The faces of the next frame.

        Args:
            image: Shape (H, W, 3), uint8, RGB; or an image file, or a Pillow image.
            time: Time of the frame in seconds; None = 1 / 25 after the frame before.

        Returns:
            Faces with their `identity` (F,).

        Raises:
            ReadError: a file cannot be read.
            ShapeError: not an image, or a time that is not a finite number; the tracker has not seen the frame.
        """
        return self.step(as_pixels(image), time).faces

    def run(self, frames: "Iterable[Picture | Frame]") -> Iterator[Faces]:
        """The faces of the frames of a video, from its beginning.

        Args:
            frames: Images as `__call__` takes them, or frames with times, as of `open_stream`; one without an image,
                because it is damaged, has no faces.

        Raises:
            ReadError: a file cannot be read.
            ShapeError: not an image, or a time that is not a finite number.
        """
        self.reset()
        steps: Iterator[Step] = (self.step(*_taken(frame)) for frame in frames)
        if self.smooth == "offline":
            steps = iter(smooth_steps(list(steps), self.smoothing))
        return (step.faces for step in steps)

    def step(self, image: Image | None, time: float | None = None) -> Step:
        """What happens in the next frame.

        Args:
            image: Shape (H, W, 3); None = damaged: no face is fitted in it.
            time: Time of the frame in seconds; None, or one that goes back = 1 / 25 after the frame before.

        Raises:
            ShapeError: not an image, or a time that is not a finite number; the tracker has not seen the frame.
        """
        if image is not None:
            as_image(image)
        if time is not None and not math.isfinite(time):
            raise ShapeError(f"the time of a frame is a finite number of seconds, not {time}; None = not known")
        self.memory.frame += 1
        before = self.memory.time
        self.memory.time = time if time is not None and time > before else before + 1 / RATE
        now = self.memory.frame, self.memory.time
        if image is None:
            for face in self._visible():
                face.step(face.fit, "a damaged frame", now)
        else:
            self._process(image, now)
        events = tuple(event for face in self.memory.faces for event in face.events)
        for face in self.memory.faces:
            face.events.clear()
        self.memory.faces = [face for face in self.memory.faces if face.state is not State.ENDED]
        shown = [] if image is None else self._visible()
        return Step(self._reported(shown), tuple(face.state for face in shown), events, self.memory.time)

    def _visible(self) -> list[TrackedFace]:
        return [face for face in self.memory.faces if face.visible]

    def _process(self, image: Image, now: tuple[int, float]) -> None:
        size = image.shape[1], image.shape[0]
        cut = self._scene(image, size, now)
        followed = self._visible()
        fits = self._fitter.follow(image, [face.place for face in followed], [face.steady for face in followed])
        failures = [face.failure(fit, size) for face, fit in zip(followed, fits, strict=True)]
        missing = [face for face in self.memory.faces if face.state is State.LOST]
        rhythm = max(1, self._every // 3) if missing else self._every
        if cut or any(failures) or now[0] - self.memory.searched >= rhythm:
            self.memory.searched = now[0]
            found = self._detector.detect(image)
            self._search(image, found, [followed, fits, failures], now)
        for face, fit, failure in zip(followed, fits, failures, strict=True):
            face.step(fit, failure, now)
        for face in missing:
            if face.state is State.LOST:
                face.step(None, "not detected", now)
        self._part_doubles(now)

    def _scene(self, image: Image, size: tuple[int, int], now: tuple[int, float]) -> bool:
        """Whether another scene, or a picture of another size, begins: all faces are lost then."""
        before, self.memory.size = self.memory.size, size
        resized = before != size and before != (0, 0)
        scene = self.memory.cuts.scene
        cut = self.memory.cuts(image)
        for face in self.memory.faces if resized else ():
            face.move((size[0] / before[0], size[1] / before[1]))
        if cut and scene is not None:
            for face in self.memory.faces:
                face.cut(scene, now)
        reason = f"the picture changed from {before[0]} x {before[1]} to {size[0]} x {size[1]}"
        for face in self._visible() if resized else ():
            face.lose(reason, now)
        return cut or resized

    def _search(self, image: Image, found: Faces, current: list[list[Any]], now: tuple[int, float]) -> None:
        """Give detections to the faces whose fit failed, to lost faces, and to new ones, in this order.

        Args:
            image: The frame.
            found: Detections.
            current: Visible faces, their fits, and why these failed; fits that a detection repairs are replaced.
            now: Number and time of the frame.
        """
        followed, fits, failures = current
        good = [at for at, failure in enumerate(failures) if not failure]
        boxes = box_of(np.stack([fits[at].points for at in good])) if good else np.zeros((0, 4), np.float32)
        shared = overlaps(boxes, found.boxes)
        for row, column in assign(np.where(shared > COVERED, 1 - shared, np.inf)):
            followed[good[row]].turn(float(found.pose[column, 2]))
        free = (shared <= COVERED).all(0) if len(boxes) else np.ones(len(found), bool)
        fresh = [
            fit
            for fit in self._fitter.begin(image, found.boxes[free], found.pose[free, 2])
            if self._rules.sound(fit.face_score, fit.scores) and np.isfinite(fit.points).all()
        ]
        failed = [at for at, failure in enumerate(failures) if failure]
        pairs = _pairs([followed[at] for at in failed], fresh, now[1])
        for row, column in pairs:
            fits[failed[row]], failures[failed[row]] = fresh[column], ""
        fresh = _without(fresh, pairs)
        lost = [face for face in self.memory.faces if face.state is State.LOST and self._may_return(face)]
        pairs = _pairs(lost, fresh, now[1])
        for row, column in pairs:
            lost[row].find(fresh[column], now)
        for fit in _without(fresh, pairs):
            if self._most is None or len(self._visible()) < self._most:
                self.memory.last += 1
                self.memory.faces.append(TrackedFace(self.memory.last, fit, self._rules, self.smoothing, now))

    def _may_return(self, face: TrackedFace) -> bool:
        """Whether a lost face can be in this scene."""
        return face.scene is None or self.memory.cuts.shows(face.scene)

    def _part_doubles(self, now: tuple[int, float]) -> None:
        """Where two faces have the same points, the one is lost whose motion and shape led elsewhere."""
        faces = self._visible()
        for one, two in doubles([face.fit.points for face in faces], [face.place.size for face in faces]):
            pair = sorted(
                (faces[one], faces[two]), key=lambda face: (face.state is not State.TRACKED, face.strangeness)
            )
            if all(face.visible for face in pair):
                pair[1].lose(f"its points are those of face {pair[0].identity}", now)

    def _reported(self, faces: list[TrackedFace]) -> Faces:
        if not faces:
            return Faces.empty(self._fitter.scheme, Scheme.open(self._fitter.scheme).count)
        rows = [face.reported(self.smooth == "online") for face in faces]
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return Faces(boxes=box_of(columns["points"]), scheme=self._fitter.scheme, **columns)


def _pairs(faces: list[TrackedFace], fits: list[Fit], time: float) -> list[tuple[int, int]]:
    """Faces that are seen again in fits, as pairs of their indices."""
    known = [face.known(time) for face in faces]
    return assign(costs_of(known, [fit.placement for fit in fits], [fit.points for fit in fits]))


def _without(fits: list[Fit], pairs: list[tuple[int, int]]) -> list[Fit]:
    """The fits that are in no pair."""
    paired = {column for _, column in pairs}
    return [fit for at, fit in enumerate(fits) if at not in paired]


def _taken(frame: "Picture | Frame") -> tuple[Image | None, float | None]:
    return (frame.image, frame.time) if isinstance(frame, Frame) else (as_pixels(frame), None)
