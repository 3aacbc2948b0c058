import torch

from canthus.nets.detection.face_score import Deployed, FaceScore, FaceScoreConfig


def test_shapes_and_units() -> None:
    torch.manual_seed(0)
    net = FaceScore(FaceScoreConfig()).eval()
    crops = torch.randint(0, 256, (3, 48, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        scores, boxes, points = Deployed(net)(crops)
        raw = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    assert scores.shape == (3,) and boxes.shape == (3, 4) and points.shape == (3, 5, 2)
    assert torch.equal(scores, raw.score.sigmoid())
    torch.testing.assert_close((boxes - 23.5) / 48, raw.box)
    torch.testing.assert_close((points - 23.5) / 48, raw.points)
    assert ((boxes[:, 2] - boxes[:, 0]) - 40).abs().max() < 15, "it starts from the box that the crop is cut around"
