import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from canthus.errors import SchemeError, ShapeError
from canthus.geometry.shape import mean_shape, size_of
from canthus.geometry.transform import apply, fit_similarity, similarity
from canthus.schemes.scheme import SCHEMES, Scheme
from canthus.schemes.transfer import LinearTransfer, convert, index_map, union_slots

PAIRS = st.tuples(st.sampled_from(SCHEMES), st.sampled_from(SCHEMES))

# WFLW -> 300-W as in use since Look at Boundary
PUBLISHED_98_TO_68 = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60), 60, 61, 63, 64, 65, 67]
PUBLISHED_98_TO_68 += [68, 69, 71, 72, 73, 75, *range(76, 96)]


@pytest.mark.parametrize("name", SCHEMES)
def test_to_itself_nothing_changes(name: str) -> None:
    points = np.random.default_rng(0).normal(size=(2, Scheme.open(name).count, 3))
    np.testing.assert_array_equal(convert(points, name, name), points)
    assert index_map(name, name).exact.all()


@given(PAIRS, st.integers(0, 2**16))
def test_converting_and_mirroring_commute(pair: tuple[str, str], seed: int) -> None:
    source, target = (Scheme.open(name) for name in pair)
    points = np.random.default_rng(seed).uniform(0, 99, (source.count, 2))
    there = target.mirrored(index_map(*pair).apply(points), 100)
    other = index_map(source.mirror_scheme, target.mirror_scheme).apply(source.mirrored(points, 100))
    np.testing.assert_allclose(there, other)


@given(PAIRS)
def test_each_point_is_exact_approximate_or_missing(pair: tuple[str, str]) -> None:
    way = index_map(*pair)
    kinds = np.stack([way.exact, way.approximate, way.missing])
    assert (kinds.sum(0) == 1).all()
    for name, part, exact, missing in zip(Scheme.open(pair[1]).names, way.parts, way.exact, way.missing, strict=True):
        assert missing == (not part)
        assert not exact or [Scheme.open(pair[0]).names[index] for index in part] == [name]


def test_published_maps() -> None:
    assert index_map("98", "68").parts == tuple((index,) for index in PUBLISHED_98_TO_68)
    assert index_map("68", "51").parts == tuple((index,) for index in range(17, 68))
    assert index_map("68", "51").exact.all()
    assert index_map("84", "68").parts[:17] == tuple((index,) for index in range(0, 33, 2))
    five = [tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,)]
    assert [tuple(sorted(part)) for part in index_map("68", "5").parts] == five
    assert index_map("68", "5").approximate.tolist() == [True, True, False, False, False]


def test_values_and_what_is_missing() -> None:
    points = np.arange(68 * 2).reshape(68, 2)
    five = convert(points, "68", "5")
    assert five.tolist() == [
        points[36:42].mean(0).tolist(),
        points[42:48].mean(0).tolist(),
        *points[[30, 48, 54]].tolist(),
    ]
    spoilt = points.astype(np.float32)
    spoilt[37] = np.nan
    five = convert(spoilt, "68", "5")
    assert five.dtype == np.float32
    assert np.isnan(five).all(1).tolist() == [True, False, False, False, False]
    ears = convert(points, "68", "21")[[12, 16]]
    assert np.isnan(ears).all()
    with pytest.raises(ShapeError, match="68 points"):
        convert(points[:51], "68", "5")
    with pytest.raises(SchemeError, match="'70'"):
        convert(points, "68", "70")


def test_the_union_of_frontal_and_profile_points() -> None:
    left, right = union_slots("39_left"), union_slots("39_right")
    assert len(set(left)) == len(set(right)) == 39
    assert right[:12] == tuple(range(12))
    assert right[22:27] == (38, 37, 36, 41, 40)
    assert [Scheme.open("68").mirror[index] for index in left] == list(right)
    inner = index_map("68", "39_left")
    for slot, part in list(zip(left, inner.parts, strict=True))[12:]:
        assert part == (slot,)  # beyond the contour the slots are the places
    assert union_slots("68") == tuple(range(68))
    with pytest.raises(SchemeError, match="union"):
        union_slots("81")


@pytest.mark.data
def test_on_a_head_near_points_are_near(data_root: Path) -> None:
    """On the mean head of a 3D face model, whose landmark sets and correspondence were made apart from ours."""
    folder = data_root / "ict_facekit"
    with np.load(folder / "ict_facekit.npz") as archive:
        head = archive["mean"]
    tables = json.loads((folder / "landmarks.json").read_text())
    sets = {"68": "ibug68_3d", "84": "menpo3d84", "81": "faceplusplus81", "29": "cofw29"}
    sets |= {"39_left": "menpo39_left", "39_right": "menpo39_right"}
    places = {name: head[tables["sets"][key]] for name, key in sets.items()}
    outer = np.linalg.norm(places["68"][36] - places["68"][45])
    for source in sets:
        for target in sets:
            way = index_map(source, target)
            far = np.linalg.norm(way.apply(places[source]) - places[target], axis=1) / outer
            assert far[way.exact].max() < 0.01
            assert not way.approximate.any() or far[way.approximate].max() < 0.07
    for side in ("left", "right"):
        assert list(union_slots(f"39_{side}")) == tables["menpo39_to_ibug68"][side]


def faces(rng: np.random.Generator, count: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Faces of six points, their four targets an affine function of them before each face is placed in its image."""
    shape = rng.normal(size=(6, 2))
    upright = shape + 0.1 * rng.normal(size=(count, 6, 2))
    goal = (upright.reshape(count, 12) @ rng.normal(size=(12, 8)) + rng.normal(size=8)).reshape(count, 4, 2)
    goal += noise * rng.normal(size=goal.shape)
    places = [
        similarity(rng.uniform(20, 60), rng.uniform(-40, 40), tuple(rng.uniform(0, 300, 2))) for _ in range(count)
    ]
    return apply(np.array(places), upright), apply(np.array(places), goal)


def test_the_fit_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    source, target = faces(rng, 60, noise=0.1)
    mean = mean_shape(source)
    frame = fit_similarity(source, np.broadcast_to(mean, source.shape))
    x, y = apply(frame, source).reshape(60, -1), apply(frame, target).reshape(60, -1)
    plain = LinearTransfer.fit(source, target)
    fitted = LinearRegression().fit(x, y)
    found = apply(frame, plain.apply(source)).reshape(60, -1)
    np.testing.assert_allclose(found, fitted.predict(x), atol=1e-6)
    far = np.linalg.norm((fitted.predict(x) - y).reshape(60, -1, 2), axis=-1)
    np.testing.assert_allclose(plain.error, np.sqrt((far**2).mean(0)), atol=1e-9)
    damped = LinearTransfer.fit(source, target, ridge=0.02)
    expected = Ridge(alpha=0.02 * 60).fit(x, y)
    np.testing.assert_allclose(damped.matrix[:-1], expected.coef_.T, atol=1e-6)
    np.testing.assert_allclose(damped.matrix[-1], expected.intercept_, atol=1e-6)


@given(st.floats(0.2, 5), st.floats(-180, 180), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_a_transfer_commutes_with_similarities(scale: float, angle: float, shift: tuple[float, float]) -> None:
    source, target = faces(np.random.default_rng(4), 40, noise=0.1)
    transfer = LinearTransfer.fit(source, target)
    move = similarity(scale, angle, shift)
    np.testing.assert_allclose(transfer.apply(apply(move, source)), apply(move, transfer.apply(source)), atol=1e-4)


def test_the_error_is_told_in_the_size_of_the_face(rng: np.random.Generator) -> None:
    shape, goal = rng.normal(size=(6, 2)), rng.normal(size=(4, 2))
    moves = np.array([similarity(40, angle, (100, 50)) for angle in rng.uniform(-40, 40, 2000)])
    noise = np.array([1.0, 2, 3, 4])[:, None] * rng.normal(size=(2000, 4, 2))  # pixels
    transfer = LinearTransfer.fit(apply(moves, shape), apply(moves, goal) + noise)
    assert transfer.error == pytest.approx(np.sqrt(2) * np.array([1, 2, 3, 4]) / (40 * size_of(shape)), rel=0.05)


def test_faces_with_missing_points(rng: np.random.Generator) -> None:
    source, target = faces(rng, 30, noise=0.1)
    transfer = LinearTransfer.fit(source[1:], target[1:])
    spoilt = source.copy()
    spoilt[0, 2] = np.nan
    again = LinearTransfer.fit(spoilt, target)
    np.testing.assert_allclose(again.matrix, transfer.matrix)
    moved = again.apply(spoilt.astype(np.float32))
    assert moved.dtype == np.float32
    assert np.isnan(moved[0]).all()
    assert np.isfinite(moved[1:]).all()


def test_what_cannot_be_fitted(rng: np.random.Generator) -> None:
    source, target = faces(rng, 5)
    with pytest.raises(ShapeError, match="fitted to"):
        LinearTransfer.fit(source, target[:4])
    with pytest.raises(ShapeError, match="no face"):
        LinearTransfer.fit(np.full_like(source, np.nan), target)
    with pytest.raises(ShapeError, match=r"\(F, 6, 2\)"):
        LinearTransfer.fit(source, target).apply(source[:, :5])


def test_the_documentation_agrees() -> None:
    page = (Path(__file__).parents[2] / "docs" / "schemes.md").read_text(encoding="utf-8")
    for source in SCHEMES:
        ways = [index_map(source, target) for target in SCHEMES]
        cells = ["" if way.target == source else f"{way.exact.sum()}+{way.approximate.sum()}" for way in ways]
        assert f"| {source} | {' | '.join(cells)} |" in page
