import numpy as np
import pytest

from canthus.synth.video.skin import CORNER, TEXELS, random_person, waves


def test_a_person_is_one_of_the_model_in_colour(toy):
    person = random_person(toy.model, np.random.default_rng(1))
    expected = toy.model.vertices(person.identity[None], np.zeros((1, len(toy.model.expression))))[0]
    assert person.neutral == pytest.approx(expected)
    assert person.albedo.shape == toy.model.mean.shape
    assert person.albedo.min() > 0 and person.albedo.max() < 1
    assert np.ptp(person.albedo, axis=0).min() > 0.01  # mottled
    assert person.paint[..., 3].min() >= 0 and person.paint[..., 3].max() <= 1


def test_the_same_numbers_make_the_same_person(toy):
    one, same, other = (random_person(toy.model, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("identity", "neutral", "albedo", "paint", "iris"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("seed", range(6))
def test_lips_are_redder_than_the_skin_and_brows_darker(toy, seed):
    person = random_person(toy.model, np.random.default_rng(seed))
    places = toy.model.mean[toy.model.landmarks.points["68"]][:, :2]
    column, row = ((places - CORNER) * TEXELS).round().astype(int).T
    paint = person.paint[row, column]
    tone = person.paint[0, 0, :3]  # beside the face nothing is painted
    assert person.paint[0, 0, 3] == 0
    lower_lip = paint[57]
    assert lower_lip[3] > 0.3
    assert lower_lip[0] / lower_lip[1] > tone[0] / tone[1]
    x, y = (places[[19, 24]].mean(0) - CORNER) * TEXELS
    between = person.paint[round(y), round(x)]
    middle = person.paint[row[19] - 4 : row[19] + 8, column[19] - 8 : column[19] + 8]
    assert middle[..., 3].mean() > between[3]
    assert middle[middle[..., 3] > 0.3][:, :3].mean() < tone.mean()


def test_noise_is_smooth_and_of_deviation_one(rng):
    places = rng.uniform(-50, 50, (4000, 3))
    noise = waves(places, np.random.default_rng(3), 10.0)
    assert noise.std() == pytest.approx(1, abs=0.1)
    near = waves(places + 0.01, np.random.default_rng(3), 10.0)
    assert np.abs(near - noise).max() < 0.2
