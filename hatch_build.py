"""Build hook: the README and the project URLs as a package index shows them.

A package index has none of the files that the README links to. With the public address of the repository, links and
pictures become absolute; without it, pictures are omitted and links become plain text. The address is `address` under
`tool.hatch.metadata.hooks.custom` in pyproject.toml, or the environment variable CANTHUS_ADDRESS, which goes first.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")
"""A link to a file of the repository, or a picture in it: mark of a picture, text, path."""


class IndexMetadata(MetadataHookInterface):
    """Fills in the fields `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the fields in the metadata of the project."""
        address = os.environ.get("CANTHUS_ADDRESS", self.config.get("address", "")).rstrip("/")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        tag = f"v{metadata['version']}"
        metadata["readme"] = {"content-type": "text/markdown", "text": readme_of(text, address, tag)}
        metadata["urls"] = urls_of(address, tag)


def readme_of(text: str, address: str, tag: str) -> str:
    """The README without links to files that a package index does not have.

    Args:
        text: The README of the repository.
        address: Public address of the repository; empty = there is none.
        tag: Tag of the release.
    """

    def absolute(found: re.Match[str]) -> str:
        mark, title, path = found.groups()
        if not address:
            return "" if mark else title
        return f"{mark}[{title}]({address}/{'raw' if mark else 'blob'}/{tag}/{path})"

    return RELATIVE.sub(absolute, text)


def urls_of(address: str, tag: str) -> dict[str, str]:
    """Project URLs by label; none without an address."""
    if not address:
        return {}
    files = f"{address}/blob/{tag}"
    return {
        "Source": address,
        "Documentation": f"{files}/README.md#documentation",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
