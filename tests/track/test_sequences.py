"""The tracker of the package on photographed faces that leave, are hidden, cut, cross and are many."""

from pathlib import Path

import numpy as np
import pytest

from canthus.evaluate.video.identities import gaps, identities, shared, switches
from canthus.track.tracker import Tracker
from moving_faces import cutouts, plays


@pytest.mark.data
def test_identities_are_kept(data_root: Path) -> None:
    assert len({cutout.points.tobytes() for cutout in cutouts(data_root, 10)}) == 10
    tracker = Tracker.open()
    for play in plays(data_root):
        faces = list(tracker.run(play))
        numbers = identities(faces, play.boxes)
        present = np.isfinite(play.boxes[..., 0])
        assert switches(numbers) == 0 and shared(numbers) == 0, play.name
        missing = gaps(numbers, present, play.times)
        assert all(gap.kept for gap in missing), f"{play.name}: {missing}"
        assert sum(gap.seconds for gap in missing) < 1, f"{play.name}: {missing}"
        assert np.isfinite(numbers).any(0).all(), play.name
