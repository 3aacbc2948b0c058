"""Rotated views of photographs, up to profiles, with a flat histogram of azimuth, as an order for the factory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ReadError, ShapeError
from canthus.face3d.fit import Fit
from canthus.face3d.labels import points_of
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import WeakPerspective, rotation
from canthus.synth.faces import LabelledFaces, open_fits
from canthus.synth.factory import Made, Task
from canthus.synth.turn.profile import FRONTAL, ProfileOptions, Relief, find_problem, prepare, view
from canthus.types import Floats
from canthus.work.folder import digest

Doubles = NDArray[np.float64]

BINS = 18
"""Number of bins of ten degrees of azimuth."""
COMMON, FARTHEST = 40.0, 60.0
"""Rotations by more than the first are rare, by more than the second are not made. Degrees."""
RARELY = 0.03
"""Weight of a rare rotation over that of a common one."""


@dataclass(frozen=True)
class Views:
    """Rotated views of fitted photographs.

    Attributes:
        model: File of the face model.
        fits: Table of `canthus synth fit`.
        pictures: Folder of the set that was fitted.
        count: Number of views wanted.
        seed: Seed that chooses photographs and rotations.
        landmarks: File of landmark vertices; None = landmarks.json beside the model.
        options: Options of the views.
    """

    model: Path
    fits: Path
    pictures: Path
    count: int
    seed: int = 0
    landmarks: Path | None = None
    options: ProfileOptions = field(default_factory=ProfileOptions)

    @property
    def faces(self) -> LabelledFaces:
        """The photographs."""
        return open_fits(self.fits, self.pictures)

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, for JSON."""
        landmarks = self.landmarks or self.model.with_name("landmarks.json")
        files = {"model": digest(self.model), "landmarks": digest(landmarks), "fits": digest(self.fits)}
        return {"kind": "views", **files, "count": self.count, "seed": self.seed, "options": asdict(self.options)}

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """Views that fill the bins of azimuth evenly; suited photographs are used about equally often.

        A photograph of which a view was refused is not rotated to that side again.
        """
        azimuth = self.faces.azimuth
        wanted = np.full(BINS, self.count // BINS)
        wanted[np.random.default_rng(self.seed).permutation(BINS)[: self.count % BINS]] += 1
        barred = np.zeros((2, len(azimuth)), bool)
        uses = np.zeros(len(azimuth))
        for task, reason in outcomes.items():
            if reason:
                barred[int(task.turn > 0), task.face] = True
            else:
                uses[task.face] += 1
                wanted[bin_of(azimuth[task.face] + task.turn)] -= 1
        barred[:, self.faces.columns["error"] > self.options.residual] = True
        chosen = choose_views(azimuth, wanted, barred, uses, np.random.default_rng((self.seed, len(outcomes))))
        chosen.sort()  # views of one photograph follow each other
        return [Task(len(outcomes) + at, face, turn) for at, (face, turn) in enumerate(chosen)]

    def make(self, task: Task) -> Made | str:
        """A view with its labels, or the reason why it is refused."""
        faces, model = self.faces, _open_model(self.model, self.landmarks)
        try:
            relief = _relief(self, task.face)
            problem = find_problem(relief, task.turn, self.options)
            if problem:
                return problem
            made = view(relief, model, task.turn)
        except (ReadError, ShapeError) as error:
            return str(error)
        row: dict[str, Any] = {
            "sources": faces.name(task.face),
            "identities": faces.person(task.face),
            "seed": self.seed,
            "kind": "",
            "turn": np.float32(task.turn),
            "azimuth": np.float32(made.azimuth),
            "pose": made.pose,
            "error": np.float32(relief.error),
        }
        fit, shift = self._turned_fit(relief, task, made.points["68"])
        for scheme, visible in made.visible.items():
            points = points_of(model, fit, scheme, bias=faces.bias)[0] + shift
            row |= {f"points_{scheme}": points.astype(np.float32), f"visible_{scheme}": visible}
        for scheme in model.landmarks.lines:
            outline = (points_of(model, fit, scheme, True, faces.bias)[0] + shift).astype(np.float32)
            row[f"outline_{scheme}"] = outline if scheme in made.outlines else np.full_like(outline, np.nan)
        return Made(made.image, row)

    def _turned_fit(self, relief: Relief, task: Task, points: Floats) -> tuple[Fit, Doubles]:
        """The fit in the pose of the view, and the shift (3,) from its 68 points to those of the view (68, 3)."""
        model = _open_model(self.model, self.landmarks)
        now = relief.rotation @ rotation(np.array([task.turn, 0.0, 0.0]))
        camera = WeakPerspective(np.array([relief.scale]), now[None], np.zeros((1, 2)), np.zeros(1))
        fit = replace(self.faces.fit(task.face), camera=camera)
        shift: Doubles = (points - points_of(model, fit, "68")[0]).mean(0)
        return fit, shift


def bin_of(azimuth: float) -> int:
    """The bin of ten degrees in which an azimuth in -90..90 lies."""
    return int(np.clip((azimuth + 90) // (180 / BINS), 0, BINS - 1))


def choose_views(
    azimuth: NDArray[np.float64],
    wanted: NDArray[np.int_],
    barred: NDArray[np.bool_],
    uses: NDArray[np.float64],
    rng: np.random.Generator,
) -> list[tuple[int, float]]:
    """Photographs and rotations that fill bins of azimuth evenly, the farthest bins first.

    Args:
        azimuth: Azimuth of each photograph, degrees. Shape (F,).
        wanted: Number of views in each bin from -90 to 90. Shape (B,).
        barred: Photographs not to be rotated to the subject's right, and to the left. Shape (2, F).
        uses: Number of times that each photograph has been used. Shape (F,).
        rng: Random numbers.

    Returns:
        Photograph and rotation of each view; fewer than wanted where no photograph reaches a bin.
    """
    uses, width = uses.copy(), 180 / len(wanted)
    chosen = []
    for index in np.argsort(-np.abs(np.arange(len(wanted)) - (len(wanted) - 1) / 2), kind="stable"):
        count = max(0, int(wanted[index]))
        azimuths = -90 + width * (index + (np.arange(count) + rng.uniform(0.01, 0.99, count)) / max(1, count))
        for goal in azimuths:
            turn = goal - azimuth
            weight = np.where(np.abs(turn) <= COMMON, 1.0, RARELY) / (1 + uses)
            away = (turn * azimuth < 0) & (np.abs(azimuth) > FRONTAL)
            bars = np.where(turn > 0, barred[1], barred[0])
            weight[(np.abs(turn) > FARTHEST) | away | bars] = 0
            if weight.any():
                face = int(rng.choice(len(azimuth), p=weight / weight.sum()))
                uses[face] += 1
                chosen.append((face, float(turn[face])))
    return chosen


_open_model = lru_cache(1)(MorphableModel.open)


@lru_cache(2)
def _relief(order: Views, face: int) -> Relief:
    faces = order.faces
    model = _open_model(order.model, order.landmarks)
    return prepare(faces.picture(face), model, faces.fit(face), options=order.options)
