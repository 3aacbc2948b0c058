"""Signals become exit codes in every verb, and the handlers of the caller come back."""

import os
import signal
import sys
import time

import pytest

from canthus import cli
from canthus.cli.stop import signals_end


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
