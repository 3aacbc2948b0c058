import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from canthus.errors import DataError, InputError, OutputError, RecipeError
from canthus.geometry.crop import box_frames, box_of
from canthus.train.checkpoint import load_start, weights_of
from canthus.train.fit import fit
from canthus.train.landmarks.job import build
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import load_pool
from canthus.train.landmarks.system import load_trained
from canthus.train.recipe import Recipe, Start


@pytest.fixture(scope="module")
def run(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    fit(tiny, drawn, out)
    return out


def test_a_run_leaves_all_that_is_needed_to_repeat_it(run: Path, tiny: Recipe) -> None:
    card = json.loads((run / "card.json").read_text())
    assert card["recipe"] == tiny.model_dump(mode="json")
    assert card["data"]["wild68 train"]
    assert card["packages"]["torch"] == torch.__version__
    assert 0 < card["sessions"][0]["last"]["val/wild68"] < 1000
    assert {"best.ckpt", "last.ckpt"} <= {file.name for file in run.iterdir()}


def test_a_run_that_is_killed_has_a_card(run: Path, drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """It is written at the start, so that its checkpoints can be used whatever becomes of the run."""

    def stop(step: int) -> None:
        if step == 16:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fit(tiny, drawn, tmp_path, watch=stop)
    trained, card = load_trained(tmp_path / "last.ckpt")
    assert (card.sessions[0].first_step, card.sessions[0].minutes) == (0, None)
    assert trained.scheme == "68"
    fit(tiny, drawn, tmp_path, resume=True)
    after = load_trained(tmp_path / "last.ckpt")[1]
    assert [session.first_step for session in after.sessions] == [0, 15]
    assert after.sessions[0].minutes is None and after.sessions[1].minutes is not None


def values_of(path: Path) -> dict[str, object]:
    """All that a checkpoint holds, by its place in it, but paths and the counters of Lightning's loops."""

    def flat(value: object, place: str) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict | list | tuple):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                yield from flat(inner, f"{place}/{str(key).replace(str(path.parent), '')}")
        else:
            yield place, value.tolist() if isinstance(value, torch.Tensor) else value

    found = flat(torch.load(path, weights_only=True), "")
    return {at: value for at, value in found if not isinstance(value, str) and not at.startswith("/loops")}


@pytest.fixture
def hearing() -> Iterator[None]:
    """SIGINT is not ignored, as it is in what a shell starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, 1), (signal.SIGINT, 4), (signal.SIGTERM, 6)])
def test_a_signal_loses_nothing(
    number: signal.Signals, at: int, drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step ends, a checkpoint and a card are there; the resumed run is the same, also in its best checkpoint.

    After step 4, the second validation is due; after step 6, only the last one is left.
    """

    def send(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    short = tiny.model_copy(update={"steps": 6, "validate_every": 2})
    stopped, whole, handlers = tmp_path / "stopped", tmp_path / "whole", [signal.getsignal(each) for each in (2, 15)]
    with pytest.raises(SystemExit) as leave:
        fit(short, drawn, stopped, watch=send)
    assert leave.value.code == 128 + number
    assert [signal.getsignal(each) for each in (2, 15)] == handlers
    trained, card = load_trained(stopped / "last.ckpt")
    assert (trained.scheme, card.sessions[-1].minutes) == ("68", None)
    assert torch.load(stopped / "last.ckpt", weights_only=True)["global_step"] == at
    fit(short, drawn, stopped, resume=True)
    assert ("step 6 of 6: val/" if at == 6 else "step 6 of 6: loss ") in capsys.readouterr().err
    fit(short, drawn, whole, watch=lambda step: None)
    for name in ("last.ckpt", "best.ckpt"):
        assert values_of(stopped / name) == values_of(whole / name)


def test_a_run_that_is_killed_in_its_last_validation_repeats_it(
    drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*words: object, **options: object) -> float:
        raise RuntimeError("killed")

    short = tiny.model_copy(update={"steps": 3, "validate_every": 3})
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr("canthus.train.landmarks.task.validate", killed)
        fit(short, drawn, tmp_path / "killed")
    assert not (tmp_path / "killed" / "best.ckpt").exists()
    for out in ("whole", "killed"):
        assert fit(short, drawn, tmp_path / out, resume=True) == tmp_path / out / "best.ckpt"
    ends = [load_trained(tmp_path / out / "best.ckpt")[1].sessions[-1] for out in ("whole", "killed")]
    assert ends[1].minutes is not None and ends[1].first_step == 3
    assert ends[0].last == ends[1].last and ends[0].last
    assert values_of(tmp_path / "whole" / "best.ckpt") == values_of(tmp_path / "killed" / "best.ckpt")


def test_a_run_at_its_end_does_not_go_on(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """Where no validation is due after its last step, and where there is one to repeat."""
    for every in (2, 3):
        recipe, out = tiny.model_copy(update={"steps": 3, "validate_every": every}), tmp_path / str(every)
        with pytest.raises(SystemExit):
            fit(recipe, drawn, out, watch=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None)
        before = values_of(out / "last.ckpt")
        steps: list[int] = []
        fit(recipe, drawn, out, resume=True, watch=steps.append)
        assert not steps
        assert values_of(out / "last.ckpt") == before


def test_a_recipe_for_a_gpu_without_one(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=r"tiny trains on a GPU, and torch finds none; add --set accelerator=cpu"):
        fit(tiny.model_copy(update={"accelerator": "cuda"}), drawn, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_leaves_the_checkpoint_before(
    drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(step: int) -> None:
        if step == 2:
            monkeypatch.setattr(Path, "write_bytes", full)

    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"\.ckpt: cannot be written: No space left on device"):
        fit(tiny.model_copy(update={"steps": 4, "validate_every": 1}), drawn, tmp_path, watch=fill)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 1
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".ckpt"} == {"best.ckpt", "last.ckpt"}


def test_a_checkpoint_cannot_run_code(run: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'hurt')!r}, 'w')",)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="not a checkpoint"):
        weights_of(tmp_path / "evil.ckpt")
    assert not (tmp_path / "hurt").exists()


def test_a_run_is_not_overwritten(run: Path, drawn: Path, tiny: Recipe) -> None:
    before = (run / "card.json").read_bytes()
    with pytest.raises(OutputError, match="already holds a run; add --resume"):
        fit(tiny, drawn, run)
    assert (run / "card.json").read_bytes() == before


def test_a_folder_that_cannot_be_made(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/run cannot be made: Not a directory; choose another folder"):
        fit(tiny, drawn, tmp_path / "file" / "run")


def test_a_run_resumes_where_it_stopped(run: Path, drawn: Path, tiny: Recipe) -> None:
    fit(tiny.model_copy(update={"steps": 45}), drawn, run, resume=True)
    card = json.loads((run / "card.json").read_text())
    assert [entry["first_step"] for entry in card["sessions"]] == [0, 30]
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 45


def test_the_same_seed_gives_the_same_weights(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    short = tiny.model_copy(update={"steps": 4, "validate_every": 4})
    states = []
    for name in ("a", "b"):
        fit(short, drawn, tmp_path / name)
        states.append(torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_it_learns(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """Eight drawn faces are learnt, and faces that were not trained on are found."""
    longer = tiny.model_copy(update={"steps": 400, "validate_every": 400})
    fit(longer, drawn, tmp_path)
    assert json.loads((tmp_path / "card.json").read_text())["sessions"][0]["last"]["val/wild68"] < 15


def test_a_run_may_start_from_another(run: Path, drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """With a learning rate of next to nothing it stays where the other one ended."""
    still = {"steps": 2, "validate_every": 2, "start": [Start(checkpoint=run / "last.ckpt")]}
    recipe = tiny.model_copy(update={**still, "optimiser": tiny.optimiser.model_copy(update={"rate": 1e-12})})
    fit(recipe, drawn, tmp_path / "tuned")
    card = json.loads((tmp_path / "tuned" / "card.json").read_text())
    assert card["start"][0]["recipe"]["name"] == "tiny"
    before, after = weights_of(run / "last.ckpt"), weights_of(tmp_path / "tuned" / "last.ckpt")
    trained = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in trained)
    with pytest.raises(InputError, match="does not exist"):
        weights_of(tmp_path / "none.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="damaged"):
        weights_of(tmp_path / "broken.ckpt")


def test_a_module_that_stays_as_it_is(run: Path, drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """At rate 0 neither weights nor the means and variances of norms change, also after validation; the rest learns."""
    start = Start(checkpoint=run / "last.ckpt", source="trunk", target="trunk", rate=0)
    fit(tiny.model_copy(update={"steps": 4, "validate_every": 2, "start": [start]}), drawn, tmp_path)
    before, after = weights_of(run / "last.ckpt"), weights_of(tmp_path / "last.ckpt")
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert {name for name in after if name.startswith("trunk.")} <= same
    assert "maps.1.weight" in after.keys() - same


def test_a_run_may_start_from_a_module_of_another(run: Path, drawn: Path, tiny: Recipe) -> None:
    net = build(tiny, "68", {}).net
    before = net.maps[1].weight.clone()
    load_start(net, Start(checkpoint=run / "last.ckpt", source="trunk", target="trunk"))
    weights = weights_of(run / "last.ckpt")
    assert torch.equal(net.trunk.stem[0][0].weight, weights["trunk.stem.0.0.weight"])
    assert torch.equal(net.maps[1].weight, before)
    for wrong in ({"source": "trunk", "target": "maps"}, {"source": "none", "target": "trunk"}, {"target": "none"}):
        with pytest.raises(InputError, match="does not fit"):
            load_start(net, Start(checkpoint=run / "last.ckpt", **wrong))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_give_the_batches_of_one_process(drawn: Path, tiny: Recipe) -> None:
    short = tiny.model_copy(update={"steps": 5})
    pool = load_pool(short, drawn, 1.3)
    stream = Stream(pool, short, box_frames(box_of(pool.points))[:, None], 1.3, first=1)
    alone, shared = (list(DataLoader(stream, batch_size=None, num_workers=count)) for count in (0, 2))
    assert len(alone) == len(shared) == 4
    assert all(torch.equal(a["crops"], b["crops"]) for a, b in zip(alone, shared, strict=True))


def test_a_run_without_progress_stops_early(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    hopeless = tiny.optimiser.model_copy(update={"rate": 30.0, "clip": 1e9})
    fields = {"steps": 60, "validate_every": 2, "patience": 2, "optimiser": hopeless}
    fit(tiny.model_copy(update=fields), drawn, tmp_path)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] < 60


def test_gradients_without_a_limit(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """A clip of 0 does what a clip that no gradient reaches does."""
    found = []
    for clip in (0.0, 1e9, 1e-3):
        plain = tiny.optimiser.model_copy(update={"kind": "sgd", "rate": 1e-3, "warmup": 0.0, "ema": 0.0, "clip": clip})
        fit(tiny.model_copy(update={"steps": 2, "validate_every": 2, "optimiser": plain}), drawn, tmp_path / str(clip))
        found.append(weights_of(tmp_path / str(clip) / "last.ckpt")["trunk.stem.0.0.weight"])
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2], atol=1e-6)


@pytest.mark.parametrize("every", [4, 100])
def test_the_last_steps_are_saved_without_a_validation(drawn: Path, tiny: Recipe, tmp_path: Path, every: int) -> None:
    best = fit(tiny.model_copy(update={"steps": 6, "validate_every": every}), drawn, tmp_path)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 6
    assert best == tmp_path / ("best.ckpt" if every < 6 else "last.ckpt")


def test_a_run_of_another_recipe_is_not_resumed(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    short = tiny.model_copy(update={"steps": 2, "validate_every": 2})
    fit(short, drawn, tmp_path)
    before = (tmp_path / "card.json").read_bytes()
    other = short.model_copy(update={"network": "score_guided", "seed": 9, "steps": 4})
    with pytest.raises(OutputError, match=r"a run of another recipe \(network, seed differ, see card.json\)"):
        fit(other, drawn, tmp_path, resume=True)
    assert (tmp_path / "card.json").read_bytes() == before


def test_a_run_is_resumed_where_the_run_it_started_from_has_moved(
    run: Path, drawn: Path, tiny: Recipe, tmp_path: Path
) -> None:
    for place, steps in (("before", 2), ("after", 4)):
        (tmp_path / place).symlink_to(run)
        start = [Start(checkpoint=tmp_path / place / "last.ckpt")]
        recipe = tiny.model_copy(update={"start": start, "steps": steps, "validate_every": 2})
        fit(recipe, drawn, tmp_path / "run", resume=True)
        (tmp_path / place).unlink()
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_validation_faces_without_landmarks(
    drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("canthus.train.landmarks.job.measured_faces", lambda *_: ([], torch.zeros(0, 68, 2).numpy()))
    with pytest.raises(DataError, match="wild68 val: no face has landmarks to measure on; name another set in `val`"):
        fit(tiny, drawn, tmp_path)


def test_a_run_in_which_nothing_is_trained(run: Path, drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    whole = Start(checkpoint=run / "last.ckpt", rate=0)
    with pytest.raises(RecipeError, match="nothing is trained"):
        fit(tiny.model_copy(update={"start": [whole]}), drawn, tmp_path)
