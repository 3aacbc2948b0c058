"""Licence and limits of a model, from its training data."""

from pathlib import Path

import pytest

from canthus.export.card import SCARCE, licence_of, limits_of
from canthus.train.recipe import Recipe
from canthus.train.run_card import RunCard

FACTS = {
    "count": 8.0,
    "yaw known": 1.0,
    "yaw over 30": 0.4,
    "yaw over 60": 0.2,
    "hidden points labelled": 0.3,
    "rotation, degrees": 45.0,
}
ROTATED = "heads rotated in the plane by more than 45 degrees need their roll"


def limits(tiny: Recipe, *facts: dict[str, float]) -> list[str]:
    return limits_of([RunCard.of(tiny, Path("none"), "68", some, None) for some in facts])


def test_limits_come_from_the_training_faces(tiny: Recipe) -> None:
    assert limits(tiny, FACTS) == [ROTATED]
    assert limits(tiny, FACTS | {"yaw over 60": 0.034}) == [
        "full profiles (yaw beyond 60 degrees) are 3.4% of the training faces",
        ROTATED,
    ]
    assert limits(tiny, FACTS | {"yaw over 60": SCARCE}) == [ROTATED]
    unknown = FACTS | {"yaw known": 0.0, "yaw over 60": 0.0, "hidden points labelled": 0.0}
    assert limits(tiny, unknown) == [
        "the head poses of the training faces are not known",
        "no hidden point is labelled in the training data",
        ROTATED,
    ]


def test_limits_of_several_runs_are_named_once(tiny: Recipe) -> None:
    assert limits(tiny, FACTS, FACTS) == [ROTATED]
    assert limits(tiny, {}) == []


def test_the_first_network_alone_limits_the_rotation(tiny: Recipe) -> None:
    """Later ones see crops that the points before have turned; one that has learnt the full circle has no limit."""
    upright, circle = (FACTS | {"rotation, degrees": angle} for angle in (0.0, 180.0))
    assert limits(tiny, FACTS, upright) == [ROTATED]
    assert limits(tiny, circle, upright) == []


@pytest.mark.parametrize(
    ("names", "use", "reason"),
    [
        (["fairface", "csv:london189"], "any use", "fairface: FairFace, CC BY 4.0"),
        (["views:made/views_wild68"], "research use only", "wild68: iBUG annotations"),
        (["csv:fairface", "csv:holiday"], "research use only", "holiday: licence not recorded"),
    ],
)
def test_the_licence_comes_from_the_data(names: list[str], use: str, reason: str) -> None:
    assert f"Weights: {use}" in licence_of(names)
    assert reason in licence_of(names)


def test_a_set_is_named_once_in_the_licence() -> None:
    assert licence_of(["wild68", "views:views_wild68", "views:occluded_wild68"]).count("wild68") == 1


def test_copies_of_views_have_the_terms_of_the_views() -> None:
    with_views = licence_of(["views:views_wild68", "views:occluded_views"])
    assert "wild68: iBUG" in with_views and "occluded_views" not in with_views
    assert "occluded_views: licence not recorded" in licence_of(["views:occluded_views"])
