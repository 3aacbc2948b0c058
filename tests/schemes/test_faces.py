"""Faces in another scheme, and what is told of the conversion."""

import numpy as np
import pytest

from canthus.errors import SchemeError
from canthus.schemes.faces import conversion
from canthus.schemes.transfer import index_map, union_slots
from canthus.types import Faces


def faces_of_views(rng: np.random.Generator) -> Faces:
    """A frontal face and a left profile with 84 points with depth."""
    plane = np.full((2, 68, 2), np.nan)
    plane[0] = rng.uniform(0, 90, (68, 2))
    plane[1, list(union_slots("39_left"))] = rng.uniform(0, 90, (39, 2))
    return Faces(
        rng.uniform(0, 90, (2, 84, 3)), [[0, 0, 9, 9]] * 2, scores=rng.uniform(size=(2, 84)), view=[0, 1],
        plane=plane, pose=[[1, 2, 3]] * 2, scheme="84",
    )  # fmt: skip


def test_points_and_their_values_follow_by_index(rng: np.random.Generator) -> None:
    faces = faces_of_views(rng)
    found = faces.in_scheme("68")
    assert found.scheme == "68" and found.points.shape == (2, 68, 3)
    for index, part in enumerate(index_map("84", "68").parts):
        np.testing.assert_allclose(found.points[:, index], faces.points[:, part].mean(1), rtol=1e-5)
        np.testing.assert_allclose(found.scores[:, index], faces.scores[:, part].mean(1), rtol=1e-5)
    np.testing.assert_array_equal(found.pose, faces.pose)
    np.testing.assert_array_equal(found.plane, faces.plane)
    assert faces.in_scheme("84") is faces
    assert Faces.empty("84", 84, 3).in_scheme("68").points.shape == (0, 68, 3)


def test_a_profile_keeps_the_points_that_were_found_for_it(rng: np.random.Generator) -> None:
    """The face seen from that side has all 39; the other one those that follow from its 3D points."""
    faces = faces_of_views(rng)
    found = faces.in_scheme("39_left")
    np.testing.assert_array_equal(found.points[1, :, :2], faces.plane[1, list(union_slots("39_left"))])
    assert np.isnan(found.points[0, :12]).all() and np.isfinite(found.points[0, 12:]).all()
    assert np.isnan(faces.in_scheme("39_right").points[1, :12]).all()


def test_what_is_told() -> None:
    """Counts of the index map; the error is in the table of `scripts/bench conversion`."""
    found = conversion("84", "81")
    mapping = index_map("84", "81")
    assert (found.exact, found.near, found.missing) == tuple(
        int(mask.sum()) for mask in (mapping.exact, mapping.approximate, mapping.missing)
    )
    assert found.error is not None and 0 < found.error < 5
    assert str(found).startswith(f"scheme 84 to 81: {found.exact} points are exact, {found.near} are means")
    assert f"(error: {found.error:.1f} % of the box on average)" in str(found)
    assert "12 are missing, but for faces seen from that side" in str(conversion("84", "39_left"))
    with pytest.raises(SchemeError, match="no landmark scheme 'x'"):
        conversion("84", "x")
