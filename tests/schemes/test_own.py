"""Schemes of a user's own, from files: what is read, what is refused, and that a name means one scheme."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canthus.errors import SchemeError
from canthus.schemes.definition import Definition, indices
from canthus.schemes.scheme import SCHEMES, Scheme, scheme_of
from canthus.schemes.transfer import convert

EXAMPLE = Path(__file__).parents[2] / "examples" / "corners5.yaml"
FIELDS = {
    "title": "made up",
    "names": ["eye_{right,left}", "chin_{1..2}"],
    "groups": {"contour": "2-3", "eyes": "0 1"},
    "curves": ["2 3", "0 1"],
    "normalisers": {"inter-pupil": [0, 1]},
}


def write(path: Path, **fields: object) -> str:
    path.write_text(yaml.safe_dump({name: value for name, value in (FIELDS | fields).items() if value is not None}))
    return str(path)


def test_the_example_is_a_scheme() -> None:
    scheme = Scheme.open(str(EXAMPLE))
    assert (scheme.name, scheme.count, scheme.mirror_scheme) == ("corners5", 5, "corners5")
    assert scheme.names == ("eye_right_outer", "eye_left_outer", "nose_tip", "mouth_right", "mouth_left")
    assert scheme.mirror.tolist() == [1, 0, 2, 4, 3]
    assert scheme.normalisers == {"inter-ocular": ((0,), (1,))}
    assert Scheme.open("corners5") is scheme and Scheme.open(str(EXAMPLE)) is scheme


def test_points_follow_from_other_schemes_by_their_names(rng: np.random.Generator) -> None:
    Scheme.open(str(EXAMPLE))
    points = rng.normal(size=(68, 2))
    np.testing.assert_array_equal(convert(points, "68", "corners5"), points[[36, 45, 30, 48, 54]])


def test_a_scheme_needs_no_groups_curves_or_normalisers(tmp_path: Path) -> None:
    scheme = Scheme.open(write(tmp_path / "bare.yaml", groups=None, curves=None, normalisers=None))
    assert scheme.groups == {"face": (0, 1, 2, 3), "inner": (0, 1, 2, 3)}
    assert (scheme.curves, scheme.normalisers, scheme.contour) == ((), {}, ())


def test_what_the_file_says_is_what_the_scheme_is(tmp_path: Path) -> None:
    scheme = Scheme.open(write(tmp_path / "said.yaml", points=4))
    assert scheme.names == ("eye_right", "eye_left", "chin_1", "chin_2")
    assert scheme.groups == {"contour": (2, 3), "eyes": (0, 1), "inner": (0, 1)}
    again = Definition.model_validate(scheme.definition.model_dump(mode="json"))
    assert scheme_of("said", again).same(scheme)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": 5}, "points: 4 names, not 5"),
        ({"names": ["eye_right", "eye_left", "ear_right", "chin"]}, "'ear_right' has no mirror partner 'ear_left'"),
        ({"names": ["eye_{right,left}", "chin", "chin"]}, "two points have the name 'chin'"),
        ({"names": ["eye_{right,left}", "c d", "chin"]}, "'c d': a name has at most 64 letters"),
        ({"names": ["chin_{1..999999}"]}, "1000 of them at most"),
        ({"names": []}, "names: List should have at least 1 item"),
        ({"names": None}, "names: Field required"),
        ({"groups": {"eyes": "0 1"}}, "groups: they hold each of the points 0-3 once"),
        ({"groups": {"eyes": "0 1", "contour": "1-3"}}, "each of the points 0-3 once"),
        ({"groups": {"eyes": "0 1", "contour": "2-4"}}, "each of the points 0-3 once"),
        ({"groups": {"eye_right": "0", "eyes": "1-3"}}, "the mirror image of 'eye_right' is not 'eye_left'"),
        ({"groups": {"inner": "0-3"}}, "'inner' is the name of all points that are not of the contour"),
        ({"groups": {"eyes": "0 x"}}, "indices have the form"),
        ({"groups": ["0-3"]}, "groups: Input should be a valid dictionary"),
        ({"curves": ["0"]}, "'0' does not join points of 0-3"),
        ({"curves": ["0 7"]}, "'0 7' does not join points"),
        ({"curves": ["0 0 1"]}, "does not join points"),
        ({"normalisers": {"inter-pupil": [0, 0]}}, "inter-pupil: two sets without common points"),
        ({"normalisers": {"inter-pupil": [0, 9]}}, "two sets without common points, of the points 0-3"),
        ({"normalisers": {"inter-pupil": [0]}}, "Field required|at least 2 items"),
        ({"normalisers": {"ears": [0, 1]}}, "normalisers.ears"),
        ({"mirror": "39_left"}, "a scheme of one's own is its own mirror"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "wrong.yaml", **fields)
    with pytest.raises(SchemeError, match=message) as error:
        Scheme.open(path)
    assert "wrong.yaml" in str(error.value) and "docs/schemes.md" in str(error.value)
    with pytest.raises(SchemeError, match="no landmark scheme 'wrong'"):
        Scheme.open("wrong")


@pytest.mark.parametrize("name", ["none", "7", "a b", "é", "x" * 65, ".hidden", "68"])
def test_a_name_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match=r"cannot be the name of a scheme|another scheme is called '68'"):
        Scheme.open(write(tmp_path / f"{name}.yaml"))
    assert len(Scheme.open("68").names) == 68


def test_a_name_means_one_scheme(tmp_path: Path) -> None:
    first = Scheme.open(write(tmp_path / "twice.yaml"))
    assert Scheme.open(write(tmp_path / "twice.yaml", title="another title")) is first
    with pytest.raises(SchemeError, match="another scheme is called 'twice'; give the file another name"):
        Scheme.open(write(tmp_path / "twice.yaml", names=["eye_{left,right}", "chin_{1..2}"]))
    assert Scheme.open("twice") is first


def test_a_number_is_a_name_for_so_many_points(tmp_path: Path) -> None:
    assert Scheme.open(write(tmp_path / "4.yaml")).count == 4


@pytest.mark.parametrize("name", SCHEMES)
def test_those_of_the_package_have_the_same_form(name: str) -> None:
    """All of their definitions but of half faces, whose mirror is another scheme, would be accepted from a user."""
    scheme = Scheme.open(name)
    if scheme.mirror_scheme == name:
        assert scheme_of("copy", scheme.definition).same(scheme)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match=r"none\.yaml: cannot be read"):
        Scheme.open(str(tmp_path / "none.yaml"))
    with pytest.raises(SchemeError, match=r"no landmark scheme 'mine'.*one of your own is named by its file"):
        Scheme.open("mine")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30) | st.integers().map(str) | st.from_regex(r"[0-9]{1,9}-[0-9]{1,9}", fullmatch=True))
def test_any_text_is_indices_or_an_error(text: str) -> None:
    try:
        found = indices(text)
    except SchemeError:
        return
    assert len(found) <= 2000 and all(index >= 0 for index in found)
