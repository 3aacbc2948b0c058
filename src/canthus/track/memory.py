"""What a tracker knows of the frames so far, also as plain values for a file, so that a run goes on where it stopped.

Law (tested): a tracker that takes up the memory of another gives, bit for bit, what the other would have given.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from canthus.track.cuts import CutFinder
from canthus.track.face import TrackedFace
from canthus.track.filters import Cutoff, OneEuro
from canthus.track.fitter import Fit
from canthus.track.match import Limits
from canthus.track.motion import Placement
from canthus.track.past import Past
from canthus.track.smooth import PointSmoother, Smoothing
from canthus.track.state import Rules, State

RATE = 25.0
"""Frames per second where the times of frames are not known."""


@dataclass(slots=True, eq=False)
class Memory:
    """What a tracker knows of the frames so far.

    Attributes:
        frame: Number of the last frame; -1 = there was none.
        time: Its time in seconds.
        searched: Number of the frame in which the detector ran last.
        size: Width and height of the picture.
        last: Highest number that a face was given.
        faces: The faces that have not ended.
        cuts: Compares each frame with the one before.
    """

    frame: int = -1
    time: float = -1 / RATE
    searched: int = -(10**9)
    size: tuple[int, int] = (0, 0)
    last: int = 0
    faces: list[TrackedFace] = field(default_factory=list)
    cuts: CutFinder = field(default_factory=CutFinder)


PARTS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        Memory, TrackedFace, Fit, Placement, Past, Limits, PointSmoother, Smoothing, Cutoff, OneEuro, CutFinder, Rules
    )
}  # fmt: skip
"""The classes of which a memory is made; no other is ever restored."""


def to_plain(memory: Memory) -> Any:
    """The memory as lists, objects, numbers and text, which JSON holds exactly."""
    return _plain(memory, {})


def _plain(value: Any, seen: dict[int, int]) -> Any:
    if isinstance(value, State):
        return {"state": value.value}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": value.shape, "data": b64encode(value.tobytes()).decode()}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_plain(item, seen) for item in value]}
    if id(value) in seen:  # two names of one object stay two names of one object
        return {"same": seen[id(value)]}
    seen[id(value)] = len(seen)
    return {"part": type(value).__name__, "values": {name: _plain(item, seen) for name, item in _values(value)}}


def _values(part: Any) -> list[tuple[str, Any]]:
    """The attributes of a part by name."""
    if hasattr(part, "__dict__"):
        return list(vars(part).items())
    return [(item.name, getattr(part, item.name)) for item in fields(part)]


def from_plain(tree: Any) -> Memory:
    """The memory that `to_plain` gave.

    Raises:
        ValueError: it is something else.
    """
    try:
        memory = _restored(tree, [])
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not the memory of a tracker: {error!r}") from error
    if not isinstance(memory, Memory):
        raise ValueError("not the memory of a tracker")
    return memory


def _restored(tree: Any, made: list[Any]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "part" in tree:
        kind = PARTS[tree["part"]]
        part: Any = object.__new__(kind)
        made.append(part)
        for name, value in tree["values"].items():
            object.__setattr__(part, name, _restored(value, made))
        return part
    if "array" in tree:
        return np.frombuffer(b64decode(tree["data"]), tree["array"]).reshape(tree["shape"]).copy()
    others: dict[str, Callable[[Any], Any]] = {
        "state": State,
        "same": made.__getitem__,
        "list": lambda items: [_restored(item, made) for item in items],
        "tuple": lambda items: tuple(_restored(item, made) for item in items),
    }
    ((name, value),) = tree.items()
    return others[name](value)
