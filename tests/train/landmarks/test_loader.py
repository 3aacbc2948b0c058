import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, aligned_to
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import DataError, RecipeError
from canthus.geometry.crop import Crop, box_frames, box_of, unit_mean
from canthus.geometry.transform import apply
from canthus.nets.network import Several
from canthus.nets.systems import network_of
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import union_slots
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import (
    Pool,
    frames_of,
    labels_in,
    load_pool,
    shape_distance,
)
from canthus.train.recipe import Recipe, check_recipe


def stream(pool: Pool, recipe: Recipe, rank: int = 0, first: int = 0) -> Stream:
    """Crops around the boxes of the labels."""
    return Stream(pool, recipe, box_frames(box_of(pool.points))[:, None], 1.3, process=rank, first=first)


def test_a_batch_depends_on_seed_step_and_process_alone(drawn: Path, tiny: Recipe) -> None:
    pool = load_pool(tiny, drawn, 1.3)
    whole = list(stream(pool, tiny))
    later = list(stream(pool, tiny, first=28))
    assert len(whole) == 30
    assert all(torch.equal(whole[28][key], later[0][key]) for key in ("crops", "points", "trust"))
    other = stream(pool, tiny, rank=1).batch(28)
    assert not torch.equal(other["crops"], later[0]["crops"])


def test_samples_do_not_depend_on_the_number_of_processes_that_share_them(drawn: Path, tiny: Recipe) -> None:
    """Of four streams; with as many streams as processes, each process has its own, as ever."""
    pool = load_pool(tiny, drawn, 1.3)
    whole = stream(pool, tiny.model_copy(update={"streams": 4})).batch(5)
    for processes, nodes in ((2, 1), (1, 2), (4, 1), (2, 2)):
        shared = {"streams": 4, "batch": 8 // (processes * nodes), "processes": processes, "nodes": nodes}
        recipe = check_recipe(tiny.model_dump(mode="json") | shared, "shared")
        parts = [stream(pool, recipe, rank).batch(5) for rank in range(processes * nodes)]
        assert all(torch.equal(torch.cat([part[key] for part in parts]), whole[key]) for key in ("crops", "points"))
    two = tiny.model_copy(update={"processes": 2})
    assert [list(stream(pool, two, rank).streams) for rank in (0, 1)] == [[0], [1]]
    for wrong in ({"streams": 3}, {"streams": 2, "processes": 4}, {"streams": 16}):
        with pytest.raises(RecipeError, match=r"streams: \d+ streams of \d+ samples in all cannot be shared evenly by"):
            check_recipe(tiny.model_dump(mode="json") | wrong, "wrong")


def test_shapes_and_where_points_lie(drawn: Path, tiny: Recipe) -> None:
    batch = stream(load_pool(tiny, drawn, 1.3), tiny).batch(0)
    assert batch["crops"].shape == (8, 32, 32, 3)
    assert batch["crops"].dtype == torch.uint8
    assert batch["points"].shape == (8, 68, 2)
    assert ((batch["points"] > 0) & (batch["points"] < 31)).float().mean() > 0.95
    for name in ("pose", "depth", "visible"):
        assert batch[name].isnan().all()
    assert batch["view"].tolist() == [0] * 8
    assert batch["given"].shape == (8, 0, 2)


def test_a_mirrored_sample_is_the_mirror_image(drawn: Path, tiny: Recipe) -> None:
    still = {"scale": 1, "shift": 0, "stretch": 1}
    settings = tiny.augment.model_copy(update=still)
    plain, flipped = (tiny.model_copy(update={"augment": settings.model_copy(update={"flip": f})}) for f in (0, 1))
    pool = load_pool(tiny, drawn, 1.3)
    a, b = (stream(pool, recipe).batch(3) for recipe in (plain, flipped))
    assert torch.equal(a["crops"].flip(2), b["crops"])
    mirrored = Scheme.open("68").mirrored(a["points"].numpy(), 32)
    np.testing.assert_allclose(b["points"].numpy(), mirrored, atol=1e-4)


def test_large_pictures_are_reduced_with_their_points(drawn: Path, tiny: Recipe) -> None:
    """As fine as the largest crop asks for, unless the recipe says otherwise; a point stays on its dot."""
    samples = list(open_set("wild68", drawn, "train"))
    whole = load_pool(tiny.model_copy(update={"memory": 10_000}), drawn, 1.3)
    small = load_pool(tiny, drawn, 1.3)
    assert tiny.memory_for(1.3) == 48
    assert tiny.model_copy(update={"phases": [tiny.phases[0].model_copy(update={"size": 256})]}).memory_for(1.3) == 304
    sides = [(box_of(pool.points)[:, 2:] - box_of(pool.points)[:, :2]).max(1) for pool in (whole, small)]
    np.testing.assert_allclose(sides[0], [np.ptp(sample.points, axis=0).max() for sample in samples], rtol=1e-5)
    np.testing.assert_allclose(sides[1], 48, atol=1)
    assert small.chance.sum() == pytest.approx(1)
    for sample, image, points in zip(samples, small.images, small.points, strict=True):
        factor = image.shape[1] / sample.picture().shape[1]
        np.testing.assert_allclose(points, (sample.points + 0.5) * factor - 0.5, atol=0.2)
        x, y = points[67].round().astype(int)  # drawn last, so that nothing covers it
        assert image[y, x].astype(int).max() > 100


def test_rare_shapes_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 20, (68, 2))
    points = (mean + rng.normal(0, 0.5, (50, 68, 2))).astype(np.float32)
    points[7, 48:] += 15
    distance = shape_distance(points)
    assert distance.argmax() == 7
    assert distance[7] == 3
    turned = points @ np.array([[0.6, 0.8], [-0.8, 0.6]], np.float32) * 2 + 30
    np.testing.assert_allclose(shape_distance(turned), distance, rtol=1e-3)


def test_unknown_points_do_not_count(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """A face of which a point, or all but a few, is not known leaves the other faces as they were."""
    whole = load_pool(tiny.model_copy(update={"emphasis": 1.0}), drawn, 1.3)
    shutil.copytree(drawn / "wild68", tmp_path / "wild68")
    table = tmp_path / "wild68" / "train.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    lines[3][2 + 2 * 30 : 4 + 2 * 30] = ["", ""]
    lines[5][2 + 2 * 20 :] = [""] * (2 * 48)
    table.write_text("\n".join(",".join(line) for line in lines) + "\n")
    recipe = tiny.model_copy(update={"emphasis": 1.0, "augment": tiny.augment.model_copy(update={"flip": 1})})
    pool = load_pool(recipe, tmp_path, 1.3)
    assert np.isfinite(pool.chance).all()
    assert pool.chance.sum() == pytest.approx(1)
    np.testing.assert_allclose(pool.chance[[0, 1, 3, 5]], whole.chance[[0, 1, 3, 5]], rtol=0.5)
    assert np.isnan(pool.points).any(-1).sum(1).tolist() == [0, 0, 1, 0, 48, 0, 0, 0]
    rows = [stream(pool, recipe).batch(step) for step in range(4)]
    unknown = torch.cat([row["points"] for row in rows]).isnan()
    assert torch.equal(unknown[..., 0], unknown[..., 1])
    assert set(unknown[..., 0].sum(1).tolist()) == {0, 1, 48}


def test_a_face_box_of_its_own_cuts_the_crops(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a set whose known points do not span the face; a point stays on its dot in the reduced picture."""
    whole = load_pool(tiny, drawn, 1.3)
    frames = frames_of(whole, stage_aligned_to(None), whole.given)

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        samples = []
        for sample in open_set(name, root, split):
            points = sample.points.copy()
            points[:17] = np.nan
            samples.append(replace(sample, points=points, box=box_of(sample.points)))
        return samples

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    pool = load_pool(tiny, drawn, 1.3)
    np.testing.assert_allclose(frames_of(pool, stage_aligned_to(None), pool.given), frames, rtol=1e-5)
    np.testing.assert_allclose(pool.points[:, 17:], whole.points[:, 17:], atol=1e-4)


def test_pictures_without_landmarks_teach_none(tmp_path: Path, tiny: Recipe) -> None:
    (tmp_path / "backdrops/images").mkdir(parents=True)
    (tmp_path / "backdrops/images/a.png").write_bytes(b"")
    (tmp_path / "backdrops/train.csv").write_text("image\na.png\n")
    recipe = tiny.model_copy(update={"sets": [tiny.sets[0].model_copy(update={"name": "backdrops"})]})
    with pytest.raises(DataError, match="backdrops: its pictures have no landmarks to learn from; name a `teacher`"):
        load_pool(recipe, tmp_path, 1.3)


def test_depth_and_visibility_go_with_their_points(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth is scaled as the crop is; both change sides in the mirror image."""
    depth, visible = np.arange(68, dtype=np.float32), np.arange(68) % 3 > 0

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        return [
            replace(sample, points=np.column_stack([sample.points, depth]), visible=visible)
            for sample in open_set(name, root, split)
        ]

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    still = tiny.augment.model_copy(update={"scale": 1.0, "shift": 0.0, "stretch": 1.0, "flip": 0.0})
    plain = tiny.model_copy(update={"augment": still})
    flipped = plain.model_copy(update={"augment": still.model_copy(update={"flip": 1.0})})
    pool = load_pool(plain, drawn, 1.3)
    a, b = (stream(pool, recipe).batch(0) for recipe in (plain, flipped))
    sides = np.array([np.ptp(sample.points, axis=0).max() for sample in open_set("wild68", drawn, "train")])
    factors = a["depth"][:, 1].numpy()  # of the point whose depth is 1: crop pixels per pixel of the file
    np.testing.assert_allclose(a["depth"].numpy(), depth * factors[:, None], rtol=1e-4)
    assert all(np.isclose(32 / 1.3 / sides, factor, rtol=1e-3).any() for factor in factors)
    assert a["visible"][0].tolist() == visible.astype(float).tolist()
    mirror = Scheme.open("68").mirror
    np.testing.assert_allclose(b["depth"], a["depth"].numpy()[:, mirror], rtol=1e-5)
    assert np.array_equal(b["visible"].numpy(), a["visible"].numpy()[:, mirror])


def test_sets_of_several_schemes(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels come in the scheme of the recipe; what the other scheme lacks is not known."""
    inner = Scheme.open("68").groups["inner"]

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        samples = list(open_set(name, root, split))
        return [replace(s, points=s.points[list(inner)], scheme="51") if i % 2 else s for i, s in enumerate(samples)]

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    with pytest.raises(DataError, match="have the schemes 51, 68; set `scheme`"):
        load_pool(tiny, drawn, 1.3)
    pool = load_pool(tiny.model_copy(update={"scheme": "68"}), drawn, 1.3)
    assert pool.scheme == "68" and pool.view.tolist() == [0] * 8
    assert np.isfinite(pool.points).all(-1).sum(1).tolist() == [68, 51] * 4
    batch = stream(pool, tiny).batch(0)
    known = batch["points"].isfinite().all(-1).sum(1)
    assert set(known.tolist()) == {51, 68}


def test_profile_points_take_the_slots_of_the_union() -> None:
    """multi_view, figure 3: the 39 points of a side lie among the 68."""
    points = np.random.default_rng(0).uniform(0, 90, (39, 2)).astype(np.float32)
    slots = labels_in(Sample(Path("a.png"), points, "39_left", "someone"), "68", union=True)
    assert np.isfinite(slots[:, 0]).sum() == 39
    np.testing.assert_array_equal(slots[list(union_slots("39_left")), :2], points)
    assert np.isnan(slots[:, 2]).all()


def stage_aligned_to(mean: np.ndarray | None) -> Stage:
    def never(*_: object) -> Estimate:
        raise AssertionError("a stage is not run to cut its crops")

    return Stage("any", Crop(32, 1.3), never, aligned_to(mean))


def test_crops_by_the_mean_shape(drawn: Path, tiny: Recipe) -> None:
    """Turned faces stand upright in their crops, as far as the mean shape does."""
    pool = load_pool(tiny, drawn, 1.3)
    mean = unit_mean(pool.points)
    frames = frames_of(pool, stage_aligned_to(mean), pool.given)
    standing = apply(frames[:, 0], pool.points)
    assert np.abs(standing - mean).max() < 0.02


def test_crops_by_other_points_than_the_labels(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first frame of a video: from 2D points to 3D ones (local_global, section 3.4)."""
    share = tiny.sets[0].model_copy(update={"given": {"labels": "outline"}})
    recipe = tiny.model_copy(update={"sets": [share], "memory": 10_000})

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        samples = list(open_set(name, root, split))
        if options.get("labels") != "outline":
            return samples
        return [replace(sample, points=sample.points + np.float32([7, -3])) for sample in samples[1:]]

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    pool = load_pool(recipe, drawn, 1.3)
    mean = unit_mean(pool.points)
    frames = frames_of(pool, stage_aligned_to(mean), pool.given)[:, 0]
    factor = np.linalg.norm(frames[:, 0, :2], axis=1)
    moved = (apply(frames, pool.points) - mean).mean(1) / factor[:, None]
    np.testing.assert_allclose(moved[0], [0, 0], atol=0.2)  # no such points: its labels
    np.testing.assert_allclose(moved[1:], np.tile([-7, 3], (7, 1)), atol=0.2)


def test_crops_by_what_earlier_stages_find(drawn: Path, tiny: Recipe) -> None:
    """With real = 1 all crops are cut by it, with real = .25 about a quarter (coarse_to_fine, figure 5)."""
    pool = load_pool(tiny, drawn, 1.3)
    boxes = box_of(pool.points)
    labels, real = (box_frames(boxes + np.float32([x, 0, x, 0]))[:, None] for x in (0, 8))
    still = tiny.augment.model_copy(update={"scale": 1.0, "shift": 0.0, "stretch": 1.0})
    shares = []
    for share in (0.0, 0.25, 1.0):
        recipe = tiny.model_copy(update={"real": share, "augment": still, "batch": 400})
        batch = Stream(pool, recipe, labels, 1.3, real=real).batch(0)
        middle = (batch["points"].amax(1) + batch["points"].amin(1)) / 2
        shares.append(float((middle[:, 0] < 14).float().mean()))
    assert shares[0] == 0 and shares[2] == 1
    assert shares[1] == pytest.approx(0.25, abs=0.07)


def several(monkeypatch: pytest.MonkeyPatch, partners: list[int], together: int) -> None:
    """Let the network of the recipe `tiny` see several crops of a face."""
    network = replace(network_of("compact"), several=lambda scheme: Several(np.array(partners), together))
    monkeypatch.setattr("canthus.train.landmarks.loader.network_of", lambda *names: network)


def test_several_crops_a_face(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has as many crops of each unit, in turn."""
    several(monkeypatch, [0, 1], 1)
    pool = load_pool(tiny, drawn, 1.3)
    frames = np.stack([box_frames(box_of(pool.points)), box_frames(box_of(pool.points[:, 36:48]))], 1)
    batch = Stream(pool, tiny.model_copy(update={"batch": 32}), frames, 1.3).batch(0)
    assert len(batch["crops"]) == 64
    width = (batch["points"].amax(1) - batch["points"].amin(1)).amax(1)
    sides = [(box_of(some)[:, 2:] - box_of(some)[:, :2]).max() for some in (pool.points, pool.points[:, 36:48])]
    assert float(width[1::2].mean() / width[::2].mean()) == pytest.approx(float(sides[0] / sides[1]), rel=0.15)


def test_a_mirrored_crop_is_cut_at_the_other_side(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crop of the right eye shows the right eye, also of mirrored faces."""
    several(monkeypatch, [1, 0], 1)
    pool = load_pool(tiny, drawn, 1.3)
    eyes = [list(range(36, 42)), list(range(42, 48))]
    frames = np.stack([box_frames(box_of(pool.points[:, eye])) for eye in eyes], 1)
    augment = tiny.augment.model_copy(update={"flip": 0.5, "scale": 1.0, "shift": 0.0, "stretch": 1.0})
    batch = Stream(pool, tiny.model_copy(update={"batch": 32, "augment": augment}), frames, 1.3).batch(0)
    middles = batch["points"].reshape(32, 2, 68, 2)
    for unit, eye in enumerate(eyes):
        found = middles[:, unit, eye]
        centre = (found.amax(1) + found.amin(1)) / 2
        torch.testing.assert_close(centre, torch.full_like(centre, 15.5), atol=0.01, rtol=0)


def test_crops_of_a_unit_share_face_and_jitter(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three concentric crops, each twice as wide: a point is half as far from the centre of the next one."""
    several(monkeypatch, [0], 3)
    pool = load_pool(tiny, drawn, 1.3)
    frames = box_frames(box_of(pool.points))[:, None] / np.array([1, 2, 4])[:, None, None]
    augment = tiny.augment.model_copy(update={"flip": 0.5, "rotation": 20.0, "shift": 0.05})
    batch = Stream(pool, tiny.model_copy(update={"augment": augment}), frames, 1.3).batch(0)
    away = batch["points"].reshape(8, 3, 68, 2) - 15.5
    assert away[:, 0].std(0).mean() > 0.5, "the faces are jittered"
    for place, factor in ((1, 2), (2, 4)):
        torch.testing.assert_close(away[:, 0], factor * away[:, place], atol=0.01, rtol=0)


def test_crops_by_found_points_have_an_augmentation_of_their_own(drawn: Path, tiny: Recipe) -> None:
    """coarse_to_fine, figure 5, second form: only the true crops are varied."""
    pool = load_pool(tiny, drawn, 1.3)
    frames = box_frames(box_of(pool.points))[:, None]
    still = tiny.augment.model_copy(update={"scale": 1.0, "shift": 0.0, "stretch": 1.0})
    varied = tiny.augment.model_copy(update={"shift": 0.2, "stretch": 1.0})
    fields = {"real": 0.5, "augment": varied, "real_augment": still, "batch": 200}
    batch = Stream(pool, tiny.model_copy(update=fields), frames, 1.3, real=frames).batch(0)
    middle = (batch["points"].amax(1) + batch["points"].amin(1)) / 2 - 15.5
    assert float((middle.abs().amax(1) < 0.01).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_the_turn_of_a_face_follows_its_crop(drawn: Path, tiny: Recipe) -> None:
    """Drawn faces are upright, so that the turn is the angle of augmentation; a mirrored crop turns the other way."""
    pool = load_pool(tiny, drawn, 1.3)
    augment = tiny.augment.model_copy(
        update={"rotation": 180.0, "rotation_law": "uniform", "flip": 0.5, "stretch": 1.0}
    )
    batch = stream(pool, tiny.model_copy(update={"augment": augment, "batch": 64})).batch(0)
    eyes = batch["points"][:, 36] - batch["points"][:, 45]
    measured = torch.rad2deg(torch.atan2(eyes[:, 1], eyes[:, 0]))
    apart = (batch["turn"] - measured + 180) % 360 - 180
    assert apart.abs().max() < 1
    assert batch["turn"].abs().max() > 100
