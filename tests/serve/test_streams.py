import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import canthus
from canthus.formats.tracks.table import load
from canthus.reader.image import decode
from canthus.serve import streams
from serve.conftest import TOKEN
from serve.running import ASTRONAUT, ask


@contextmanager
def stream(port: int, query: str = "?rate=25", **options: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{port}/v1/track{query}", compression=None, **options) as socket:
        yield socket


def sent(socket: ClientConnection, frame: bytes | str) -> Any:
    """The answer to one frame."""
    socket.send(frame)
    return json.loads(socket.recv(timeout=30))


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """The photograph, moving to the right."""
    image = cv2.imdecode(np.frombuffer(ASTRONAUT, np.uint8), cv2.IMREAD_COLOR)
    moves = [np.roll(image, 3 * number, 1)[:300] for number in range(6)]
    return [cv2.imencode(".jpg", move)[1].tobytes() for move in moves]


def test_the_faces_are_those_of_a_tracker_in_the_form_of_its_files(
    server: int, frames: list[bytes], tmp_path: Path
) -> None:
    tracker = canthus.Tracker.open()
    expected = [tracker(decode(frame, ""), number / 25) for number, frame in enumerate(frames)]
    with stream(server) as one, stream(server) as other:
        answers = [[sent(socket, frame) for socket in (one, other)] for frame in frames]
    assert all(first == second for first, second in answers), "each stream has a tracker of its own"
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(first) + "\n" for first, _ in answers))
    moments = list(load(tmp_path / "a.jsonl"))
    assert [moment.frame for moment in moments] == list(range(6))
    for moment, faces, (answer, _) in zip(moments, expected, answers, strict=True):
        assert moment.faces.identity.tolist() == faces.identity.tolist() == [1.0]
        np.testing.assert_allclose(moment.faces.points, faces.points, atol=1e-2)
        assert (answer["width"], answer["height"]) == (512, 300)


def test_without_a_rate_times_are_those_of_arrival(server: int, frames: list[bytes]) -> None:
    with stream(server, "") as socket:
        first = sent(socket, frames[0])
        time.sleep(0.2)
        assert sent(socket, frames[1])["time"] - first["time"] > 0.19


@pytest.mark.parametrize(("wrong", "error"), [(b"hello", "unsupported"), (ASTRONAUT[:5000], "unreadable")])
def test_a_wrong_frame_is_told_and_the_stream_goes_on(
    server: int, frames: list[bytes], wrong: bytes, error: str
) -> None:
    with stream(server) as socket:
        assert sent(socket, frames[0])["faces"][0]["track"] == 1
        assert sent(socket, wrong).items() >= {"frame": 1, "time": 0.04, "error": error}.items()
        after = sent(socket, frames[1])
    assert (after["frame"], after["faces"][0]["track"]) == (2, 1)


@pytest.mark.parametrize(("message", "code"), [("text", streams.WRONG_KIND), (bytes(2_000_001), 1009)])
def test_messages_that_close_a_stream(server: int, message: bytes | str, code: int) -> None:
    with stream(server) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.send(message)
        socket.recv(timeout=10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code


def test_a_silent_stream_is_closed(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.2)
    with stream(server) as socket, pytest.raises(ConnectionClosed, match="no frame came"):
        socket.recv(timeout=10)


def test_what_streams_are_refused(server: int, locked: int) -> None:
    def status(port: int, query: str = "", **headers: str) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as caught, stream(port, query, additional_headers=headers):
            pass
        response = caught.value.response
        return response.status_code, json.loads(response.body or b"{}").get("error", "")

    assert status(locked) == status(locked, Authorization="Bearer wrong") == (401, "unauthorised")
    assert status(locked, f"?token={TOKEN}") == (401, "unauthorised")
    with stream(server), stream(server):
        assert status(server) == (503, "busy")
    with stream(locked, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
        assert sent(socket, ASTRONAUT)["faces"]


@pytest.mark.parametrize("rate", ["0", "-25", "5e-324", "0.009", "1001", "1e300", "inf", "nan", "abc", ""])
def test_rates_that_are_none_are_refused(server: int, rate: str) -> None:
    with pytest.raises(InvalidStatus) as caught, stream(server, f"?rate={rate}"):
        pass
    response = caught.value.response
    assert response.status_code == 422 and response.body is not None
    assert json.loads(response.body) == {"error": "unreadable", "message": "rate: frames per second, 0.01 to 1000"}


@pytest.mark.parametrize(("rate", "time"), [("0.01", 100), ("1000", 0.001)])
def test_the_limits_of_rates_are_rates(server: int, frames: list[bytes], rate: str, time: float) -> None:
    with stream(server, f"?rate={rate}") as socket:
        assert [sent(socket, frame)["time"] for frame in frames[:2]] == [0, time]


def test_streams_that_break_off_leave_their_places(server: int, frames: list[bytes]) -> None:
    for _ in range(2):
        with stream(server) as one, stream(server) as other:
            for socket in (one, other):
                socket.send(frames[0])
                socket.socket.close()
        until = time.monotonic() + 20
        while b"canthus_streams 0.0" not in ask(server, "/metrics").body:
            assert time.monotonic() < until
            time.sleep(0.05)
