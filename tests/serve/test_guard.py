"""Clients that are slow, broken or hostile: the server refuses, closes, and goes on answering."""

import http.client
import json
import random
import socket
import struct
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from canthus.serve import guard
from fuzz.damage import damaged
from serve.running import ASTRONAUT, ask, form_of, head, rest, wire

QUICK = 0.4
"""Seconds that a connection may be idle in these tests."""


@pytest.fixture
def quick(server: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Port of the server, which now loses its patience soon."""
    monkeypatch.setattr(guard, "IDLE", QUICK)
    return server


@pytest.fixture(autouse=True)
def still_answering(server: int) -> Iterator[None]:
    yield
    assert ask(server, body=ASTRONAUT).status == 200


def closed_after(connection: socket.socket) -> tuple[float, bytes]:
    """Seconds until the server closes a connection, and what it sent."""
    begun = time.monotonic()
    answer = rest(connection)
    return time.monotonic() - begun, answer


@pytest.mark.parametrize("begin", [b"", b"POST /v1/faces HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_silence_before_the_end_of_the_headers(quick: int, begin: bytes) -> None:
    with wire(quick, begin) as connection:
        seconds, answer = closed_after(connection)
    assert (answer, QUICK / 2 < seconds < 3) == (b"", True)


def test_headers_that_come_drop_by_drop(quick: int) -> None:
    begun = time.monotonic()
    with wire(quick, b"GET / HTTP/1.1\r\n") as connection, pytest.raises(OSError):
        while time.monotonic() < begun + 5:
            connection.sendall(b"a: b\r\n")
            time.sleep(0.05)
    assert time.monotonic() - begun < 3


def test_drops_behind_an_answer(quick: int) -> None:
    begun = time.monotonic()
    with wire(quick, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as connection, pytest.raises(OSError):
        while time.monotonic() < begun + 5:
            connection.sendall(b"G")
            time.sleep(0.05)
    assert time.monotonic() - begun < 3


def test_a_usual_client_is_not_disturbed_by_that_time(quick: int) -> None:
    with wire(quick, head(len(ASTRONAUT), Connection="close")) as connection:
        for at in range(0, len(ASTRONAUT), 30_000):
            time.sleep(0.2)  # in all longer than a connection may be idle
            connection.sendall(ASTRONAUT[at : at + 30_000])
        assert rest(connection).startswith(b"HTTP/1.1 200")


def test_more_connections_than_there_may_be(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "OPEN", 3)
    with wire(server), wire(server), wire(server):
        time.sleep(0.1)
        with wire(server) as connection:
            answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 503") and b'"busy"' in answer


@pytest.mark.parametrize("kind", ["half-closed", "closed", "reset"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_sockets_that_break(server: int, kind: str, share: float) -> None:
    sent = ASTRONAUT[: int(share * len(ASTRONAUT))]
    with wire(server, head(len(ASTRONAUT)), sent) as connection:
        if kind == "half-closed":
            connection.shutdown(socket.SHUT_WR)
            assert rest(connection).startswith(b"HTTP/1.1 200" if share == 1 else b"")
        elif kind == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


NOISE = [b"\x16\x03\x01\x02\0\x01" + bytes(99), b"GET", b"A" * 40_000, b"GET / HTTP/1.1\r\n" + b"a" * 40_000]
POST = b"POST /v1/faces HTTP/1.1\r\nHost: x\r\n"
WRONG = [b"Content-Length: -1", b"Content-Length: 5\r\nContent-Length: 6", b"Transfer-Encoding: chunked\r\n\r\nzz"]


@pytest.mark.parametrize("noise", [*NOISE, *(POST + line for line in WRONG)], ids=range(7))
def test_what_is_not_http(server: int, noise: bytes) -> None:
    with wire(server, noise + b"\r\n\r\n") as connection:
        top, _, answer = rest(connection).partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 400 Bad Request")
    assert json.loads(answer) == {
        "error": "bad_request",
        "message": "invalid http request received; this is an HTTP server",
    }


def test_mutated_bodies(server: int) -> None:
    """A few hundred; benchmarks/serve.py sends 10,000."""
    rng = random.Random(4)
    small = cv2.imdecode(np.frombuffer(ASTRONAUT, np.uint8), cv2.IMREAD_COLOR)[60:220, 150:310]
    picture = cv2.imencode(".jpg", cv2.resize(small, (64, 64)))[1].tobytes()
    form, kind = form_of(picture)
    statuses = {200: 0, 413: 0, 415: 0, 422: 0}
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=30)
    for number in range(150):
        body = damaged(rng, picture, ".jpg") if number % 3 else damaged(rng, form, "")
        connection.request("POST", "/v1/faces", body, {} if number % 3 else {"Content-Type": kind})
        answer = connection.getresponse()
        tree = json.loads(answer.read())
        statuses[answer.status] += 1
        assert answer.status == 200 or set(tree) == {"error", "message"}
    connection.close()
    assert all(statuses.values()), statuses
