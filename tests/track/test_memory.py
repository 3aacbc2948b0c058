"""A tracker that takes up the memory of another, written to a file in between, goes on as the other would have."""

import json
from typing import Any

import numpy as np
import pytest

from canthus.track.memory import Memory, from_plain, to_plain
from canthus.track.step import Step
from canthus.track.tracker import Tracker
from canthus.types import Faces
from dots import picture, tracker

EMPTY = picture(scene=1)
SHOWN = [
    *[picture((100 + at, 100), (200, 150 - at)) for at in range(8)],
    *[picture((108, 100))] * 12,  # one face is lost
    None,  # a damaged frame
    *[picture((108, 100), (202, 142))] * 6,  # and found again
    *[EMPTY] * 4,  # a cut
    *[picture((108, 100), (202, 142))] * 5,
]


def told(step: Step) -> list[Any]:
    arrays = [getattr(step.faces, name).tobytes() for name in Faces.arrays()]
    return [*arrays, step.states, [str(event) for event in step.events], step.time]


def restored(one: Tracker) -> Tracker:
    other = tracker(every=5)
    other.memory = from_plain(json.loads(json.dumps(to_plain(one.memory))))
    return other


def test_a_memory_that_was_written_and_read_changes_nothing() -> None:
    whole, relayed = tracker(every=5), tracker(every=5)
    rng = np.random.default_rng(1)
    for image in SHOWN:
        time = whole.memory.time + float(rng.uniform(0.01, 0.06))
        assert told(relayed.step(image, time)) == told(whole.step(image, time))
        relayed = restored(relayed)
    assert whole.memory.last == 2


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {},
        [],
        {"part": "Memory"},
        {"part": "Popen", "values": {}},
        {"part": "Placement", "values": {}},
        {"same": 3},
    ],
)
def test_what_is_no_memory_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match="not the memory of a tracker"):
        from_plain(tree)


def test_an_empty_memory() -> None:
    back = from_plain(to_plain(Memory()))
    assert (back.frame, back.faces, back.size) == (-1, [], (0, 0))
