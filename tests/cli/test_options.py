"""The help of every verb: one option name has one meaning, every option says what it does, and examples run."""

import inspect
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner

from canthus import cli
from canthus.detect.own import SHARE, SMALLEST, OwnDetector

ROOT = Path(__file__).parents[2]
DIFFERENT_HELP = {
    "--format": "images and videos have results in different formats",
    "--out": "each verb writes another kind of file or folder",
    "--scheme": "detect converts its results into a scheme, the others read labels of one",
}
"""Options whose help differs between verbs, with the reason."""
DIFFERENT_DEFAULT = {
    "--format": "images and videos have results in different formats",
    "--threads": "the networks of one face in a video gain nothing from a second thread",
    "--count": "views and occluded copies are made in different numbers",
    "--max-faces": "what a server answers to strangers has a limit",
    "--model": "a model is in the package, but none that was trained on other labels than those to clean",
    "--out": "files have no default name, folders may",
    "--scheme": "a protocol names its scheme, a file of points shows it by their number",
    "--size": "copies of views keep the size of the views",
    "--workers": "a batch uses the whole machine unless it is told otherwise",
    "--split": "models are fitted to training faces and measured on test faces",
}
"""Options whose default differs between verbs, with the reason."""
NAMES = {"best.ckpt", "3D"}
"""Words that may begin a help text though they are not in upper case."""
BODY = 40
"""Lines of a verb below its docstring, at most."""


class Option(NamedTuple):
    """An option or argument of a verb."""

    name: str
    flags: tuple[str, ...]
    type: str
    default: object
    info: Any


def callbacks(app: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Callable[..., None]]]:
    """Every verb of an app and its function."""
    for command in app.registered_commands:
        assert command.callback is not None
        yield prefix + (command.name or command.callback.__name__), command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from callbacks(group.typer_instance, f"{prefix}{group.name} ")


def options_of(verb: Callable[..., None]) -> Iterator[Option]:
    """What a verb takes, from its annotations."""
    hints = get_type_hints(verb, include_extras=True)
    for name, parameter in inspect.signature(verb).parameters.items():
        kind, info = get_args(hints[name])
        decls = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
        flags = decls or [f"--{name.replace('_', '-')}"] if isinstance(info, OptionInfo) else []
        if isinstance(info, OptionInfo) and kind is bool and not decls:
            flags.append(f"--no-{name.replace('_', '-')}")
        plain = str(getattr(kind, "__name__", kind) if isinstance(kind, type) else kind)
        shown = f"{plain.replace('pathlib.', '').replace(' | None', '')} {info.min} {info.max}"
        yield Option(name, tuple(flags), shown, parameter.default, info)


VERBS = dict(callbacks(cli.app))
USES: dict[str, list[tuple[str, Option]]] = {}
for _verb, _callback in VERBS.items():
    for _option in options_of(_callback):
        for _flag in _option.flags:
            if _flag.startswith("--") and not _flag.startswith("--no-"):
                USES.setdefault(_flag, []).append((_verb, _option))
SHARED = {flag: uses for flag, uses in USES.items() if len(uses) > 1}


def examples_of(verb: str) -> list[str]:
    """Commands of the lines `Example:` in the help of a verb, each with the lines that continue it."""
    blocks = (inspect.getdoc(VERBS[verb]) or "").split("\n\n")
    return [" ".join(block.split()).removeprefix("Example: ") for block in blocks if block.startswith("Example: ")]


def test_there_are_verbs_and_shared_options() -> None:
    assert {"detect", "evaluate", "compare", "train", "ablate", "export", "info", "synth fit"} <= VERBS.keys()
    assert {"--root", "--out", "--model", "--threads", "--json", "--set"} <= SHARED.keys()


@pytest.mark.parametrize("flag", SHARED)
def test_one_option_name_means_one_thing(flag: str) -> None:
    uses = SHARED[flag]
    assert len({option.type for _, option in uses}) == 1, {verb: option.type for verb, option in uses}
    if flag not in DIFFERENT_HELP:
        assert len({option.info.help for _, option in uses}) == 1, {verb: option.info.help for verb, option in uses}
    if flag not in DIFFERENT_DEFAULT:
        optional = {verb: option for verb, option in uses if option.default is not inspect.Parameter.empty}
        shown = {verb: (option.default, option.info.show_default) for verb, option in optional.items()}
        assert len(set(shown.values())) <= 1, shown


@pytest.mark.parametrize("allowed", [DIFFERENT_HELP, DIFFERENT_DEFAULT], ids=["help", "default"])
def test_exceptions_are_of_shared_options(allowed: dict[str, str]) -> None:
    assert allowed.keys() <= SHARED.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_option_is_a_sentence(verb: str) -> None:
    for option in options_of(VERBS[verb]):
        text = option.info.help or ""
        assert text.endswith("."), f"{option.name}: {text!r}"
        assert text[0].isupper() or text.split()[0] in NAMES, f"{option.name}: {text!r}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_of_itself(verb: str) -> None:
    known = {flag for option in options_of(VERBS[verb]) for flag in option.flags}
    assert examples_of(verb)
    for example in examples_of(verb):
        assert example.startswith(f"canthus {verb} ")
        assert {word for word in shlex.split(example) if word.startswith("-")} <= known, example


@pytest.mark.parametrize("verb", ["detect", "info"])
def test_the_example_runs(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples that need no data, from a folder with the examples and models of the repository."""
    for name in ("examples", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, shlex.split(examples_of(verb)[0])[1:])
    assert result.exit_code == 0, result.output


def test_no_more_threads_than_a_machine_has() -> None:
    for verb in ("detect", "track", "evaluate", "serve"):
        result = CliRunner().invoke(cli.app, [verb, "--threads", "100000", *["none.jpg"] * (verb != "serve")])
        assert result.exit_code == 2 and "1024" in result.output, result.output


def test_the_help_names_the_defaults_of_the_detector() -> None:
    defaults = {name: option.default for name, option in inspect.signature(OwnDetector).parameters.items()}
    named = {option.name: option.info.show_default for option in options_of(VERBS["detect"])}
    names = {"min_confidence": "threshold", "overlap": "overlap", "max_side": "max_side"}
    assert named["min_face"] == f"own: {100 * SHARE:g} % of the longer side, at least {SMALLEST}"
    assert {name: named[name] for name in names} == {name: f"own: {defaults[of]:g}" for name, of in names.items()}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_parses_calls_and_prints(verb: str) -> None:
    lines = inspect.getsource(VERBS[verb]).splitlines()
    last_quote = max(number for number, line in enumerate(lines) if '"""' in line)
    assert len(lines) - 1 - last_quote <= BODY
