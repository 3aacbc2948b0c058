"""`canthus synth video`: videos of moving faces of the face model, with the true points of every frame."""

from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import Workers
from canthus.cli.synth.screen import SIZE, FaceModel, Landmarks, Seed, progress, tell


def video(
    face_model: FaceModel,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    sequences: Annotated[int, typer.Option("--sequences", "-n", min=1, help="Number of sequences to make.")] = 40,
    frames: Annotated[int, typer.Option(min=1, help="Length of each sequence, frames; 25 a second.")] = 200,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=32, help=SIZE)] = 256,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of pictures without faces for the background.", show_default="noise")
    ] = None,
    landmarks: Landmarks = None,
    workers: Workers = 1,
) -> None:
    """Make videos of moving faces with the points of every scheme, depth, visibility and pose of each frame.

    Example: canthus synth video --face-model face.npz -o data/videos

    Run the same command again to resume.

    Exit codes: 0 all made; 2 wrong usage; 3 nothing made, or not all.
    """
    from time import monotonic

    import numpy as np

    from canthus.reader.files import find
    from canthus.synth.video.scene import SceneJob
    from canthus.synth.video.sequences import Sequences, produce_sequences
    from canthus.work.folder import megabytes

    behind = tuple(find([backgrounds])) if backgrounds else ()
    job = SceneJob(face_model, landmarks, frames=frames, size=size, backgrounds=behind)
    start = monotonic()
    with progress(sequences) as tick:
        index = produce_sequences(Sequences(job, sequences, seed), out, workers, tick)
    yaws = np.histogram(index["pose"][..., 0], np.linspace(-90, 90, 19))[0]
    made = f"{sequences} sequences of {frames} frames, {megabytes(out):.0f} MB, {monotonic() - start:.0f} s"
    tell([f"{out}: {made}; look at sheet.png"])
    tell([f"frames in every ten degrees of yaw from -90 to 90: {' '.join(map(str, yaws))}"])
