"""`canthus synth video`: moving faces of the model with the truth for every frame."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def video(
    model: Annotated[Path, typer.Option(help="Face model, .npz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Sequences to make.")] = 40,
    frames: Annotated[int, typer.Option(min=1, help="Of each sequence, 25 a second.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Chooses people, motion and light.")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of a picture, pixels.")] = 256,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Pictures without faces to put behind.", show_default="smooth noise")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark vertices.", show_default="landmarks.json beside the model")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Make videos of moving faces with the points of every scheme, depth, visibility and pose of each frame.

    A run that was interrupted goes on with the same command.

    Example: canthus synth video --model face.npz -o data/videos

    Exit codes: 0 all made; 2 wrong usage; 3 nothing done, or not all: the same command goes on.
    """
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from canthus.reader.files import find
    from canthus.synth.video.scene import SceneJob
    from canthus.synth.video.sequences import Sequences, produce_sequences

    behind = tuple(find([backgrounds])) if backgrounds else ()
    order = Sequences(SceneJob(model, landmarks, frames=frames, size=size, backgrounds=behind), count, seed)
    console, start = Console(stderr=True), monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=count)
        index = produce_sequences(order, out, workers, lambda made: progress.advance(task, made))
    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    seconds = monotonic() - start
    lines = [f"{out}: {count} sequences of {frames} frames, {megabytes:.0f} MB, {seconds:.0f} s; look at sheet.png"]
    lines.append(f"frames in every ten degrees of yaw from -90 to 90: {_histogram(index['pose'][..., 0])}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _histogram(yaw: "NDArray[np.float32]") -> str:
    import numpy as np

    return " ".join(map(str, np.histogram(yaw, np.linspace(-90, 90, 19))[0]))
