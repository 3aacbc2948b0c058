import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import SchemeError, ShapeError
from canthus.schemes.definition import indices, swap_sides
from canthus.schemes.scheme import SCHEMES, Scheme

ALL = pytest.mark.parametrize("scheme", [Scheme.open(name) for name in SCHEMES], ids=SCHEMES)

# Mirror pairs as published with the data sets' evaluation code, 0-based.
PUBLISHED_PAIRS = {
    "68": [(i, 16 - i) for i in range(8)]
    + [(17, 26), (18, 25), (19, 24), (20, 23), (21, 22), (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42)]
    + [(40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)],
    "98": [(i, 32 - i) for i in range(16)]
    + [(33, 46), (34, 45), (35, 44), (36, 43), (37, 42), (38, 50), (39, 49), (40, 48), (41, 47), (55, 59), (56, 58)]
    + [(60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73), (76, 82), (77, 81), (78, 80)]
    + [(83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97)],
    "29": [(0, 1), (2, 3), (4, 6), (5, 7), (8, 9), (10, 11), (12, 14), (13, 15), (16, 17), (18, 19), (22, 23)],
    "19": [(0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)],
    "5": [(0, 1), (3, 4)],
}


def test_each_file_is_a_scheme() -> None:
    stored = {item.name.removesuffix(".yaml") for item in files("canthus.schemes").joinpath("data").iterdir()}
    assert stored == set(SCHEMES)


@ALL
def test_the_name_tells_the_count_and_names_are_unique(scheme: Scheme) -> None:
    assert scheme.count == int(scheme.name.partition("_")[0])
    assert len(set(scheme.names)) == scheme.count
    assert scheme.title
    assert scheme.source


@ALL
def test_the_mirror_exchanges_left_and_right(scheme: Scheme) -> None:
    other = Scheme.open(scheme.mirror_scheme)
    assert other.mirror_scheme == scheme.name
    assert (other.mirror[scheme.mirror] == np.arange(scheme.count)).all()
    for index, partner in enumerate(scheme.mirror):
        assert other.names[partner] == swap_sides(scheme.names[index])


@pytest.mark.parametrize("name", PUBLISHED_PAIRS)
def test_the_mirror_is_the_published_one(name: str) -> None:
    scheme = Scheme.open(name)
    pairs = {pair for pair in enumerate(scheme.mirror.tolist()) if pair[0] < pair[1]}
    assert pairs == set(PUBLISHED_PAIRS[name])


@ALL
def test_groups_hold_each_point_once(scheme: Scheme) -> None:
    parts = [*scheme.contour, *(index for part in scheme.components.values() for index in part)]
    assert sorted(parts) == list(range(scheme.count))
    assert sorted(scheme.contour + scheme.groups["inner"]) == list(range(scheme.count))
    other = Scheme.open(scheme.mirror_scheme)
    for name, part in scheme.groups.items():
        assert sorted(scheme.mirror[list(part)]) == sorted(other.groups[swap_sides(name)])


@ALL
def test_groups_hold_what_their_names_say(scheme: Scheme) -> None:
    for name, part in scheme.components.items():
        for index in part:
            words = set(scheme.names[index].split("_"))
            assert words & {"brow": {"brow"}, "eye": {"eye", "pupil"}, "nose": {"nose", "nostril"}}.get(
                name.split("_")[0], {"mouth", "lip"}
            )
            assert not {"left", "right"} & set(name.split("_")) or name.split("_")[1] in words


@ALL
def test_curves_join_neighbours(scheme: Scheme) -> None:
    mirrored = {frozenset(scheme.mirror[list(edge)].tolist()) for edge in scheme.edges}
    assert mirrored == {frozenset(edge) for edge in Scheme.open(scheme.mirror_scheme).edges}
    for curve in scheme.curves:
        assert len(curve) > 1
        assert set(curve) <= set(range(scheme.count))
        assert all(a != b for a, b in pairwise(curve))
    assert len(scheme.edges) == sum(len(curve) - 1 for curve in scheme.curves)


@ALL
def test_normalisers_reach_across_the_face(scheme: Scheme) -> None:
    for left, right in scheme.normalisers.values():
        assert sorted(scheme.mirror[list(left)]) == sorted(right)
        assert not set(left) & set(right)
    outer = {name for part in scheme.normalisers.get("inter-ocular", ()) for name in (scheme.names[i] for i in part)}
    assert outer in (set(), {"eye_right_outer", "eye_left_outer"})


@pytest.mark.parametrize(
    ("name", "ocular", "pupil"),
    [("68", (36, 45), (36, 42)), ("98", (60, 72), (96, 97)), ("29", (8, 9), (16, 17)), ("81", (20, 69), (23, 68))],
)
def test_published_normalisers(name: str, ocular: tuple[int, int], pupil: tuple[int, int]) -> None:
    found = Scheme.open(name).normalisers
    assert found["inter-ocular"] == tuple((index,) for index in ocular)
    assert tuple(part[0] for part in found["inter-pupil"]) == pupil


def test_a_scheme_is_read_once_and_cannot_be_changed() -> None:
    scheme = Scheme.open("68")
    assert Scheme.open("68") is scheme
    with pytest.raises(ValueError, match="read-only"):
        scheme.mirror[0] = 3


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SchemeError, match=r"'66'.*39_left.*68"):
        Scheme.open("66")


@ALL
@given(st.integers(0, 2**16), st.sampled_from([2, 3]))
def test_mirroring_twice_changes_nothing(scheme: Scheme, seed: int, dims: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 99, (2, scheme.count, dims))
    flipped = scheme.mirrored(points, 100)
    back = Scheme.open(scheme.mirror_scheme).mirrored(flipped, 100)
    np.testing.assert_allclose(back, points)
    assert flipped[1, scheme.mirror[3]].tolist() == [99 - points[1, 3, 0], *points[1, 3, 1:]]


def test_mirroring_takes_the_points_of_the_scheme() -> None:
    with pytest.raises(ShapeError, match=r"68 points.*\(51, 2\)"):
        Scheme.open("68").mirrored(np.zeros((51, 2)), 100)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3 7 5-4", (0, 1, 2, 3, 7, 5, 4)), (36, (36,)), ("3-1 3", (3, 2, 1, 3)), ("", ())]
)
def test_indices(text: str | int, numbers: tuple[int, ...]) -> None:
    assert indices(text) == numbers


def test_swapping_sides() -> None:
    assert swap_sides("jaw_left_1 of the right") == "jaw_right_1 of the left"


@pytest.mark.data
def test_one_name_is_one_place_of_the_head(data_root: Path) -> None:
    """On the mean head of a 3D face model, whose landmark sets were made apart from ours."""
    folder = data_root / "ict_facekit"
    with np.load(folder / "ict_facekit.npz") as archive:
        head = archive["mean"]
    vertices = json.loads((folder / "landmarks.json").read_text())["sets"]
    sets = {"68": "ibug68_3d", "51": "ibug51", "84": "menpo3d84", "81": "faceplusplus81", "29": "cofw29"}
    sets |= {"39_left": "menpo39_left", "39_right": "menpo39_right"}
    places: dict[str, list[np.ndarray]] = {}
    for name, key in sets.items():
        scheme, points = Scheme.open(name), head[vertices[key]]
        mirrored = points * [-1, 1, 1]
        np.testing.assert_allclose(head[vertices[sets[scheme.mirror_scheme]]][scheme.mirror], mirrored, atol=0.02)
        assert all(
            (points[i, 0] < 0) == ("right" in text) for i, text in enumerate(scheme.names) if abs(points[i, 0]) > 0.1
        )
        for text, point in zip(scheme.names, points, strict=True):
            places.setdefault(text, []).append(point)
    assert max(np.ptp(items, axis=0).max() for items in places.values()) < 0.05  # cm


def test_the_documentation_agrees() -> None:
    def text(part: tuple[int, ...]) -> str:
        runs: list[list[int]] = []
        for index in part:
            if runs and index == runs[-1][-1] + 1:
                runs[-1][1:] = [index]
            else:
                runs.append([index])
        return " ".join("-".join(map(str, run)) for run in runs)

    page = (Path(__file__).parents[2] / "docs" / "schemes.md").read_text(encoding="utf-8")
    for name in SCHEMES:
        scheme = Scheme.open(name)
        groups = ", ".join(f"{group} {text(part)}" for group, part in scheme.groups.items() if group != "inner")
        units = ", ".join(f"{unit} {text(a)} / {text(b)}" for unit, (a, b) in scheme.normalisers.items())
        assert f"| `{name}` | {scheme.title} | {groups} | {units or 'none'} |" in page
