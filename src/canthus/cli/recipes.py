"""`canthus recipes`: the recipes in the package."""

from pathlib import Path
from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to print.", show_default="list all of them")] = None,
    fields: Annotated[bool, typer.Option("--fields", help="Print what every field of a recipe means.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the recipe to this file, to change it.")
    ] = None,
) -> None:
    """List the recipes of canthus, or print one of them.

    Example: canthus recipes default -o mine.yaml
    """
    from canthus.errors import need
    from canthus.recipes import find, names, summary
    from canthus.work.files import replace_whole

    if fields:
        try:
            from canthus.train.fields import page
        except ModuleNotFoundError as error:
            raise need("train") from error
        print(page(), end="")
        return
    if name is None:
        width = max(map(len, names()))
        for each in names():
            print(f"{each:{width}}  {summary(each)}")
        return
    text = find(name).read_text(encoding="utf-8")
    if out is None:
        print(text, end="")
        return
    with replace_whole(out) as part:
        part.write_text(text, encoding="utf-8")
    print(f"wrote {out}")
