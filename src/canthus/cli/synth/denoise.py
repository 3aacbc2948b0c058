"""`canthus synth denoise`: a data set with cleaner labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from canthus.cli.options import NO_ROOT, Root
from canthus.cli.synth.screen import FITS, LabelNoise, Landmarks, MaybeFaceModel, Split, progress, tell

if TYPE_CHECKING:
    from canthus.synth.relabel.clean import Cleaning
    from canthus.synth.relabel.denoise import Choice, Cleaned


def denoise(
    data: Annotated[str, typer.Option(help="Name of a data set, e.g. wild68.")],
    fits: Annotated[Path, typer.Option(help=FITS)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new set; canthus train reads csv:FOLDER.")],
    split: Split = "train",
    root: Root = None,
    model: Annotated[
        Path | None, typer.Option(help="Landmark model: a .canthus bundle.", show_default="no network")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="Weights of a group of points: GROUP=LABEL,FIT,NET, as contour=.2,.3,.5; may be repeated."),
    ] = None,
    choose: Annotated[
        Path | None, typer.Option(help="Choose the weights on the set of this table of fits; it has good labels.")
    ] = None,
    choose_pictures: Annotated[Path | None, typer.Option(help="Folder of the set of --choose.")] = None,
    face_model: MaybeFaceModel = None,
    landmarks: Landmarks = None,
    noise: LabelNoise = 0.012,
    label_noise: Annotated[
        list[str] | None,
        typer.Option(
            help="Mean error of the labels of a group, as a share of the inter-ocular distance: GROUP=ERROR, as "
            "contour=.05; may be repeated; for --choose."
        ),
    ] = None,
    bias_of: Annotated[
        Literal["labels", "net"], typer.Option(help="Annotation bias that the new labels have.")
    ] = "labels",
    max_move: Annotated[
        float, typer.Option(min=0, help="Largest move of a point, as a share of the inter-ocular distance.")
    ] = 0.15,
) -> None:
    """Make labels less noisy: blend each with the fitted face model and the prediction of a network.

    Example: canthus synth denoise --data ytf68 --root data --fits ytf68-train.npz --model prior.canthus
    --weights contour=.2,.3,.5 --weights inner=.2,.3,.5 -o data/ytf68_clean

    The pictures of the set must be files; they are not copied. The network must have been trained on other, good
    labels. --choose finds the weights on a set with good labels; it needs --face-model, and --noise as the table of
    --fits was made with. A point that would move further than --max-move stays where it was; a face with more than a
    quarter of such points, or without a fit, is omitted.

    Exit codes: 0 all done; 1 some faces were omitted, and are listed; 2 wrong usage; 3 nothing done.
    """
    from canthus.synth.relabel.clean import Cleaning, GoodSet, clean
    from canthus.synth.relabel.labels import write_labels
    from canthus.synth.source import open_faces

    if root is None:
        raise typer.BadParameter(NO_ROOT)
    if (choose is None) == (not weights):
        raise typer.BadParameter("give the weights with --weights, or let --choose find them")
    shares = {group: _three(text) for group, text in _by_group(weights, "--weights").items()}
    if model is None and any(share[2] for share in shares.values()):
        raise typer.BadParameter("a weight of the net needs --model", param_hint="--weights")
    good = None
    if choose is not None:
        if choose_pictures is None or face_model is None or model is None or not label_noise:
            raise typer.BadParameter("--choose needs --choose-pictures, --face-model, --model and --label-noise")
        errors = {group: _number(text) for group, text in _by_group(label_noise, "--label-noise").items()}
        good = GoodSet(choose, choose_pictures, face_model, errors, landmarks, noise)
    folder = root / (data.partition(":")[2] or data)
    cleaning = Cleaning(fits, folder, model, shares, good, bias_of, max_move)
    faces = open_faces(data, root, split)
    with progress(len(faces)) as tick:
        cleaned, used, choice = clean(faces, cleaning, tick)
    write_labels(out, split, faces, folder, cleaned, _settings(data, split, cleaning, used, choice))
    tell([*_choice(choice), *_lines(out / f"{split}.csv", faces.images, cleaned)])
    if any(cleaned.problems):
        raise typer.Exit(1)


def _settings(data: str, split: str, cleaning: "Cleaning", weights: Any, choice: "Choice | None") -> dict[str, Any]:
    """What the labels depend on, for JSON."""
    errors = {} if choice is None else {"errors": choice.errors}
    return {"data": data, "split": split, **cleaning.settings(), **errors, "weights": dict(weights)}


def _by_group(texts: list[str] | None, option: str) -> dict[str, str]:
    """GROUP=VALUE by group."""
    for text in texts or []:
        if "=" not in text:
            raise typer.BadParameter(f"{text}: write GROUP=VALUE", param_hint=option)
    return dict(text.split("=", 1) for text in texts or [])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a number") from None


def _three(text: str) -> tuple[float, float, float]:
    numbers = [_number(part) for part in text.split(",")]
    if len(numbers) != 3:
        raise typer.BadParameter(f"{text}: weights are LABEL,FIT,NET", param_hint="--weights")
    return numbers[0], numbers[1], numbers[2]


def _choice(choice: "Choice | None") -> list[str]:
    """The weights that were chosen, and the errors they were chosen by."""
    lines = []
    for group, (label, fit, net) in choice.weights.items() if choice else ():
        errors = ", ".join(f"{name} {error:.2%}" for name, error in choice.errors[group].items()) if choice else ""
        lines.append(f"{group}: label {label:.2f}, fit {fit:.2f}, net {net:.2f}; errors to the truth: {errors}")
    return lines


def _lines(path: Path, images: tuple[str, ...], cleaned: "Cleaned") -> list[str]:
    """How far labels moved, and which faces were omitted."""
    import numpy as np

    used = np.array([not why for why in cleaned.problems])
    moved = cleaned.moved[used][~np.isnan(cleaned.moved[used])]
    return [
        f"{path}: {used.sum()} faces; points moved by {moved.mean():.2%} of the inter-ocular distance, 95 of 100 by "
        f"less than {np.percentile(moved, 95):.2%}; {cleaned.kept[used].sum()} would have moved too far and stay; "
        f"look at {path.stem}.png",
        *(f"  omitted: {image}: {why}" for image, why in zip(images, cleaned.problems, strict=True) if why),
    ]
