"""The Dockerfile without Docker: what it copies suffices for the wheel, and what it runs is a command of canthus."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.main import get_command

from canthus import cli

ROOT = Path(__file__).parents[2]
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
STEPS = [line.split(maxsplit=1) for line in LINES.splitlines() if line and not line.startswith("#")]
IGNORED = (ROOT / ".dockerignore").read_text().split()


def arguments(*words: str) -> list[str]:
    return [rest.strip() for word, rest in STEPS if word in words]


def test_there_are_two_stages_and_the_last_one_is_not_run_by_root() -> None:
    begins = [number for number, (word, _) in enumerate(STEPS) if word == "FROM"]
    assert len(begins) == 2
    (user,) = arguments("USER")
    assert user.isdecimal() and user != "0", "a number, so that Kubernetes can tell that it is not root"
    assert f"--uid {user}" in LINES
    assert [word for word, _ in STEPS].index("USER") > begins[1]
    image = arguments("FROM")[1]
    assert re.fullmatch(r"python:3\.(\d+)-slim", image)


def test_the_command_is_one_of_canthus() -> None:
    (entry,) = arguments("ENTRYPOINT")
    program, verb, *options = json.loads(entry)
    command = get_command(cli.app).commands[verb]  # type: ignore[attr-defined]
    given = command.make_context("serve", options).params
    assert program == "canthus"
    assert (given["host"], str(given["port"])) == ("0.0.0.0", arguments("EXPOSE")[0])
    assert arguments("STOPSIGNAL") == ["SIGTERM"]


def test_the_health_check_is_a_program(tmp_path: Path) -> None:
    (check,) = arguments("HEALTHCHECK")
    command = json.loads(check[check.index("CMD") + 3 :])
    assert command[:2] == ["python", "-c"]
    assert f"127.0.0.1:{arguments('EXPOSE')[0]}/health" in command[2]
    compile(command[2], "check", "exec")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage copies, from what .dockerignore lets through."""
    folder = tmp_path_factory.mktemp("context")
    kept = [line[1:] for line in IGNORED if line.startswith("!")]
    for step in arguments("COPY"):
        *names, to = [word for word in shlex.split(step) if not word.startswith("--")]
        for name in names if "--from" not in step else ():
            assert any(fnmatch(name, pattern) for pattern in kept), f"{name} is ignored"
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / to)
    return folder


def test_what_is_copied_suffices_for_the_wheel_and_the_extras_are_there(context: Path, tmp_path: Path) -> None:
    """As `pip wheel` builds it, without what that fetches."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=context, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {"canthus/serve/app.py", "canthus/runtime/default.canthus"} <= set(names)
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", LINES)
    for extra in extras.split(","):
        assert f"Provides-Extra: {extra}\n" in metadata
