"""Load and attacks on `canthus serve`, from this machine alone: requests a second, latency, batches on and off, memory.

    python benchmarks/serve.py load [--seconds 20] [--rounds 3] [--json FILE]
    python benchmarks/serve.py attacks [--attacks 100] [--mutated 10000] [--json FILE]

Servers are processes of their own at 127.0.0.1. Each client sends the example photograph again as soon as it has an
answer. Servers with and without batches take turns. Clients and server share the cores. Eight clients attack at a time,
and all slow senders together; the attacks fail the run unless every answer is one that docs/server.md promises, the
memory stays flat, and the server still finds the same faces. It reads /proc, so it needs Linux.
"""

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fuzz.damage import damaged  # noqa: E402
from reader.attacks import deep_png, huge  # noqa: E402

PICTURE = (ROOT / "examples" / "astronaut.jpg").read_bytes()
CLIENTS = (1, 8, 64)
WARM, GROWTH = 0.2, 0.1
"""Share of the damaged bodies until buffers have their size, and share by which the memory may grow later."""
REFUSED = {400, 401, 408, 413, 415, 422, 429, 503}


class Server:
    """A server process."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "canthus", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.port = int(re.findall(r":(\d+) ", line)[0])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()  # decoders write lines on damaged files

    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def opened(self) -> int:
        """Number of open files and sockets."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208

    def connection(self) -> http.client.HTTPConnection:
        """A connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self) -> int:
        """End it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        assert server.stop() == 143


def ask(connection: http.client.HTTPConnection, body: bytes, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/v1/faces", body, named)
    answer = connection.getresponse()
    return answer.status, answer.read()


def load(server: Server, clients: int, seconds: float) -> tuple[list[float], Counter[int], float]:
    """Latencies in seconds, statuses, and the duration, of clients that ask for some seconds."""
    found: list[tuple[float, int]] = []
    begun = time.perf_counter()

    def client() -> None:
        connection = server.connection()
        while time.perf_counter() < begun + seconds:
            sent = time.perf_counter()
            status, _ = ask(connection, PICTURE)
            found.append((time.perf_counter() - sent, status))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [latency for latency, _ in found], Counter(status for _, status in found), time.perf_counter() - begun


def loads(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Requests a second and latencies for each number of clients, with and without batches."""
    rows = []
    wide = ["--max-per-client", str(2 * max(CLIENTS)), "--max-queue", str(2 * max(CLIENTS)), "--timeout", "60"]
    with serving(*wide, "--join", "8") as joined, serving(*wide, "--join", "1") as alone:
        servers = {"batches": joined, "each alone": alone}
        for server in servers.values():
            load(server, 2, min(2.0, seconds))
        for clients in CLIENTS:
            runs: dict[str, list[Any]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, server in servers.items():
                    runs[name].append(load(server, clients, seconds))
            for name, some in runs.items():
                latencies = 1000 * np.concatenate([latency for latency, _, _ in some])
                rates = [len(latency) / duration for latency, _, duration in some]
                statuses = sum((statuses for _, statuses, _ in some), Counter())
                row = {"clients": clients, "server": name, "requests": len(latencies)}
                row |= {"requests a second": round(float(np.median(rates)), 1)}
                row |= {f"p{q} ms": round(float(np.percentile(latencies, q)), 1) for q in (50, 99)}
                rows.append(row | {"statuses": {str(status): count for status, count in statuses.items()}})
                print(rows[-1], flush=True)
    return rows


def raw(server: Server, *parts: bytes, then: str = "read", patience: float = 30) -> int:
    """Status of the answer to some bytes; 0 = none came. `then`: read, half-closed, closed or reset."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if then in ("reset", "closed"):
                return 0
            if then == "half-closed":
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except (ConnectionError, TimeoutError):
            return 0
    return int(answer.split()[1]) if answer else 0


def attacks(server: Server, count: int) -> dict[str, dict[str, int]]:
    """Statuses of the answers to each attack; 0 = the connection was closed without one."""
    head = b"POST /v1/faces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nContent-Length: %d\r\n\r\n"
    whole, part = head % len(PICTURE), PICTURE[: len(PICTURE) // 2]

    def post(body: bytes, token: str = "right") -> int:
        connection = server.connection()
        try:
            return ask(connection, body, Authorization=f"Bearer {token}")[0]
        except ConnectionError:
            return 0
        finally:
            connection.close()

    large = bytes(3_000_000)
    bombs = [huge(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")] + [deep_png(5000, 5000)]
    kinds: dict[str, Callable[[int], int]] = {
        "oversize bodies": lambda _: post(large),
        "oversize by the header": lambda _: raw(server, head % 10**15),
        "bombs": lambda number: post(bombs[number % len(bombs)]),
        "wrong tokens": lambda number: post(PICTURE, f"wrong{number}"),
        "half-closed sockets": lambda _: raw(server, whole, part, then="half-closed"),
        "sockets closed in a body": lambda _: raw(server, whole, part, then="closed"),
        "sockets reset before the answer": lambda _: raw(server, whole, PICTURE, then="reset"),
        "noise": lambda number: raw(server, random.Random(number).randbytes(300) + b"\r\n\r\n"),
    }
    with ThreadPoolExecutor(8) as pool:
        found = {name: Counter(pool.map(attack, range(count))) for name, attack in kinds.items()}
    senders = min(count, 40)
    with ThreadPoolExecutor(senders) as pool:
        found["slow senders"] = Counter(pool.map(lambda _: raw(server, whole, part[:100]), range(senders)))
    return {name: {str(status): number for status, number in sorted(some.items())} for name, some in found.items()}


def mutated(server: Server, count: int) -> dict[str, Any]:
    """Statuses of damaged bodies, and the memory of the server meanwhile."""
    rng, statuses = random.Random(1), Counter[int]()
    image = cv2.imdecode(np.frombuffer(PICTURE, np.uint8), cv2.IMREAD_COLOR)[60:220, 150:310]
    small = {kind: cv2.imencode(kind, cv2.resize(image, (96, 96)))[1].tobytes() for kind in (".jpg", ".png", ".webp")}
    form = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n%s\r\n--b--\r\n' % small[".jpg"]
    memory: dict[int, float] = {}
    connection = server.connection()
    for number in range(count):
        if number % max(1, count // 20) == 0:
            memory[number] = round(server.memory(), 1)
        headers, kind = {"Authorization": "Bearer right"}, rng.choice([*small, "form"])
        if kind == "form":
            headers["Content-Type"] = "multipart/form-data; boundary=b"
        body = damaged(rng, form if kind == "form" else small[kind], kind)
        connection.request("POST", "/v1/faces", body, headers)
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] += 1
    late = [value for number, value in memory.items() if number >= WARM * count]
    half = len(late) // 2
    return {
        "bodies": count,
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "MB": memory,
        "growth": round(max(late[half:]) / max(late[:half]) - 1, 4) if half else 0.0,
    }


def attacked(count: int, bodies: int) -> dict[str, Any]:
    """What a server answers to attacks, and whether it is the same afterwards."""
    limits = [
        "--max-mb",
        "2",
        "--max-pixels",
        "20000000",
        "--timeout",
        "3",
        "--token",
        "right",
        "--max-per-client",
        "64",
    ]
    with serving(*limits) as server:
        before, files = ask(server.connection(), PICTURE, Authorization="Bearer right"), server.opened()
        result: dict[str, Any] = {"attacks": attacks(server, count), "mutated": mutated(server, bodies)}
        after = ask(server.connection(), PICTURE, Authorization="Bearer right")
        time.sleep(12)  # until idle connections are closed
        result["open files"] = [files, server.opened()]
    statuses = {int(status) for some in result["attacks"].values() for status in some}
    statuses |= {int(status) for status in result["mutated"]["statuses"]}
    result["passed"] = statuses <= REFUSED | {0, 200} and before == after and result["mutated"]["growth"] <= GROWTH
    result["passed"] &= result["open files"][1] <= files + 2
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["load", "attacks"])
    parser.add_argument("--seconds", type=float, default=20, help="duration of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attacks", type=int, default=100, help="number of each attack")
    parser.add_argument("--mutated", type=int, default=10_000, help="number of damaged bodies")
    parser.add_argument("--json", type=Path, help="file to which the result of `what` is added")
    given = parser.parse_args()
    result: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/serve.py", *sys.argv[1:]]),
        "cores": len(os.sched_getaffinity(0)),
        "load before": [round(value, 2) for value in os.getloadavg()],
    }
    if given.what == "load":
        result |= {"picture": "examples/astronaut.jpg, 512 x 512, one face", "rows": loads(given.seconds, given.rounds)}
    else:
        result |= attacked(given.attacks, given.mutated)
    print(json.dumps(result, indent=1))
    if given.json:
        known = json.loads(given.json.read_text()) if given.json.exists() else {}
        given.json.write_text(json.dumps(known | {given.what: result}, indent=1) + "\n")
    sys.exit(not result.get("passed", True))


if __name__ == "__main__":
    main()
