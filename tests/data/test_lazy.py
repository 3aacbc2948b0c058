import pickle
from pathlib import Path

import numpy as np

from canthus.data.lazy import Lazy
from canthus.data.sample import Sample


def load(number: int) -> Sample:
    return Sample(Path(f"{number}.jpg"), np.full((5, 2), number), "5", str(number))


def test_nothing_is_read_before_it_is_asked_for():
    asked = []

    def spy(number: int) -> Sample:
        asked.append(number)
        return load(number)

    samples = Lazy(range(1000), spy)
    assert len(samples) == 1000
    assert samples[7].identity == "7"
    assert samples[-1].identity == "999"
    assert asked == [7, 999]


def test_a_slice_stays_lazy():
    part = Lazy(range(10), load)[2:8:3]
    assert isinstance(part, Lazy)
    assert [sample.identity for sample in part] == ["2", "5"]


def test_it_can_be_sent_to_a_worker():
    samples = pickle.loads(pickle.dumps(Lazy([3, 4], load)))
    assert [sample.points[0, 0] for sample in samples] == [3, 4]
