"""Options that several verbs share, so that one name has one meaning and one help text everywhere."""

from pathlib import Path
from typing import Annotated, Literal

import typer

DETECTION, MODEL, RULES = "Face detection", "Model", "Scoring rules"
"""Titles of groups of options in the help."""
IN_PACKAGE = "the one in the package"
ROOT = "Folder that holds the data sets, one subfolder each."
TRUTH = "File of true points: .npz, .csv, .json or .mat, or a folder of .pts files."
SCHEME = "Landmark scheme of the points: a name such as 68, or the YAML file of your own one."
NO_ROOT = "give the folder of the data sets with --root or in the environment variable CANTHUS_DATA"

Root = Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help=ROOT)]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe or plan; may be repeated."),
]
ModelFile = Annotated[
    Path | None,
    typer.Option(help="Landmark model: a .canthus bundle.", show_default=IN_PACKAGE, rich_help_panel=MODEL),
]
Threads = Annotated[int, typer.Option(min=0, max=1024, help="CPU threads; 0 = all cores.", rich_help_panel=MODEL)]
Precision = Annotated[
    Literal["fp32", "int8"],
    typer.Option(help="Arithmetic of the model; int8 is faster and slightly less accurate.", rich_help_panel=MODEL),
]
Depth = Annotated[
    int | None,
    typer.Option(
        min=1, help="Stop a model of several stages after this many.", show_default="all", rich_help_panel=MODEL
    ),
]
Device = Annotated[
    Literal["cpu", "cuda", "openvino"],
    typer.Option(help="Processor or engine that runs the model.", rich_help_panel=MODEL),
]
Overlay = Annotated[bool, typer.Option(help="Also write each image, or the video, with its faces drawn on it.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")]
DetectorName = Annotated[
    str | None,
    typer.Option(
        show_default="own",
        help="Face detector: own, opencv, mtcnn, or none (each image is one face; not for videos).",
        rich_help_panel=DETECTION,
    ),
]
MaxFaces = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="all",
        help="Keep at most this many faces per image, most confident first.",
        rich_help_panel=DETECTION,
    ),
]
DetectorModel = Annotated[
    Path | None,
    typer.Option(
        show_default=IN_PACKAGE, help="Model of the detector own: a .canthus bundle.", rich_help_panel=DETECTION
    ),
]
MinFace = Annotated[
    float | None,
    typer.Option(
        min=1,
        show_default="own: 3 % of the longer side, at least 20",
        help="Smallest face to find: longer side of its box in pixels.",
        rich_help_panel=DETECTION,
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, show_default="own: 0.5", help="Minimum detection confidence.", rich_help_panel=DETECTION
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        show_default="own: 0.4",
        help="Boxes that overlap by more than this (intersection over union) are one face.",
        rich_help_panel=DETECTION,
    ),
]
MaxSide = Annotated[
    int | None,
    typer.Option(
        min=32,
        show_default="own: 1920",
        help="Shrink larger images for detection to this longer side in pixels.",
        rich_help_panel=DETECTION,
    ),
]
ResultScheme = Annotated[
    str | None,
    typer.Option(
        show_default="that of the model",
        help="Landmark scheme of the results, e.g. 68, 84 or 39_left; the error of the conversion is reported.",
        rich_help_panel=MODEL,
    ),
]
Passes = Annotated[
    int,
    typer.Option(min=1, help="Alignment passes per detected face; given boxes get one pass.", rich_help_panel=MODEL),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Faces per call of the model.", rich_help_panel=MODEL)]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        help="Named protocol: data set, subset and rules. canthus evaluate --protocols lists them.",
        rich_help_panel=RULES,
    ),
]
SchemeName = Annotated[
    str | None,
    typer.Option(
        help=SCHEME,
        show_default="the protocol's, else 68",
        rich_help_panel=RULES,
    ),
]
NormaliserName = Annotated[
    Literal["inter-ocular", "inter-pupil", "box", "diagonal"] | None,
    typer.Option(
        metavar="NAME",
        help="Distance that errors are divided by: inter-ocular, inter-pupil, box or diagonal.",
        show_default="the protocol's, else inter-ocular",
        rich_help_panel=RULES,
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result to this JSON file; - = standard output."),
]


def write_json(text: str, path: Path) -> None:
    """Write JSON to a file, whole or not at all, or to the standard output where the path is `-`.

    Raises:
        OutputError: the file cannot be written.
    """
    from canthus.work.files import replace_whole

    if str(path) == "-":
        print(text.rstrip("\n"))
        return
    with replace_whole(path) as part:
        part.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
