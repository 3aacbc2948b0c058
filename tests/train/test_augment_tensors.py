import cv2
import numpy as np
import pytest
import torch

from canthus.train import augment_tensors as tensors
from canthus.train.augment import relight
from canthus.train.recipe import Augment


class Fixed:
    """Randomness whose uniform draws are the ends of their ranges, alike for one crop and for many."""

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self, low: float, high: float, size: object = None) -> object:
        value = low + self.share * (high - low)
        return value if size is None else np.full(size, value)


def photo() -> np.ndarray:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (12, 12, 3), np.uint8)
    return cv2.resize(small, (96, 96), interpolation=cv2.INTER_CUBIC)


def batch(*crops: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()


def back(crops: torch.Tensor) -> np.ndarray:
    return crops.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_light_is_that_of_a_single_crop(share: float) -> None:
    one = relight(photo(), 0.5, Fixed(share))
    many = back(tensors.relight(batch(photo(), photo()), 0.5, Fixed(share)))
    assert np.abs(many[1] - one).max() <= 2.5  # that of one crop is rounded down twice


def test_grey_is_that_of_opencv() -> None:
    wanted = cv2.cvtColor(photo(), cv2.COLOR_RGB2GRAY)
    assert np.abs(back(tensors.grey(batch(photo()), None))[0] - wanted[..., None]).max() < 1


@pytest.mark.parametrize("small", [24, 41, 67])
def test_shrinking_is_that_of_opencv(small: int) -> None:
    little = cv2.resize(photo().astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
    wanted = cv2.resize(little, (96, 96), interpolation=cv2.INTER_LINEAR)
    lines = tensors._shrunk(96, torch.device("cpu"))[small]
    found = back(lines @ batch(photo()) @ lines.T)[0]
    assert np.abs(found - wanted).max() < 0.1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_gaussian_blur_is_that_of_opencv(share: float) -> None:
    sigma = 0.5 + share * (0.025 * 96 - 0.5)
    wanted = cv2.GaussianBlur(photo().astype(np.float32), (31, 31), sigma)
    assert np.abs(back(tensors.soften(batch(photo()), Fixed(share)))[0] - wanted).max() < 0.2


def test_motion_blur_keeps_the_mean_and_smears_along_one_line(rng: np.random.Generator) -> None:
    dot = np.zeros((96, 96, 3), np.uint8)
    dot[48, 48] = 255
    for crop in tensors.streak(batch(*[dot] * 20), rng):
        assert float(crop.sum()) == pytest.approx(3 * 255, rel=1e-4)
        ys, xs = np.nonzero(crop[0].numpy() > 1)
        spread = np.linalg.eigvalsh(np.cov(np.stack([xs, ys]), aweights=crop[0].numpy()[ys, xs]))
        assert spread[1] > 1.5 * spread[0]
        assert np.abs(np.array([xs.mean(), ys.mean()]) - 48).max() < 0.1


@pytest.mark.parametrize("quality", [8, 25, 49])
def test_compression_is_about_that_of_jpeg(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quality:
        def integers(self, low: int, high: int, count: int) -> np.ndarray:
            return np.full(count, quality)

    packed = cv2.imencode(".jpg", photo()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    wanted = cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    found = back(tensors.compress(batch(photo(), photo()), Quality()))[0]
    damage = np.abs(wanted - photo()).mean()
    assert np.abs(found - wanted).mean() < 0.25 * damage
    assert np.abs(found - photo()).mean() == pytest.approx(damage, rel=0.15)


def test_noise_has_the_drawn_strength() -> None:
    crops = torch.full((40, 3, 96, 96), 128.0)
    spread = tensors.noise(crops, np.random.default_rng(0)).flatten(1).std(1)
    assert float(spread.min()) > 1.9 and float(spread.max()) < 14.1 and float(spread.max() - spread.min()) > 4


def test_patches_cover_what_settings_allow(rng: np.random.Generator) -> None:
    crops = batch(*[photo() + np.uint8(k) for k in range(200)])
    covered = (tensors.occlude(crops, rng) != crops).any(1).flatten(1).float().mean(1)
    assert 0.02 < float(covered.mean()) < 0.12 and float(covered.max()) < 0.26


def test_without_chances_nothing_changes(rng: np.random.Generator) -> None:
    none = Augment(light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0)
    crops = batch(photo(), photo())
    assert torch.equal(tensors.vary(crops, none, rng), crops)


def test_the_same_seed_gives_the_same_crops_and_the_given_ones_stay() -> None:
    often = Augment(grey=0.5, blur=0.5, shrink=0.5, jpeg=0.5, noise=0.5, occlude=0.5)
    crops = batch(*[photo()] * 16)
    first, second = (tensors.vary(crops, often, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(crops, batch(*[photo()] * 16))
    assert (first != crops).flatten(1).any(1).all()
