import numpy as np
import pytest

from canthus.errors import ShapeError
from canthus.geometry.pixels import inside
from canthus.schemes.scheme import Scheme
from canthus.synth.occlusion.occlude import KINDS, Occluded, occlude
from canthus.synth.occlusion.occluders import CUT, OCCLUDERS

SIZE = 128


def face(scheme="68", yaw=0.0, roll=0.0):
    """Points at plausible places of a face whose eyes lie 28 pixels above its mouth."""
    definition = Scheme.open(scheme)
    centres = {
        "eye_right": (-13, 0),
        "eye_left": (13, 0),
        "brow_right": (-13, -9),
        "brow_left": (13, -9),
        "nose": (0, 14),
        "mouth": (0, 28),
    }
    points = np.zeros((definition.count, 2))
    for name, members in definition.components.items():
        turn = np.linspace(0, 2 * np.pi, len(members), endpoint=False)
        points[list(members)] = np.array(centres[name]) + 4 * np.stack([np.cos(turn), np.sin(turn)], -1)
    along = np.linspace(np.pi, 0, len(definition.contour))
    points[list(definition.contour)] = np.stack([30 * np.cos(along), 4 + 42 * np.sin(along)], -1)
    points[:, 0] *= np.cos(yaw)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    return points @ turn + (64, 50)


@pytest.fixture(scope="module")
def picture():
    y, x = np.indices((SIZE, SIZE))
    check = 12 * ((x // 8 + y // 8) % 2)
    return np.stack([150 + x // 4 + check, 110 + y // 4 + check, 90 + (x + y) // 8], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def others():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, shape, np.uint8) for shape in [(90, 70, 3), (40, 160, 3)]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["68", "51", "29", "39_left"])
def test_every_kind_covers_some_of_the_picture_and_leaves_the_rest(kind, scheme, picture, others):
    points, before = face(scheme), picture.copy()
    result = occlude(picture, points, scheme, 5, others, kind)
    assert isinstance(result, Occluded) and result.kind == kind
    assert result.image.shape == picture.shape and result.image.dtype == np.uint8
    assert (picture == before).all()
    assert result.visible.shape == (len(points),) and result.visible.dtype == bool
    changed = np.abs(result.image.astype(int) - picture).max(2) > 20
    assert changed.mean() < 0.75
    if kind != "blur":
        assert changed.any()


@pytest.mark.parametrize("kind", sorted(OCCLUDERS))
def test_hidden_points_lie_under_something_and_the_unchanged_are_visible(kind, picture, others):
    points = face()
    hidden = 0
    for seed in range(6):
        result = occlude(picture, points, "68", seed, others, kind)
        column, row = points.round().astype(int).T
        change = np.abs(result.image[row, column].astype(int) - picture[row, column]).max(1)
        assert result.visible[change == 0].all()
        hidden += (~result.visible).sum()
    assert hidden > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_everything(kind, picture, others):
    first, again, other = (occlude(picture, face(), "68", seed, others, kind) for seed in (8, 8, 9))
    assert (first.image == again.image).all() and (first.visible == again.visible).all()
    assert (first.image != other.image).any()


def test_without_a_kind_all_of_them_come(picture, others):
    kinds = {occlude(picture, face(), "68", seed, others).kind for seed in range(60)}
    assert kinds == set(KINDS)
    assert kinds - {occlude(picture, face(), "68", seed).kind for seed in range(60)} == set(CUT)


def test_a_mask_hides_mouth_and_chin_but_no_eye(picture):
    groups = Scheme.open("68").groups
    for seed in range(8):
        visible = occlude(picture, face(roll=0.4), "68", seed, kind="mask").visible
        assert not visible[list(groups["mouth"])].any()
        assert not visible[[7, 8, 9]].any()
        assert visible[list(groups["eye_left"] + groups["eye_right"])].all()


def test_sunglasses_hide_the_eyes_and_spectacles_do_not(picture):
    groups = Scheme.open("68").groups
    eyes = list(groups["eye_left"] + groups["eye_right"])
    shares = [occlude(picture, face(), "68", seed, kind="glasses").visible[eyes].mean() for seed in range(12)]
    assert min(shares) == 0 and max(shares) > 0.8
    mouths = [occlude(picture, face(), "68", seed, kind="glasses").visible[48:].all() for seed in range(12)]
    assert all(mouths)


def test_blur_hides_nothing_and_shifts_nothing(picture):
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[60:69, 60:69] = 255
    for seed in range(5):
        result = occlude(image, face(), "68", seed, kind="blur")
        assert result.visible.all()
        weight = result.image[..., 0].astype(float)
        row, column = np.indices(weight.shape)
        assert abs((weight * row).sum() / weight.sum() - 64) < 0.1
        assert abs((weight * column).sum() / weight.sum() - 64) < 0.1
        assert weight[64].max() <= 255 and (weight != image[..., 0]).any()


def test_a_black_and_white_picture_stays_so(picture, others):
    grey = np.repeat(picture[..., :1], 3, 2)
    for kind in OCCLUDERS:
        result = occlude(grey, face(), "68", 2, others, kind)
        assert np.ptp(result.image, axis=2).max() == 0


def test_points_outside_the_picture_or_missing_are_not_visible(picture):
    points = face()
    points[0], points[1], points[2], points[3] = (-5, 20), np.nan, (SIZE, 20), (SIZE - 0.6, 0)
    visible = occlude(picture, points, "68", 1, kind="blur").visible
    assert visible[:4].tolist() == [False, False, False, True]
    assert (visible == inside(points, picture.shape[:2])).all()


def test_a_profile_and_a_third_coordinate_are_taken(picture, others):
    points = np.column_stack([face("39_left", yaw=1.4), np.zeros(39)])
    for kind in KINDS:
        assert len(occlude(picture, points, "39_left", 4, others, kind).visible) == 39


def test_bad_input_is_refused(picture, others):
    with pytest.raises(ShapeError, match=r"68 is \(68, 2\)"):
        occlude(picture, face("51"), "68", 0)
    with pytest.raises(ShapeError, match="no occluder 'fog'"):
        occlude(picture, face(), "68", 0, kind="fog")
    with pytest.raises(ShapeError, match="give `others`"):
        occlude(picture, face(), "68", 0, kind="patch")
    points = face()
    points[48:] = np.nan
    with pytest.raises(ShapeError, match="eyes and mouth"):
        occlude(picture, points, "68", 0, others)
    with pytest.raises(ShapeError, match="pixels apart"):
        occlude(picture, np.full((68, 2), 9.0), "68", 0, others)


@pytest.mark.parametrize("kind", KINDS)
def test_opacity_tells_where_the_picture_changed_and_what_is_hidden(kind, picture, others):
    points = face()
    opaque = 0
    for seed in range(4):
        result = occlude(picture, points, "68", seed, others, kind)
        assert result.alpha.shape == picture.shape[:2] and 0 <= result.alpha.min() <= result.alpha.max() <= 1
        assert (result.hides(points) == ~result.visible)[inside(points, picture.shape[:2])].all()
        covered = result.alpha > 0.99
        assert not covered.any() or (result.image[covered] != picture[covered]).any(1).mean() > 0.9
        opaque += (result.alpha > 0.5).sum()
    assert (opaque > 0) == (kind != "blur")
