"""Signals become exit codes in every verb, and the handlers of the caller come back."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from threading import Thread

import pytest

from canthus import cli
from canthus.cli.stop import run_until_signal, signals_end
from canthus.work.parent import PARENT


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_an_exit_code(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(cli, "app", app)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as leave:
        cli.main()
    assert leave.value.code == code and signal.getsignal(number) == before
    assert capsys.readouterr().err == f"canthus: {'interrupted' if code == 130 else 'terminated'}\n"


def test_a_signal_that_breaks_an_import_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ONNX Runtime: its modules in C make ImportError of whatever is raised while they load."""

    def app() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except SystemExit:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(cli, "app", app)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit) as leave:
        cli.main()
    assert leave.value.code == 130


@pytest.mark.parametrize(("rank", "told", "hears"), [("0", True, True), ("1", True, False), ("1", False, True)])
def test_other_processes_leave_signals_to_the_first(
    rank: str, told: bool, hears: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were started by another program than canthus have nobody who would end them."""

    def app() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.delenv(PARENT, raising=False)
    if told:
        monkeypatch.setenv(PARENT, "1")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) if hears else nullcontext():
            cli.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals_end():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_any_name_can_be_printed(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open(os.dup(1), "w", encoding="utf-8") as stream:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(cli, "app", lambda: print("caf\udce9"))
        cli.main()
    assert capfdbinary.readouterr().out == b"caf\\udce9\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_reported_whatever_the_command_makes_of_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    """A command that has just done all its work may end with 0; what would follow it must not start."""
    ready = tmp_path / "ready"
    program = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(0))\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )

    def send() -> None:
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = Thread(target=send)
    thread.start()
    assert run_until_signal([sys.executable, "-c", program]) == 128 + number
    thread.join()
    assert signal.getsignal(number) is before


def test_a_command_without_signals_keeps_its_code() -> None:
    codes = [run_until_signal([sys.executable, "-c", f"raise SystemExit({code})"]) for code in (0, 3)]
    assert codes == [0, 3]
    assert run_until_signal([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 137


def test_a_process_that_trains_with_others_does_not_wait_for_them_at_its_end() -> None:
    """An exit handler that waits for ever stands for the connection to another process, which waits for this one."""
    program = (
        "import atexit, threading\n"
        "import torch.distributed as d\n"
        "from canthus import cli\n"
        "d.init_process_group('gloo', store=d.HashStore(), rank=0, world_size=1)\n"
        "atexit.register(threading.Event().wait)\n"
        "def app(): raise SystemExit(143)\n"
        "cli.app = app\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (143, "canthus: terminated\n")
