"""Servers that the tests share."""

import http.client
from collections.abc import Iterator

import pytest

from serve.running import running

TOKEN = "open-sesame"


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """Port of a server with usual settings but small limits."""
    with running(max_mb=2, max_pixels=1_000_000, timeout=1.5, max_queue=6, max_per_client=4, max_streams=2) as port:
        yield port


@pytest.fixture(scope="session")
def locked() -> Iterator[int]:
    """Port of a server that asks for `TOKEN`, and joins no pictures."""
    with running(token=TOKEN, join=1, max_faces=1) as port:
        yield port


@pytest.fixture(autouse=True)
def no_server_failure(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may make a server log an error: its own failures, with a traceback, are logged so."""
    yield
    failures = [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"]
    assert not failures or "fails" in request.node.name, failures


@pytest.fixture
def keep_alive(server: int) -> Iterator[http.client.HTTPConnection]:
    """A connection over which several requests go."""
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=30)
    yield connection
    connection.close()
