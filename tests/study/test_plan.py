from pathlib import Path
from typing import Any

import pytest
import yaml

from canthus.errors import RecipeError
from canthus.recipes import find, names
from canthus.study.plan import Ablation, load_ablation, trials_of

ROOT = Path(__file__).parents[2]
TREE: dict[str, Any] = {
    "name": "study",
    "recipe": {
        "sets": [{"name": "wild68"}],
        "val": [{"name": "wild68", "split": "val"}],
        "phases": [{"share": 1, "size": 64}],
        "losses": {"heat": 0.5},
        "steps": 40,
        "validate_every": 20,
    },
    "rows": [
        {"name": "base", "paper": 4},
        {"name": "+ heat (1)", "set": {"losses": {"heat": 2}, "config.size": 64}, "paper": {"box": 3.5}},
        {"name": "again", "of": "base", "depth": 1, "against": "base"},
    ],
    "measures": [
        {"name": "eyes", "set": "wild68"},
        {"name": "box", "set": "wild68", "split": "val", "normaliser": "box"},
    ],
}


def load(folder: Path, *overrides: str, **fields: Any) -> Ablation:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**TREE, **fields}))
    return load_ablation(path, overrides)


def test_rows_become_runs(tmp_path: Path) -> None:
    """Nested and dotted fields are set one by one, and a row that measures another one's run adds none."""
    study = load(tmp_path, "seeds=[3, 4]", "recipe.batch=16")
    runs = trials_of(study, tmp_path)
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs] == ["base/3", "heat_1/3", "base/4", "heat_1/4"]
    assert [run.recipe.seed for run in runs] == [3, 3, 4, 4]
    base, heat = runs[0].recipe, runs[1].recipe
    assert (base.losses.heat, heat.losses.heat, heat.losses.point, heat.config, heat.batch) == (
        0.5,
        2,
        1,
        {"size": 64},
        16,
    )
    assert [(measure.name, measure.depth) for measure in runs[0].measures] == [
        ("eyes", None), ("box", None), ("eyes", 1), ("box", 1),
    ]  # fmt: skip
    assert study.recipe["losses"] == {"heat": 0.5}


def test_only_some_rows(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert {run.row for run in trials_of(study, tmp_path, ["heat_1"])} == {"+ heat (1)"}
    assert {run.row for run in trials_of(study, tmp_path, ["again"])} == {"base"}
    with pytest.raises(RecipeError, match=r"no row is called other; there are 'base', '\+ heat \(1\)', 'again'"):
        trials_of(study, tmp_path, ["other"])


def test_what_gains_are_relative_to(tmp_path: Path) -> None:
    study = load(tmp_path)
    base, heat, again = study.rows
    assert (study.base(base), study.base(heat), study.base(again)) == (None, base, base)
    assert [study.paper_figure(base, measure) for measure in study.measures] == [4, None]
    assert [study.paper_figure(heat, measure) for measure in study.measures] == [None, 3.5]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rows.1.set.losses.hate=1", r"row '\+ heat \(1\)': the recipe has wrong fields:\n  losses\.hate: Extra"),
        ("measures.0.sett=x", r"measures\.0\.sett: Extra"),
        ("rows.2.of=nobody", r"rows\.2\.of: no other row is called 'nobody'"),
        ("rows.2.set={steps: 10}", r"rows\.2: `of` must name a row that is trained"),
        ("rows.1.name=BASE", r"rows: these names occur twice: base"),
        ("rows.1.paper={ears: 3}", r"rows\.1\.paper: no measure is called ears"),
        ("measures.0.depth=1", r"rows\.2\.depth: a measure has a depth as well"),
        ("recipe.steps=50", r"steps \(50\) must be a multiple of validate_every \(20\)"),
        ("recipe.processes=2", "an ablation takes one process for each run"),
        ("seeds=[1, 1]", "seeds: one occurs twice"),
        ("seeds=[]", "seeds: List should have at least 1 item"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, override)


PLANS = ["ablation_local_global", "ablation_cascaded_cnn", "ablation_coarse_to_fine"]


@pytest.mark.parametrize("name", [*PLANS, *(name for name in names() if name.startswith("effects_"))])
def test_the_ablations_of_canthus_hold(name: str, tmp_path: Path) -> None:
    study = load_ablation(find(name))
    assert len(study.seeds) >= 2
    assert {run.recipe.name for run in trials_of(study, tmp_path)} >= {
        f"{name}_{run.folder.parent.name}" for run in trials_of(study, tmp_path)
    }


def test_a_network_for_the_stages_before(tmp_path: Path) -> None:
    """It is trained with the same seed and is not measured; the row's own run names its checkpoint."""
    before = {"losses": {"heat": 3}}
    runs = trials_of(
        load(tmp_path, "seeds=[3]", rows=[{"name": "late", "set": {"batch": 8}, "earlier": before}]), tmp_path
    )
    first, late = runs
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs] == ["late_stages_before/3", "late/3"]
    assert (first.recipe.losses.heat, first.recipe.batch, first.recipe.earlier) == (3, 48, [])
    assert (late.recipe.losses.heat, late.recipe.batch) == (0.5, 8)
    assert late.recipe.earlier == [first.folder / "last.ckpt"] and first.recipe.seed == late.recipe.seed == 3
    assert first.measures == () and len(late.measures) == 2
    with pytest.raises(RecipeError, match="goes without `set`, `earlier` and `recipe`"):
        load(tmp_path, rows=[{"name": "a"}, {"name": "b", "of": "a", "earlier": before}])


def test_a_video_is_not_disturbed(tmp_path: Path) -> None:
    for how in ({"disturbed": True}, {"displaced": 0.1}):
        measure = {"name": "video", "set": "300vw:clips", "follow": True, **how}
        with pytest.raises(RecipeError, match="leave out `disturbed` and `displaced`"):
            load(tmp_path, measures=[measure])


def test_rows_after_other_rows(tmp_path: Path) -> None:
    """One that is trained learns from their checkpoints; one that measures another run starts from them as well."""
    rows = [
        {"name": "First one"},
        {"name": "second", "after": ["First one"], "set": {"real": 0.5}},
        {"name": "first after the default", "of": "First one", "after": ["default"]},
    ]
    study = load(tmp_path, rows=rows, seeds=[3])
    first, second = trials_of(study, tmp_path / "out")
    assert first.recipe.earlier == []
    assert second.recipe.earlier == [tmp_path / "out/first_one/3/last.ckpt"]
    assert [measure.after for measure in first.measures] == [[], [], ["default"], ["default"]]
    assert [measure.after for measure in second.measures] == [["first_one"]] * 2
    chain = [*rows[:2], {"name": "third", "after": ["second"]}]
    with pytest.raises(RecipeError, match=r"rows\.2\.after: names rows that are trained without `after`"):
        load(tmp_path, rows=chain)


def test_a_row_from_a_recipe(tmp_path: Path) -> None:
    """Common fields and those of the row lie above it."""
    rows = [{"name": "one", "recipe": "multi_view", "set": {"batch": 8}}, {"name": "two"}]
    study = load(tmp_path, rows=rows)
    one, two = (run.recipe for run in trials_of(study, tmp_path)[:2])
    assert (one.network, one.name, one.batch, one.steps, one.augment.rotation) == (
        "multi_view",
        "multi_view",
        8,
        40,
        20,
    )
    assert (two.network, two.batch, two.steps) == ("compact", 48, 40)
