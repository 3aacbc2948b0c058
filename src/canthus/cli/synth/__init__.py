"""`canthus synth`: training data from a 3D face model; one module for each verb."""

import typer

from canthus.cli.synth.denoise import denoise
from canthus.cli.synth.fit import fit
from canthus.cli.synth.import_model import import_model
from canthus.cli.synth.occlude import occlude
from canthus.cli.synth.pairs import pairs
from canthus.cli.synth.profile import profile
from canthus.cli.synth.schemes import schemes
from canthus.cli.synth.video import video

app = typer.Typer(help="Make training data with a 3D face model.", no_args_is_help=True)
app.command("import")(import_model)
for verb in (fit, profile, occlude, video, denoise, pairs, schemes):
    app.command()(verb)


@app.callback()
def synth() -> None:
    """Make training data with a 3D face model.

    Example: canthus synth import ICT-FaceKit/FaceXModel -o face.npz
    """
