"""`canthus synth denoise`: a data set with cleaner labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.synth.relabel.denoise import Choice, Cleaned, Weights


def denoise(
    data: Annotated[str, typer.Option(help="A data set whose pictures are files, as ytf68.")],
    fits: Annotated[Path, typer.Option(help="Table of canthus synth fit of this split.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new set: csv:FOLDER for canthus train.")],
    split: Annotated[str, typer.Option(help="Of the set.")] = "train",
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Bundle of a network trained on other, good labels: the second prior.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="GROUP=LABEL,FIT,NET, as contour=.2,.3,.5; a later group overrides."),
    ] = None,
    choose: Annotated[
        Path | None, typer.Option(help="Table of fits of a set with good labels, on which weights are chosen.")
    ] = None,
    choose_pictures: Annotated[Path | None, typer.Option(help="Folder of that set.")] = None,
    face_model: Annotated[Path | None, typer.Option(help="Face model, .npz, to choose with.")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark vertices.", show_default="landmarks.json beside the model")
    ] = None,
    noise: Annotated[float, typer.Option(min=1e-4, max=1, help="--noise that --fits was made with.")] = 0.012,
    label_noise: Annotated[
        list[str] | None,
        typer.Option(help="GROUP=ERROR of the labels, as contour=.05: mean, of the inter-ocular; to choose with."),
    ] = None,
    style: Annotated[str, typer.Option(help="Whose manner the new labels have: labels, or net.")] = "labels",
    limit: Annotated[float, typer.Option(min=0, help="A point moves no further, of the inter-ocular.")] = 0.15,
) -> None:
    """Make labels less noisy: each point a blend of its label, the fitted face model and a network's prediction.

    Pictures are not copied. A point that would move beyond the limit stays; a face with more than a quarter of such
    points, or without a fit, is left out.

    Example: canthus synth denoise --data ytf68 --root data --fits ytf68-train.npz --model prior.canthus
    --weights contour=.2,.3,.5 --weights inner=.2,.3,.5 -o data/ytf68_clean

    Exit codes: 0 all done; 1 some faces were left out, and are listed; 2 wrong usage; 3 nothing done.
    """
    from dataclasses import replace

    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from canthus.face3d.fit import FitOptions
    from canthus.geometry.crop import box_of
    from canthus.schemes.scheme import Scheme
    from canthus.synth.photographs import open_photographs
    from canthus.synth.relabel.denoise import Estimates, blend, frames, in_style, limited, point_weights
    from canthus.synth.relabel.labels import write_labels
    from canthus.synth.relabel.priors import Prior, Rehearsal, fitted
    from canthus.synth.source import open_faces
    from canthus.synth.table import Job
    from canthus.work.jobs import digest

    if root is None:
        raise typer.BadParameter("say where the data sets lie: --root, or the environment variable CANTHUS_DATA")
    if style not in ("labels", "net"):
        raise typer.BadParameter("labels or net", param_hint="--style")
    if (choose is None) == (not weights):
        raise typer.BadParameter("say how to blend: --weights, or --choose to find them")
    if choose is not None and None in (model, choose_pictures, face_model, label_noise):
        raise typer.BadParameter("--choose needs --choose-pictures, --face-model, --model and --label-noise")
    shares: Weights = {group: _three(numbers) for group, numbers in _by_group(weights, "--weights").items()}
    if model is None and any(share[2] for share in shares.values()):
        raise typer.BadParameter("a weight of the net needs --model", param_hint="--weights")

    console = Console(stderr=True)
    faces, folder = open_faces(data, root, split), root / (data.partition(":")[2] or data)
    scheme = Scheme.open(faces.scheme)
    if weights:
        point_weights(shares, scheme)
    fit, unit = fitted(open_photographs(fits, folder), faces, fits)
    net = np.full_like(faces.points, np.nan)
    if model is not None:
        prior = Prior.open(model, scheme.name)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=len(faces.images))
            pictures = [folder / name for name in faces.images]
            net = prior.points(pictures, faces.points, lambda count: progress.advance(task, count))
    estimates, axes = Estimates(faces.points, fit, net), frames(faces.points, unit, scheme)
    settings = {"data": data, "split": split, "fits": digest(fits), "style": style, "limit": limit}
    settings |= {"model": digest(model) if model else None}
    if choose is not None and choose_pictures is not None and face_model is not None:
        good = open_photographs(choose, choose_pictures)
        if good.scheme != scheme.name:
            raise typer.BadParameter(f"scheme {good.scheme}, the labels are of {scheme.name}", param_hint="--choose")
        manner = b"" if good.style is None else good.style.astype(np.float64).tobytes()
        fitter = Job(face_model, landmarks, scheme.name, True, FitOptions(noise=noise), manner).fitter()
        sides = box_of(faces.points)
        small = replace(prior, size=float(np.median((sides[:, 2:] - sides[:, :2]).max(1))))
        errors = {group: _number(text) for group, text in _by_group(label_noise, "--label-noise").items()}
        choice = Rehearsal(good, fitter, small, errors).choose(estimates, axes)
        shares = choice.weights
        settings |= {"chosen_on": digest(choose), "label_noise": errors, "errors": choice.errors}
        _tell_choice(console, choice)
    estimates = in_style(estimates, axes, scheme, "net" if style == "net" else "labels")
    cleaned = limited(estimates.label, blend(estimates, point_weights(shares, scheme)), unit, limit)
    write_labels(out, split, faces, folder, cleaned, {**settings, "weights": dict(shares)})
    _tell(console, out / f"{split}.csv", faces.images, cleaned)
    if any(cleaned.problems):
        raise typer.Exit(1)


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


def _tell_choice(console: "Console", choice: "Choice") -> None:
    """What was chosen, and by which errors."""
    for group, shares in choice.weights.items():
        errors = ", ".join(f"{name} {error:.2%}" for name, error in choice.errors[group].items())
        label, fit, net = shares
        console.print(
            f"{group}: label {label:.2f}, fit {fit:.2f}, net {net:.2f}; errors where the truth is known: {errors}",
            highlight=False,
            soft_wrap=True,
        )


def _tell(console: "Console", path: Path, images: tuple[str, ...], cleaned: "Cleaned") -> None:
    """How far labels moved, and which faces were left out."""
    import numpy as np

    refused = [(image, why) for image, why in zip(images, cleaned.problems, strict=True) if why]
    used = np.array([not why for why in cleaned.problems])
    moved = cleaned.moved[used][~np.isnan(cleaned.moved[used])]
    console.print(
        f"{path}: {used.sum()} faces; points moved {moved.mean():.2%} of the inter-ocular distance, 95 of 100 less "
        f"than {np.percentile(moved, 95):.2%}; {cleaned.kept[used].sum()} stay beyond the limit; "
        f"look at {path.stem}.png",
        highlight=False,
        soft_wrap=True,
    )
    for image, why in refused:
        console.print(f"  left out: {image}: {why}", markup=False, highlight=False, soft_wrap=True)
