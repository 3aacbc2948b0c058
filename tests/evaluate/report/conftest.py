from collections.abc import Sequence

import numpy as np
import pytest

from canthus.evaluate.cut import natural_cuts
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.study import Entry, Study
from canthus.evaluate.result import Labels
from canthus.evaluate.score import evaluate_points
from canthus.evaluate.table import Table


@pytest.fixture
def make_study(make_faces, scheme):
    """A study of 12 faces and two rivals, with pictures, scores and visibility unless asked otherwise."""

    def make(protocol: Protocol | None = None, *, rich: bool = True, lost: Sequence[int] = ()) -> Study:
        protocol = protocol or Protocol(name="wild68-test", set="wild68", boxes="tight")
        rng = np.random.default_rng(3)
        faces = make_faces(12).astype(np.float32)
        found = (faces + rng.normal(0, 2, faces.shape)).astype(np.float32)
        found[list(lost)] = np.nan
        cuts = natural_cuts(faces, scheme) if rich else ()
        yaw = np.linspace(-80, 80, 12)
        images = tuple(f"a/<{index}>.jpg" for index in range(12)) if rich else ()
        labels = Labels(images, visible=rng.random((12, 68)) < 0.8 if rich else None, yaw=yaw, cuts=cuts)
        scores = rng.random((12, 68)) if rich else None

        def score(points):
            return evaluate_points(faces, points, protocol, labels, scores, "failure")

        others = [
            Entry("rival & co", "tight", score(found + 1)),
            Entry("rival & co", "tight", score(found + 0.5), mapped=True),
            Entry("ours", "jitter", score(found + 2), consensus=0.02),
        ]
        picture = rng.integers(0, 255, (300, 300, 3), np.uint8)
        truth = Table(faces, "68", images, yaw=yaw, picture=(lambda index: picture) if rich else None)
        entries = (Entry("ours", "tight", score(found)), *(others if rich else []))
        return Study("ours on <faces>", truth, Table(found, images=images), entries, "canthus evaluate" if rich else "")

    return make
