"""`canthus serve`: faces over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import DETECTION, MODEL, Device, ModelFile, Precision, Threads, Workers

LIMITS = "Limits"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")] = 8000,
    workers: Workers = 1,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CANTHUS_TOKEN",
            show_envvar=True,
            show_default="none",
            help="Secret that requests must carry; other users of this machine can read it in the command.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, show_default="none", help="Folder of a web page to serve at /."),
    ] = None,
    max_mb: Annotated[
        float, typer.Option(min=0.001, help="Largest request in megabytes (413).", rich_help_panel=LIMITS)
    ] = 20.0,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=178_000_000, help="Largest picture in pixels (413).", rich_help_panel=LIMITS)
    ] = 40_000_000,
    max_faces: Annotated[
        int,
        typer.Option(
            min=1,
            help="Keep at most this many faces per image, most confident first.",
            rich_help_panel=DETECTION,
        ),
    ] = 100,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Requests that may wait for an answer (503).", rich_help_panel=LIMITS)
    ] = 64,
    max_per_client: Annotated[
        int,
        typer.Option(min=1, help="Requests and streams of one address at a time (429).", rich_help_panel=LIMITS),
    ] = 16,
    max_streams: Annotated[int, typer.Option(min=1, help="Streams at a time (503).", rich_help_panel=LIMITS)] = 16,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds for a request to arrive (408), and to be answered (503).",
            rich_help_panel=LIMITS,
        ),
    ] = 20.0,
    join: Annotated[
        int,
        typer.Option(
            min=1,
            help="Pictures of all clients that go through the model together at most; 1 = each alone.",
            rich_help_panel=MODEL,
        ),
    ] = 8,
    model: ModelFile = None,
    precision: Precision = "fp32",
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Answer requests over HTTP: faces of pictures as JSON, and faces followed through streams of frames.

    Example: canthus serve --port 8000

    Then: curl --data-binary @portrait.jpg http://127.0.0.1:8000/v1/faces

    The limits are those of each process. Nothing is written, and no address is fetched. /docs describes the
    interface.

    Exit codes: 2 wrong usage; 3 the server cannot start; 130 interrupted; 143 terminated. Both of the last come after
    open requests are answered.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # canthus itself says what is wrong with a picture
    from canthus.errors import need

    try:
        from canthus.serve.run import listen
        from canthus.serve.settings import Settings
    except ModuleNotFoundError as error:
        raise need("serve") from error
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise typer.BadParameter("a token has letters, digits and signs of ASCII, and no space", param_hint="--token")
    limits = {
        "max_mb": max_mb,
        "max_pixels": max_pixels,
        "max_faces": max_faces,
        "max_queue": max_queue,
        "max_per_client": max_per_client,
        "max_streams": max_streams,
        "timeout": timeout,
        "join": join,
    }
    engine = {"model": model, "precision": precision, "device": device, "threads": threads}
    listen(Settings.model_validate({"token": token, "page": page, **limits, **engine}), host, port, workers)
