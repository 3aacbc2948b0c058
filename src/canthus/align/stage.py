"""A system of landmarks as a row of stages: each looks at faces, given what the stages before it found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from canthus.align.calibration import Curve
from canthus.align.estimate import Estimate
from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.crop import Crop
from canthus.schemes.scheme import Scheme
from canthus.types import Backend, Faces, Floats, Image


class Parts(NamedTuple):
    """What a stage is made of, read from a bundle or given by a training run.

    Attributes:
        crop: What its networks see.
        networks: Engines by name; empty where only `Stage.look` is wanted.
        arrays: Constants by name, as "mean" (P, 2) or (V, P, 2), the mean shapes that crops are aligned to.
    """

    crop: Crop
    networks: Mapping[str, Backend] = {}
    arrays: Mapping[str, NDArray[Any]] = {}


Look = Callable[[View, Estimate | None], View]
Solve = Callable[[View, Estimate | None], Estimate]


def as_given(view: View, estimate: Estimate | None) -> View:
    """Look at the faces in the frames that were given."""
    return view


def aligned_to(mean: NDArray[Any] | None) -> Look:
    """Look at faces in the frames that align their estimated points to a mean shape (P, 2), or one of several.

    Without a mean shape the frames are those given: local_global, section 3.4. Without an estimate they are, too, as in
    training, which gives frames that are already aligned.
    """
    if mean is None:
        return as_given

    def look(view: View, estimate: Estimate | None) -> View:
        return view if estimate is None else view.aligned(estimate.points, mean)

    return look


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of a system: (View, Estimate | None) -> Estimate.

    Attributes:
        name: Name of the stage in its system, in cards and in recipes.
        crop: What its networks see, in the frames that `look` gives.
        solve: From the frames that `look` gives, and the estimate before, to a better estimate.
        look: From the frames given and the estimate before to the frames that the stage sees. Training cuts its crops
            by the same function.
        scheme: Name of the scheme of its points; empty = that of the system.
        dims: 2, or 3 where its points have depth.
        boxed: Whether `look` also takes faces of which the box alone is known.
    """

    name: str
    crop: Crop
    solve: Solve
    look: Look = as_given
    scheme: str = ""
    dims: int = 2
    boxed: bool = False

    def __call__(self, view: View, estimate: Estimate | None = None) -> Estimate:
        """Estimate the faces of a view."""
        return self.solve(self.look(view, estimate), estimate)


@dataclass(frozen=True, eq=False)
class System:
    """A named row of stages.

    Attributes:
        name: Stem of the system.
        scheme: Name of the scheme of the points of the last stage.
        stages: The row.
        batch: Number of faces that go through the networks together.
        curve: Calibration of the scores of the whole row; None = they stay as they are.
    """

    name: str
    scheme: str
    stages: Sequence[Stage]
    batch: int = field(default=32)
    curve: Curve | None = None

    @property
    def starts_from_points(self) -> bool:
        """Whether the crops of the first stage follow from points, as those that are cut by a mean shape."""
        return bool(self.stages) and not (self.stages[0].boxed or self.stages[0].look is as_given)

    def prefix(self, depth: int | None) -> "System":
        """The system stopped after some stages.

        Args:
            depth: Number of stages, from 1; None = all.

        Raises:
            ShapeError: the system has no such stage.
        """
        count = len(self.stages)
        if depth is not None and not 1 <= depth <= count:
            raise ShapeError(f"{self.name} has stages 1 to {count}; it cannot stop after stage {depth}")
        if depth in (None, count):
            return self
        last = self.stages[:depth][-1]
        return replace(self, scheme=last.scheme or self.scheme, stages=self.stages[:depth], curve=None)

    def suffix(self, name: str) -> "System":
        """The system from the stage of that name on, which takes the estimate of the stages before it as given.

        Raises:
            ShapeError: the system has no such stage.
        """
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise ShapeError(f"{self.name} has the stages {', '.join(names)}, none called {name!r}")
        return replace(self, stages=self.stages[names.index(name) :])

    def run(self, view: View, estimate: Estimate | None = None) -> Estimate:
        """Estimate the faces of one batch.

        Args:
            view: At least one face.
            estimate: What the first stage starts from: the estimate of earlier stages, ground truth, or the points of
                the frame before; None = nothing but the view.
        """
        for stage in self.stages:
            estimate = stage(view, estimate)
        if estimate is None:
            raise ShapeError(f"{self.name} has no stages")
        if self.curve is not None:
            estimate = replace(estimate, scores=self.curve(estimate.scores))
        return replace(estimate, state={}) if estimate.state else estimate

    def align(
        self, images: Sequence[Image], boxes: Sequence[Floats], rolls: Sequence[Floats] | None = None
    ) -> list[Faces]:
        """Landmarks of the faces of several images, batched across images and faces.

        Args:
            images: I pictures, each (H, W, 3).
            boxes: For each picture (F, 4).
            rolls: In-plane rotation of the heads in degrees, clockwise on the screen; NaN = not known, taken as
                upright; None = none is known. For each picture (F,).

        Returns:
            For each picture its `Faces`, in the order of its boxes.

        Raises:
            ShapeError: the first stage cuts its crops by points, so that boxes do not suffice.
        """
        if self.starts_from_points:
            raise ShapeError(
                f"this model of {self.name} cuts its crops by the points of a face and a mean shape, not by a box: it"
                " starts or follows faces in videos; give it to canthus.Tracker"
            )
        pictures = [image for image, some in zip(images, boxes, strict=True) for _ in some]
        if not pictures:
            return [Faces.empty(self.scheme, Scheme.open(self.scheme).count, self.stages[-1].dims) for _ in images]
        every = np.concatenate(boxes)
        view = View.of_boxes(pictures, every, None if rolls is None else np.concatenate(rolls))
        parts = []
        for start in range(0, len(pictures), self.batch):
            some = slice(start, start + self.batch)
            parts.append(self.run(view[some]).faces(every[some], self.scheme))
        faces = parts[0] if len(parts) == 1 else Faces.concat(parts)
        if len(boxes) == 1:
            return [faces]
        ends = np.cumsum([len(some) for some in boxes])
        return [faces[end - len(some) : end] for end, some in zip(ends.tolist(), boxes, strict=True)]
