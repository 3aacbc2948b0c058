"""`canthus export`: from training checkpoints to a model bundle."""

from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import NO_ROOT, Override, Root


def export(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT...",
            help="best.ckpt or last.ckpt of a training run, with its card.json beside it; several, in their order, for "
            "a system whose stages were trained separately.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle to write, e.g. model.canthus.")],
    root: Root = None,
    int8: Annotated[bool, typer.Option(help="Add the int8 variant, calibrated on training pictures.")] = True,
    margin: Annotated[
        float | None,
        typer.Option(help="Crop margin: side of the crop over that of the face box.", show_default="as trained"),
    ] = None,
    average: Annotated[
        bool, typer.Option("--average", help="Average the weights of the checkpoints, which are runs of one network.")
    ] = False,
    override: Override = None,
    transfer: Annotated[
        str | None,
        typer.Option(
            metavar="SET", help="Set in whose landmark scheme results shall be: a linear map of what the model finds."
        ),
    ] = None,
    transfer_group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Group of that set, e.g. profile_left.", show_default="all its faces"),
    ] = None,
    transfer_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Option of the reader of that set, e.g. scheme=39_left; may be repeated."
        ),
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="JSON file with a list of measured errors for the model card.")
    ] = None,
) -> None:
    """Make a bundle of checkpoints, and check that ONNX Runtime gives the same points as torch.

    Landmark models need the data sets they were trained on, for calibration and for this check.
    A checkpoint of the detector or of the face score needs none and has no crop margin; the
    detector gets an int8 variant where its data sets are given.

    --set changes the recipe for the export only, e.g. `val`, the sets on which scores are calibrated.
    --transfer wild68 adds a last stage, fitted to the training faces of that set; for profiles
    --transfer views:views_wild68 --transfer-group profile_left --transfer-option scheme=39_left.

    Example: canthus export runs/default/4/last.ckpt --root data -o default.canthus
    """
    from canthus.errors import DataError, InputError, need
    from canthus.work.documents import read_json

    chosen = _options(transfer, transfer_group, transfer_option or [])
    try:
        from canthus.export.detection import export_faces, kind_of
        from canthus.export.landmarks import export as make
        from canthus.export.transfer import add_transfer, check_transfer
        from canthus.nets.detection.networks import DETECTION
    except ModuleNotFoundError as error:
        raise need("export") from error
    figures = (
        read_json(measured, InputError, "give the results that canthus evaluate wrote as JSON") if measured else []
    )
    figures = [figures] if isinstance(figures, dict) else figures
    if not all(isinstance(one, dict) for one in figures):
        raise InputError(f"{measured}: no results; give those that canthus evaluate wrote as JSON, or a list of them")
    if any(out.exists() and one.exists() and out.samefile(one) for one in checkpoints):
        raise typer.BadParameter(f"{out} is the checkpoint itself; name another file", param_hint="--out")
    if checkpoints[0].is_file() and kind_of(checkpoints[0]) in DETECTION:
        card = export_faces(checkpoints[0], out, figures, root if int8 else None)
        key, unit = "parity", ""
    else:
        if root is None:
            raise DataError(NO_ROOT)
        changes = override or []
        if transfer is not None:  # before `out` is replaced
            check_transfer(transfer, root, transfer_group or "", chosen)
        card = make(
            checkpoints, root, out, int8=int8, margin=margin, measured=figures, changes=changes, average=average
        )
        if transfer is not None:
            card = add_transfer(out, transfer, root, transfer_group or "", chosen)
        key, unit = "parity_px", "px "
    gap = next(iter(card.checkpoints.values())).training[key]
    print(f"{out}: {card.name}, {out.stat().st_size / 2**20:.2f} MB, at most {gap} {unit}from torch")


def _options(transfer: str | None, group: str | None, options: list[str]) -> dict[str, str]:
    """The options "name=value" of the set of a transfer, by name."""
    if transfer is None and (group or options):
        raise typer.BadParameter("these choose faces of the set of --transfer; name it", param_hint="--transfer-...")
    for option in options:
        if not all(option.partition("=")):
            raise typer.BadParameter(
                f"{option!r}: an option has the form name=value, such as scheme=39_left", param_hint="--transfer-option"
            )
    return dict(option.split("=", 1) for option in options)
