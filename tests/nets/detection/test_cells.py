"""Which cells predict which face, and that perfect predictions cost nothing."""

import math

import pytest
import torch

from canthus.nets.detection.cells import NEAR, assign, cells
from canthus.nets.detection.detector import DetectorLosses, Found, loss_of_cells

NOTHING = [math.nan] * 4


def test_faces_go_to_the_strides_of_their_size() -> None:
    centre, stride = cells(320, 320)
    boxes = torch.tensor(
        [[[100, 100, 130, 130], [200, 200, 280, 290], NOTHING], [[10, 10, 290, 300], NOTHING, NOTHING]]
    )
    found = assign(centre, stride, boxes)
    for row, number, wanted in ((0, 0, {8.0}), (0, 1, {16.0}), (1, 0, {32.0})):
        mine = found.positive[row] & (found.face[row] == number)
        assert set(stride[mine].tolist()) == wanted
        middle = (boxes[row, number, :2] + boxes[row, number, 2:]) / 2
        assert ((centre[mine] - middle).norm(dim=1) <= NEAR * stride[mine]).all() and 3 <= mine.sum() <= 6
    assert (found.counted | ~found.positive).all()
    assert set(stride[~found.counted[0]].tolist()) == {8.0, 16.0}
    assert set(stride[~found.counted[1]].tolist()) == {32.0}
    assert found.counted[0][(centre[:, 0] < 80) & (centre[:, 1] < 80)].all()


def test_every_face_of_any_size_has_cells() -> None:
    centre, stride = cells(320, 320)
    for side in range(12, 300, 7):
        for shift in (0.0, 3.3, 9.1):
            box = torch.tensor([[[5 + shift, 7, 5 + shift + side, 7 + side * 0.9]]])
            assert assign(centre, stride, box).positive.any(), side


def test_the_nearer_face_wins() -> None:
    centre, stride = cells(64, 64)
    boxes = torch.tensor([[[10.0, 10, 34, 34], [18, 10, 42, 34]]])
    found = assign(centre, stride, boxes)
    middle = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
    distance = (centre[:, None] - middle[None]).norm(dim=-1)
    chosen = found.positive[0]
    assert torch.equal(found.face[0][chosen], distance[chosen].argmin(1))


@pytest.mark.parametrize("faces", [0, 2])
def test_perfect_predictions_cost_nothing(faces: int) -> None:
    centre, stride = cells(96, 96)
    boxes = torch.tensor([[[10.0, 12, 40, 44], [50, 40, 90, 85]]])
    if not faces:
        boxes = torch.full_like(boxes, math.nan)
    points, rolls = torch.rand(1, 2, 5, 2) * 40 + 20, torch.tensor([[30.0, -170]])
    assigned = assign(centre, stride, boxes)
    angle = torch.deg2rad(rolls[0, assigned.face[0]])
    found = Found(
        torch.where(assigned.positive, 30.0, -30.0),
        boxes[:, assigned.face[0]],
        points[:, assigned.face[0]],
        torch.stack([angle.sin(), angle.cos()], 1)[None],
    )
    batch = {"pictures": torch.zeros(1, 96, 96, 3), "boxes": boxes, "points": points, "rolls": rolls}
    for name, value in loss_of_cells(found, batch, DetectorLosses()).items():
        assert float(value) == pytest.approx(0, abs=1e-5), name
