"""A server in a thread of the tests, and clients that speak to its socket."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from canthus.serve.run import config_of
from canthus.serve.settings import Settings

ASTRONAUT = (Path(__file__).parents[2] / "examples" / "astronaut.jpg").read_bytes()


@dataclass
class Reply:
    """What a server answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def running(**settings: Any) -> Iterator[int]:
    """The port of a server; of one process, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config_of(Settings(**settings)))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port: int, path: str = "/v1/faces", body: bytes | None = None, method: str = "", **headers: str) -> Reply:
    """One request; a POST where there is a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


def form_of(*files: bytes, name: str = "image", fields: int = 0) -> tuple[bytes, str]:
    """A form with files, and its type."""
    parts = [
        b'--frontier\r\nContent-Disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n%s\r\n'
        % (name.encode(), file)
        for file in files
    ]
    parts += [b'--frontier\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'] * fields
    return b"".join(parts) + b"--frontier--\r\n", "multipart/form-data; boundary=frontier"


@contextmanager
def wire(port: int, *parts: bytes) -> Iterator[socket.socket]:
    """A connection over which some bytes have gone."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        yield connection


def head(length: int, path: str = "/v1/faces", **headers: str) -> bytes:
    """The head of a POST with a body of some length."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found
