"""Weights of earlier runs, and torch modules as engines."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from canthus.errors import InputError
from canthus.train.checkpoint import TorchBackend, load_start, read_checkpoint, steps_of, weights_of
from canthus.train.recipe import Start
from canthus.work.archive import FLOOR


class Net(nn.Module):
    """Two modules of the same form, and one of another."""

    def __init__(self, wide: int = 3) -> None:
        super().__init__()
        self.body, self.twin, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, wide)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.body(x), self.head(x)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(1)
    return Net()


@pytest.fixture
def saved(net: Net, tmp_path: Path) -> Path:
    """A checkpoint in the form of Lightning: the network is the module `net` of its task."""
    state = {f"net.{name}": value + 1 for name, value in net.state_dict().items()} | {"other.weight": torch.zeros(1)}
    torch.save({"state_dict": state, "global_step": 7}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_weights_are_those_of_the_network_alone(net: Net, saved: Path) -> None:
    assert weights_of(saved).keys() == net.state_dict().keys()
    assert read_checkpoint(saved)["global_step"] == 7


def test_a_whole_network(net: Net, saved: Path) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_start(net, Start(checkpoint=saved))
    assert all(torch.equal(value, before[name] + 1) for name, value in net.state_dict().items())


def test_a_module_may_go_to_another_one(net: Net, saved: Path) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_start(net, Start(checkpoint=saved, source="body", target="twin"))
    assert torch.equal(net.twin.weight, before["body.weight"] + 1)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items() if "twin" not in name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "tail", "target": "body"}, r"start: tail of .*last\.ckpt does not fit body: .*Missing key"),
        ({"source": "head", "target": "body"}, r"head of .*last\.ckpt does not fit body: .*size mismatch"),
        ({"source": "body", "target": "tail"}, r"body of .*last\.ckpt does not fit tail"),
        ({"target": "body"}, r"the network of .*last\.ckpt does not fit body: .*Unexpected key"),
    ],
)
def test_weights_that_do_not_fit_are_named(net: Net, saved: Path, fields: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        load_start(net, Start(checkpoint=saved, **fields))


def test_another_size_does_not_fit(saved: Path) -> None:
    with pytest.raises(InputError, match="does not fit this network"):
        load_start(Net(wide=4), Start(checkpoint=saved))


def test_files_that_are_no_checkpoint(net: Net, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ckpt does not exist; `canthus train`"):
        load_start(net, Start(checkpoint=tmp_path / "none.ckpt"))
    torch.save({"weights": {}}, tmp_path / "other.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"PK\x03\x04")
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("other", "broken", "list"):
        with pytest.raises(InputError, match=rf"{name}\.ckpt: not a checkpoint of `canthus train`, or a damaged one"):
            read_checkpoint(tmp_path / f"{name}.ckpt")


def test_a_checkpoint_with_other_content(tmp_path: Path) -> None:
    for name, content in {
        "list": {"state_dict": [1]},
        "step": {"state_dict": {}, "global_step": "many"},
        "text": {"state_dict": {"net.a": "b"}},
    }.items():
        torch.save(content, tmp_path / f"{name}.ckpt")
        with pytest.raises(InputError, match=rf"{name}\.ckpt: not a checkpoint of `canthus train`"):
            weights_of(tmp_path / f"{name}.ckpt")
    torch.save({"state_dict": {7: torch.ones(1), "net.a": torch.ones(2)}, "global_step": 7}, tmp_path / "good.ckpt")
    assert list(weights_of(tmp_path / "good.ckpt")) == ["a"] and steps_of(tmp_path / "good.ckpt") == 7


def test_a_checkpoint_that_unpacks_to_far_more_than_its_size(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(FLOOR))
    with pytest.raises(InputError, match=r"last\.ckpt: not a checkpoint .*more than a file of this size may"):
        weights_of(saved)


def test_a_module_as_an_engine(net: Net) -> None:
    given = np.ones((4, 2), np.float32)
    found = TorchBackend(net, ("a", "b")).run(given)
    assert {name: value.shape for name, value in found.items()} == {"a": (4, 2), "b": (4, 3)}
    np.testing.assert_allclose(found["a"], given @ net.body.weight.detach().numpy().T + net.body.bias.detach().numpy())
    with pytest.raises(ValueError, match="zip"):
        TorchBackend(net, ("a",)).run(given)
