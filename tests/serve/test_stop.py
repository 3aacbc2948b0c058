"""`canthus serve` as a process: it begins, and it ends when it is told to, after what is in flight."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canthus.serve.run import bind
from command import run
from serve.running import ASTRONAUT, ask, head, rest, wire


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server, and its port."""
    command = [sys.executable, "-m", "canthus", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            (port,) = re.findall(r"listening at http://127\.0\.0\.1:(\d+) ", server.stderr.readline())
            yield server, int(port)
        finally:
            server.kill()


def until_healthy(port: int) -> None:
    for _ in range(600):
        try:
            if ask(port, "/health").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError


def test_what_is_in_flight_is_answered_at_the_end() -> None:
    with process() as (server, port):
        until_healthy(port)
        with wire(port, head(len(ASTRONAUT)), ASTRONAUT[:5000]) as connection, wire(port) as silent:
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError):
                ask(port, "/health")
            assert server.poll() is None
            connection.sendall(ASTRONAUT[5000:])
            assert rest(connection).startswith(b"HTTP/1.1 200")
            assert rest(silent) == b""
        assert server.wait(20) == 143
        assert server.stderr is not None
        assert server.stderr.read() == "canthus: terminated\n"


def test_several_processes_end_together() -> None:
    with process("--workers", "2", "--token", "abc") as (server, port):
        until_healthy(port)
        children = [int(name) for name in children_of(server.pid)]
        assert ask(port, body=ASTRONAUT).status == 401
        assert ask(port, body=ASTRONAUT, Authorization="Bearer abc").status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 130
        until = time.monotonic() + 20
        while any(map(alive, children)):
            assert time.monotonic() < until
            time.sleep(0.05)
    assert len(children) >= 2


def children_of(process: int) -> list[str]:
    with open(f"/proc/{process}/task/{process}/children") as listed:  # noqa: PTH123
        return listed.read().split()


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_server_cannot_begin_with(server: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("serve", "--port", str(server)) == 3
    assert f"cannot listen at 127.0.0.1, port {server}: address already in use" in capsys.readouterr().err
    assert run("serve", "--host", "nowhere.invalid") == 3
    assert run("serve", "--model", tmp_path / "none.canthus", "--workers", "2") == 3
    assert "none.canthus" in capsys.readouterr().err
    assert run("serve", "--token", "two words") == 2
    assert run("serve", "--page", tmp_path / "none") == 2


def test_no_part_of_an_answer_waits_for_the_client_to_acknowledge_another() -> None:
    async def delay() -> bool:
        """Whether a connection that the server has accepted holds small parts back."""
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        async with await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listening):
            _, client = await asyncio.open_connection(*listening.getsockname())
            server = await accepted
            held = not server.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            server.close()
        return held

    with bind("127.0.0.1", 0) as listening:
        assert not asyncio.run(delay())
