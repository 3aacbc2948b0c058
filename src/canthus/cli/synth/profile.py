"""`canthus synth profile`: photographs rotated to large poses."""

from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import Workers
from canthus.cli.synth.screen import COUNT, FITS, PICTURES, SIZE, FaceModel, Landmarks, Seed, run_factory


def profile(
    face_model: FaceModel,
    fits: Annotated[Path, typer.Option(help=FITS)],
    pictures: Annotated[Path, typer.Option(help=PICTURES)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: views/SPLIT for the reader `views`.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help=COUNT)] = 20_000,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=32, help=SIZE)] = 256,
    landmarks: Landmarks = None,
    workers: Workers = 1,
) -> None:
    """Rotate photographs to large poses: as many views in every ten degrees of azimuth from -90 to 90.

    Example: canthus synth profile --face-model face.npz --fits wild68-train.npz --pictures data/wild68
    -o data/views/train

    Run the same command again to resume.

    Exit codes: 0 all made; 1 some could not be made; 2 wrong usage; 3 nothing done.
    """
    from canthus.synth.turn.profile import ProfileOptions
    from canthus.synth.turn.turned import Views

    options = ProfileOptions(size=size)
    run_factory(Views(face_model, fits, pictures, count, seed, landmarks, options), out, workers)
