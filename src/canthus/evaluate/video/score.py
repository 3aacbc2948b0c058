"""Scores tracked faces of labelled videos: error, AUC and failures by a protocol, jitter, lag, identities.

Errors are those of Menpo-3D unless another protocol is given: the root mean square distance over the diagonal of the
true box [Zafeiriou et al., "The 3D Menpo Facial Landmark Tracking Challenge", 2017]; a frame without the face is a
failure. With known truth, jitter is that of the offset from it: the acceleration of the face itself does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.evaluate.metrics import normalisers
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.result import Labels, as_plain
from canthus.evaluate.score import evaluate_points
from canthus.evaluate.video.identities import gaps, identities, switches
from canthus.evaluate.video.jitter import jitter, still_and_moving
from canthus.evaluate.video.lag import lag
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme
from canthus.types import Faces

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

PROTOCOL = "menpo3d-tracking"
"""Usual protocol; its scheme is replaced by that of the points."""


@dataclass(frozen=True, eq=False)
class Track:
    """One face of a labelled video as a tracker saw it.

    Attributes:
        name: Name of the video.
        found: Points in each frame; NaN = not tracked. Shape (N, P, D), pixels.
        truth: True points. Shape (N, P, D), pixels.
        identity: Number of the face in each frame; NaN = not tracked. Shape (N,).
        times: Time of each frame, seconds. Shape (N,).
    """

    name: str
    found: Array
    truth: Array
    identity: Array
    times: Array

    def __post_init__(self) -> None:
        if self.found.shape != self.truth.shape or self.truth.ndim != 3:
            raise ShapeError(
                f"{self.name}: tracked points {self.found.shape} and true ones {self.truth.shape} are not the same"
                " (N, P, D)"
            )
        if not len(self.truth) == len(self.identity) == len(self.times):
            raise ShapeError(
                f"{self.name}: {len(self.truth)} frames, {len(self.identity)} identities and {len(self.times)} times"
            )

    @property
    def labelled(self) -> Mask:
        """The frames in which a point of the face is labelled. Shape (N,)."""
        return _labelled(self.truth)

    @classmethod
    def of(cls, name: str, tracked: Sequence[Faces], truth: NDArray[Any], times: NDArray[Any]) -> "Track":
        """Find the labelled face among the faces that a tracker reported in each frame, by the overlap of boxes.

        Args:
            name: Name of the video.
            tracked: Faces of each frame, with their `identity`.
            truth: True points of the face; NaN = not labelled, in all points of a frame where the face is not in the
                picture. Shape (N, P, D), pixels.
            times: Time of each frame, seconds. Shape (N,).
        """
        true = np.asarray(truth, np.float64)
        here = _labelled(true)
        boxes = np.full((len(true), 1, 4), np.nan)
        boxes[here, 0] = box_of(true[here, :, :2])
        numbers = identities(tracked, boxes)[:, 0]
        found = np.full(true.shape, np.nan)
        for at in np.flatnonzero(np.isfinite(numbers)).tolist():
            found[at] = tracked[at].points[tracked[at].identity == numbers[at]][0][..., : true.shape[2]]
        return cls(name, found, true, numbers, np.asarray(times, np.float64))


@dataclass(frozen=True, eq=False, slots=True)
class VideoScore:
    """Figures of tracked faces.

    Attributes:
        protocol: Rules of the errors.
        sequences: Number of videos.
        errors: Error of each frame, videos one after the other, a fraction; infinite = not tracked. Shape (N,).
        error: Mean error of the tracked frames.
        auc: Area under the cumulative error distribution up to the threshold, 0..1.
        failure_rate: Share of frames over the threshold or not tracked, 0..1.
        jitter: Jitter of the offset from the truth, over sqrt(w h) of the true box; as the lag, of the points that the
            protocol scores.
        jitter_still: The same of faces that stand still.
        jitter_moving: The same of faces that move.
        lag: Mean lag behind the truth, frames; of videos in which the face moves.
        switches: Number of changes of identity.
        lost: How often a face was in the picture and not tracked.
        regained: How often it was tracked again then, with the identity it had.
        longest: Longest time that a face was lost, seconds; infinite = to the end.
    """

    protocol: Protocol
    sequences: int
    errors: Array
    error: float
    auc: float
    failure_rate: float
    jitter: float
    jitter_still: float
    jitter_moving: float
    lag: float
    switches: int
    lost: int
    regained: int
    longest: float

    def as_dict(self) -> dict[str, Any]:
        """All figures but the errors of frames, as plain values for JSON; NaN and infinity become None."""
        names = [name for name in self.__slots__ if name not in ("protocol", "errors")]
        tree = {"protocol": str(self.protocol), "frames": len(self.errors)}
        plain: dict[str, Any] = as_plain(tree | {name: getattr(self, name) for name in names})
        return plain


def score_tracks(tracks: Sequence[Track], protocol: Protocol | str = PROTOCOL, scheme: str = "68") -> VideoScore:
    """Score the tracked faces of videos.

    Args:
        tracks: One for each labelled face.
        protocol: Rules of the errors, or their name.
        scheme: Scheme of the points.

    Raises:
        ProtocolError: the labels do not fit the protocol.
        ShapeError: there is no video.
    """
    if not tracks:
        raise ShapeError("no video to score")
    rules = (Protocol.open(protocol) if isinstance(protocol, str) else protocol).changed(scheme=scheme)
    truth = np.concatenate([track.truth[track.labelled] for track in tracks])
    found = np.concatenate([track.found[track.labelled] for track in tracks])
    names = tuple(f"{track.name} {at}" for track in tracks for at in np.flatnonzero(track.labelled).tolist())
    result = evaluate_points(truth, found, rules, Labels(images=names), missing="failure")
    scored = list(Scheme.open(scheme).groups[rules.part]) if rules.part else slice(None)
    offsets, sizes, still, moving = _motion(tracks, scheme)
    offsets = offsets[:, scored]
    late = [lag(_plane(track.found[:, scored]), _plane(track.truth[:, scored])) for track in tracks]
    missing = [gap for track in tracks for gap in gaps(track.identity[:, None], track.labelled[:, None], track.times)]
    return VideoScore(
        protocol=rules,
        sequences=len(tracks),
        errors=result.errors,
        error=result.nme_images,
        auc=result.auc,
        failure_rate=result.failure_rate,
        jitter=jitter(offsets, sizes),
        jitter_still=jitter(offsets, sizes, still),
        jitter_moving=jitter(offsets, sizes, moving),
        lag=float(np.mean(late)) if (late := [value for value in late if np.isfinite(value)]) else float("nan"),
        switches=sum(switches(track.identity[:, None]) for track in tracks),
        lost=len(missing),
        regained=sum(gap.kept is True for gap in missing),
        longest=max((gap.seconds for gap in missing), default=0.0),
    )


def _labelled(points: Array) -> Mask:
    """Frames in which one of the points (N, P, D) is known. Shape (N,)."""
    known: Mask = np.isfinite(points)
    return np.asarray(np.any(np.all(known, axis=-1), axis=-1))


def _plane(points: Array) -> Array:
    """Coordinates in the picture as channels: (N, P, D) -> (N, 2 P)."""
    return points[..., :2].reshape(len(points), -1)


def _motion(tracks: Sequence[Track], scheme: str) -> tuple[Array, Array, Mask, Mask]:
    """Offsets from the truth, sizes, and the frames of rest and of motion; a frame of NaN parts the videos."""
    parts = []
    for track in tracks:
        sizes = normalisers(track.truth, "box", Scheme.open(scheme))
        offsets = (track.found - track.truth)[..., :2]
        still, moving = still_and_moving(track.truth[..., :2], sizes)
        parts.append((offsets, sizes, still, moving))
        parts.append((np.full((1, *offsets.shape[1:]), np.nan), np.ones(1), np.zeros(1, bool), np.zeros(1, bool)))
    offsets, sizes, still, moving = (np.concatenate(column) for column in zip(*parts, strict=True))
    return offsets, sizes, still, moving
