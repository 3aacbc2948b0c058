from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.face3d.fit import Fit
from canthus.face3d.labels import points_of
from canthus.geometry.pose import WeakPerspective, rotation
from canthus.synth.video.render import (
    CENTRE,
    HeadState,
    Light,
    backdrop,
    framing,
    light_from,
    portrait,
    random_light,
    render,
    square,
)
from canthus.synth.video.skin import random_person

SIZE = 96
GREY = np.full((SIZE, SIZE, 3), 90, np.uint8)


def view_of(model, pose=(0.0, 0.0, 0.0), scale=3.5, gaze=(0.0, 0.0), expression=None):
    weights = np.zeros(len(model.expression)) if expression is None else np.asarray(expression, float)
    pose = np.asarray(pose, float)
    return HeadState(weights, pose, scale, framing(pose, scale, np.full(2, SIZE / 2)), np.asarray(gaze, float))


def test_points_are_those_that_labels_tells_of_the_same_head(toy, rng):
    person = random_person(toy.model, rng)
    view = view_of(toy.model, (40, -10, 15), expression=[0.5, 0.2, 0.9, 0])
    drawn = render(toy.model, person, view, random_light(rng), GREY)
    camera = WeakPerspective(np.array([view.scale]), rotation(view.pose)[None], view.shift[None], np.zeros(1))
    nothing = np.zeros((1, 68))
    fit = Fit(
        "68", camera, person.identity[None], view.expression[None], np.zeros((1, 68, 3)), nothing, nothing[:, 0], ("",)
    )
    for scheme in ("68", "51", "29"):
        assert drawn.points[scheme] == pytest.approx(points_of(toy.model, fit, scheme)[0], abs=1e-3)
        assert drawn.labels[scheme] == pytest.approx(points_of(toy.model, fit, scheme, outline=True)[0], abs=1e-3)
    assert np.abs(drawn.labels["68"] - drawn.points["68"]).max() > 1  # a turned jaw slides
    assert drawn.pose == pytest.approx([40, -10, 15])


def test_the_far_side_is_hidden_and_so_is_what_lies_outside(toy, rng):
    person = random_person(toy.model, rng)
    turned = render(toy.model, person, view_of(toy.model, (85, 0, 0)), random_light(rng), GREY)
    right, left = turned.visible["68"][36:42], turned.visible["68"][42:48]
    assert right.all() and not left.any()  # the head turned to its left: its right side is seen
    front = view_of(toy.model)
    assert render(toy.model, person, front, random_light(rng), GREY).visible["68"][17:].all()
    moved = replace(front, shift=front.shift + np.array([SIZE / 2, 0]))
    outside = render(toy.model, person, moved, random_light(rng), GREY)
    assert np.array_equal(outside.visible["51"], (outside.points["51"][:, 0] < SIZE - 0.5))
    assert not outside.visible["51"].all()


def test_the_surface_is_matt(toy, rng):
    """The toy is an ellipsoid but for its nose: its normals are known."""
    model = toy.model
    plain = random_person(model, rng)
    paint = np.zeros_like(plain.paint)
    albedo = np.full_like(plain.albedo, 0.5)
    person = replace(plain, neutral=model.mean, albedo=albedo, paint=paint, gloss=0.0)
    direction = np.array([0.6, -0.3, -0.7])
    direction /= np.linalg.norm(direction)
    light = Light(direction, np.array([1.2, 1.0, 0.8]), np.zeros(3))
    view = view_of(model, scale=4.0)
    image = render(model, person, view, light, GREY).image
    for x, y in ((-3, -4), (4, -4), (4, 3), (5, 0), (0, -5), (-5, 4)):
        z = -9 * np.sqrt(1 - (x / 7.5) ** 2 - (y / 10) ** 2)
        normal = np.array([x / 7.5**2, y / 10**2, z / 9**2])
        shade = max(normal @ direction / np.linalg.norm(normal), 0)
        expected = 255 * (0.5 * light.colour * shade).clip(0, 1) ** (1 / 2.2)
        column, row = (view.scale * np.array([x, y]) + view.shift).round().astype(int)
        assert image[row, column] == pytest.approx(expected, abs=6)


def test_highlights_and_ambient_light_add(toy, rng):
    person = replace(random_person(toy.model, rng), gloss=0.0)
    light = light_from(20, 20, 0.6, 0.1, 0)
    dull = render(toy.model, person, view_of(toy.model), light, GREY).image.astype(int)
    shiny = render(toy.model, replace(person, gloss=0.3), view_of(toy.model), light, GREY).image.astype(int)
    fuller = render(toy.model, person, view_of(toy.model), replace(light, ambient=light.ambient + 0.3), GREY).image
    assert (shiny >= dull).all() and (shiny > dull + 20).any()
    inside = np.zeros((SIZE, SIZE), bool)
    inside[40:56, 40:56] = True
    assert (fuller.astype(int)[inside] > dull[inside]).any(-1).all()


def test_the_background_stays_where_there_is_no_head(toy):
    behind = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    view = HeadState(np.zeros(4), np.zeros(3), 1.0, np.array([32.0, 32.0]), np.zeros(2))
    kept = behind.copy()
    image = render(
        toy.model, random_person(toy.model, np.random.default_rng(2)), view, light_from(0, 0, 1, 0.2, 0), behind
    )
    assert np.array_equal(behind, kept)
    changed = (image.image != behind).any(-1)
    assert changed[32, 32] and not changed[:10].any() and not changed[:, :10].any()


def test_a_seed_tells_the_portrait(toy):
    one, same, other = (portrait(toy.model, seed, 64) for seed in (5, 5, 6))
    assert np.array_equal(one.image, same.image) and np.array_equal(one.points["68"], same.points["68"])
    assert not np.array_equal(one.image, other.image)
    photograph = np.zeros((50, 80, 3), np.uint8)
    photograph[:, 40:] = 200
    before = portrait(toy.model, 5, 64, photograph)
    assert np.array_equal(before.points["68"], one.points["68"])
    assert (before.image == 0).all(-1).any() and (before.image == 200).all(-1).any()


@given(
    st.lists(st.floats(-80, 80), min_size=3, max_size=3),
    st.floats(0.5, 30),
    st.lists(st.floats(-50, 300), min_size=2, max_size=2),
)
def test_framing_puts_the_middle_of_the_head_there(pose, scale, centre):
    shift = framing(np.array(pose), scale, np.array(centre))
    assert scale * (rotation(np.array(pose)) @ CENTRE)[:2] + shift == pytest.approx(centre, abs=1e-6)


def test_lights_point_where_they_say():
    assert light_from(0, 0, 1, 0.5, 0).direction == pytest.approx([0, 0, -1])
    assert light_from(90, 0, 1, 0.5, 0).direction == pytest.approx([1, 0, 0], abs=1e-9)
    assert light_from(0, 90, 1, 0.5, 0).direction == pytest.approx([0, -1, 0], abs=1e-9)
    warm = light_from(0, 0, 1, 0.5, 1).colour
    assert warm[0] > warm[1] > warm[2]


def test_backgrounds_have_the_size_asked_for(rng):
    noise = backdrop(37, rng)
    assert noise.shape == (37, 37, 3) and noise.dtype == np.uint8
    assert np.abs(np.diff(noise.astype(int), axis=0)).max() < 40  # smooth
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert (square(wide, 8) == 255).all()


def test_what_does_not_fit_is_refused(toy, rng):
    person, light = random_person(toy.model, rng), random_light(rng)
    with pytest.raises(ShapeError, match="4 expressions"):
        render(toy.model, person, view_of(toy.model, expression=[0, 0, 0]), light, GREY)
    with pytest.raises(ShapeError, match="uint8"):
        render(toy.model, person, view_of(toy.model), light, GREY.astype(float))


@pytest.mark.data
def test_pupils_are_drawn_where_their_points_are(face_model):
    person = replace(random_person(face_model, np.random.default_rng(1)), iris=np.array([0.3, 0.3, 0.3]), gloss=0.0)
    behind = np.full((256, 256, 3), 120, np.uint8)
    light = light_from(0, 20, 0.7, 0.5, 0)
    wide = np.array([name.startswith("eyeWide") for name in face_model.expression_names], float)
    shift = framing(np.zeros(3), 14.0, np.full(2, 128.0))
    places = {}
    for gaze in ((0.0, 0.0), (14.0, 0.0), (-14.0, 0.0)):
        drawn = render(face_model, person, HeadState(wide, np.zeros(3), 14.0, shift, np.array(gaze)), light, behind)
        eyes = drawn.points["81"][[23, 68]]
        places[gaze] = eyes
        assert drawn.visible["81"][[23, 68]].all()
        for x, y in eyes[:, :2].round().astype(int):
            patch = drawn.image[y - 6 : y + 7, x - 9 : x + 10].astype(float).mean(-1)
            assert patch[5:8, 8:11].mean() < 0.6 * patch.mean()
    assert (places[14.0, 0.0][:, 0] - places[0.0, 0.0][:, 0] > 4).all()
    assert (places[-14.0, 0.0][:, 0] - places[0.0, 0.0][:, 0] < -4).all()
