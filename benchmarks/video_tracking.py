"""Tracking against detection in each frame, on the sequences of the data factory.

    CANTHUS_DATA=... python benchmarks/video_tracking.py [NAME=MODEL[@DEPTH][,START,FOLLOW] ...] [--set 300vw:videos]
        [--sequences N] [--json FILE] [--plot FILE.png]

The sequences are those of `canthus synth video -o $CANTHUS_DATA/videos -n 40 --frames 200`. Rows: each model with
detection in each frame and with the tracker; smoothing off, online and offline. A model is a bundle, or "default";
START and FOLLOW are the bundles that start and follow a face (two-model tracking). Figures are those of
`evaluate/video/score.py`: error, AUC and failures by the protocol of Menpo-3D, jitter of the offset from the truth,
lag in frames; `inner` are those of the points without the contour, whose labels follow the outline that is seen and
shake themselves. Differences of the AUC are those to the first row; their intervals (95 %) draw whole sequences. The
plot is the median and the upper tenth of the error over time, of detection and of smoothing online.
"""

import argparse
import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.align.aligner import Aligner
from canthus.align.stage import System
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.data.video import videos_of
from canthus.detect.detector import Detector
from canthus.detect.score import FaceScorer
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.figure import COLOURS, check_matplotlib
from canthus.evaluate.result import as_plain
from canthus.evaluate.video.score import PROTOCOL, Track, VideoScore, score_tracks
from canthus.pipeline import Pipeline
from canthus.track.fitter import Fitter
from canthus.track.step import Step, smooth_steps
from canthus.track.tracker import Tracker
from canthus.types import Faces, Image

RATE = 25.0
"""Frames per second of the sequences."""


@dataclass(frozen=True, eq=False)
class Video:
    """A sequence: its name, its frames, and the true points of the face (N, P, 2)."""

    name: str
    samples: Sequence[Sample]
    truth: Any

    def frames(self) -> Iterator[tuple[Image, float]]:
        """Pictures with their times."""
        return ((sample.picture(), at / RATE) for at, sample in enumerate(self.samples))

    @property
    def times(self) -> Any:
        """Time of each frame."""
        return np.arange(len(self.samples)) / RATE


@dataclass(frozen=True, eq=False)
class Model:
    """The networks of a row.

    Attributes:
        name: Its name.
        first: Finds the points of a face in a box.
        start: Starts a face from these points; None = there is none.
        follow: Follows a face; None = `first` does.
    """

    name: str
    first: Aligner
    start: System | None = None
    follow: System | None = None

    @classmethod
    def of(cls, text: str) -> "Model":
        """A model of the command line."""
        name, _, paths = text.partition("=")
        first, *others = [_aligner(path) for path in paths.split(",")]
        return cls(name, first, *(other.system for other in others))

    def tracker(self, smooth: Any) -> Tracker:
        """A tracker of its networks."""
        return Tracker(
            Detector.open(), Fitter(self.first.system, FaceScorer.open(), self.start, self.follow), smooth=smooth
        )

    @property
    def scheme(self) -> str:
        """Scheme of the points of its tracker."""
        return (self.follow or self.first.system).scheme


def _aligner(text: str) -> Aligner:
    path, _, depth = text.partition("@")
    return Aligner.open(None if path == "default" else path, depth=int(depth) if depth else None)


def videos(source: str, root: Path, scheme: str, count: int | None) -> list[Video]:
    """The first sequences, with the points of a scheme: on the outline for 68, else on the true jaw."""
    name = source if scheme == "68" else source.replace("300vw", "menpo3d")
    samples = open_set(name, root, "synth")
    found = [
        Video(name, some, np.stack([sample.points for sample in some]))
        for name, some in sorted(videos_of(samples).items())
    ]
    return found[:count]


def detected(model: Model, video: Video) -> list[Faces]:
    """The face that is found in each frame, without the frames before."""
    pipeline = Pipeline(Detector.open(), model.first)
    found = []
    for image, _ in video.frames():
        faces = pipeline(image)
        best = faces[[int(np.nan_to_num(faces.confidence).argmax())]] if len(faces) else faces
        found.append(replace(best, identity=np.ones(len(best), np.float32)))
    return found


def tracked(model: Model, video: Video, smooth: str) -> list[Step]:
    """What the tracker says of each frame."""
    tracker = model.tracker(smooth)
    return [tracker.step(image, at) for image, at in video.frames()]


def score(name: str, films: Sequence[Video], run: Callable[[Video], list[Faces]], scheme: str) -> dict[str, Any]:
    """Run a way to find the faces on every sequence, and score it."""
    tracks = [Track.of(film.name, run(film), film.truth, film.times) for film in films]
    found = score_tracks(tracks, scheme=scheme)
    inner = score_tracks(tracks, Protocol.open(PROTOCOL).changed(part="inner"), scheme)
    print(f"{name}\n  {json.dumps(_rounded(found))}\n  inner {json.dumps(_rounded(inner))}", flush=True)
    return {"name": name, "score": found, "inner": inner}


def _rounded(found: VideoScore) -> dict[str, Any]:
    return {
        name: round(value, 5) if isinstance(value, float) else value
        for name, value in found.as_dict().items()
        if name != "protocol"
    }


def rows_of(model: Model, films: Sequence[Video], alone: bool) -> list[dict[str, Any]]:
    """The rows of a model; `alone` = also with detection in each frame."""
    kept: dict[str, list[Step]] = {}

    def off(film: Video) -> list[Faces]:
        kept[film.name] = tracked(model, film, "off")
        return [step.faces for step in kept[film.name]]

    def online(film: Video) -> list[Faces]:
        return [step.faces for step in tracked(model, film, "online")]

    def offline(film: Video) -> list[Faces]:
        return [step.faces for step in smooth_steps(kept[film.name])]

    ways = {"off": off, "online": online, "offline": offline}
    rows = [score(f"{model.name}, detected", films, lambda film: detected(model, film), model.scheme)] if alone else []
    rows += [score(f"{model.name}, tracked, {way}", films, run, model.scheme) for way, run in ways.items()]
    return rows


def table(rows: Sequence[dict[str, Any]], films: Sequence[Video]) -> list[dict[str, Any]]:
    """The rows as plain values, with the differences to the first."""
    first, frames = rows[0]["score"], len(films[0].samples)
    groups = np.repeat(np.arange(len(films)), [len(film.samples) for film in films])
    found = []
    for row in rows:
        gained = _areas(row["score"]) - _areas(first)
        low, high = bootstrap_interval(gained[:, None], groups)
        over_time = np.median(_finite(row["score"]).reshape(len(films), frames), 0)
        found.append(
            {name: value for name, value in row.items() if name not in ("score", "inner")}
            | _rounded(row["score"])
            | {
                "auc_difference": round(float(gained.mean()), 5),
                "auc_difference_interval": [round(float(low[0]), 5), round(float(high[0]), 5)],
                "jitter_over_first": round(row["score"].jitter / first.jitter, 4),
                "inner": _rounded(row["inner"])
                | {"jitter_over_first": round(row["inner"].jitter / rows[0]["inner"].jitter, 4)},
                "median_error_over_time": [round(float(value), 5) for value in over_time],
            }
        )
    plain: list[dict[str, Any]] = as_plain(found)
    return plain


def _areas(found: VideoScore) -> Any:
    """What each frame adds to the AUC."""
    return np.maximum(0, 1 - found.errors / found.protocol.threshold)


def _finite(found: VideoScore) -> Any:
    """Errors with the threshold in place of infinity, for plots."""
    return np.minimum(found.errors, found.protocol.threshold)


def plot(path: Path, rows: Sequence[dict[str, Any]], count: int) -> None:
    """Draw the error over time: the median of the sequences, and their upper tenth."""
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 6.4), dpi=100, layout="constrained")
    shown = [row for row in rows if row["name"].endswith(("detected", "online"))]
    for axes, share in zip(figure.subplots(2, 1, sharex=True), (50, 90), strict=True):
        for row, colour in zip(shown, COLOURS, strict=False):
            errors = _finite(row["score"]).reshape(count, -1)
            axes.plot(100 * np.percentile(errors, share, axis=0), color=colour, linewidth=1.2, label=row["name"])
        axes.set(ylabel=f"error, % of the diagonal, {'median' if share == 50 else 'upper tenth'}", ylim=(0, None))
        axes.grid(color="#e4e7ec", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel="frame")
    figure.axes[0].legend(fontsize="small", frameon=False, ncols=2)
    figure.savefig(path)


def main() -> None:
    """Print and write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["default=default"])
    parser.add_argument("--set", default="300vw:videos")
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = []
    root = Path(os.environ["CANTHUS_DATA"])
    for text in given.models:
        model = Model.of(text)
        films = videos(given.set, root, model.scheme, given.sequences)
        rows += rows_of(model, films, alone=model.follow is None)
    if given.json:
        some = ["--sequences", str(given.sequences)] if given.sequences else []
        command = shlex.join(["scripts/bench", "video_tracking", *given.models, *some])
        given.json.write_text(json.dumps({"command": command, "rows": table(rows, films)}, indent=1) + "\n")
    if given.plot:
        plot(given.plot, rows, len(films))


if __name__ == "__main__":
    main()
