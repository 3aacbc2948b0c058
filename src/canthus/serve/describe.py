"""The description of the interface as one page without scripts, made from its OpenAPI document."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886 }
code, pre { font: .9em ui-monospace, monospace }
pre { overflow: auto; padding: .8rem; border: 1px solid #8886 }
"""


def page_of(document: Mapping[str, Any], examples: Mapping[str, str]) -> str:
    """The page.

    Args:
        document: OpenAPI document.
        examples: Example of a command for each address.
    """
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>',
            f"<h1>{title}</h1><p>{escape(info['description'])}</p>",
            '<p>The same as <a href="openapi.json">openapi.json</a>, for programs.</p>',
            *(part for address, methods in document["paths"].items() for part in _address(address, methods, examples)),
            "<h2>Forms</h2>",
            *(part for name, form in document["components"]["schemas"].items() for part in _form(name, form)),
            "</html>",
        ]
    )


def _address(address: str, methods: Mapping[str, Any], examples: Mapping[str, str]) -> Iterator[str]:
    """One address: its methods with their answers."""
    for method, what in methods.items():
        yield f"<h2><code>{method.upper()} {escape(address)}</code></h2><p>{escape(what.get('description', ''))}</p>"
        if body := what.get("requestBody"):
            yield f"<p>Body: {', '.join(f'<code>{escape(kind)}</code>' for kind in body['content'])}.</p>"
        if address in examples:
            yield f"<pre>{escape(examples[address])}</pre>"
        yield "<table><tr><th>status<th>answer</tr>"
        for status, answer in what["responses"].items():
            yield f"<tr><td>{status}<td>{escape(answer['description'])} {_shape(answer)}</tr>"
        yield "</table>"


def _form(name: str, form: Mapping[str, Any]) -> Iterator[str]:
    """One form of an answer: its fields."""
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(form.get("description", ""))}</p>'
    yield "<table><tr><th>field<th>type<th>meaning</tr>"
    for field, what in form.get("properties", {}).items():
        yield f"<tr><td><code>{escape(field)}</code><td>{_type(what)}<td>{escape(what.get('description', ''))}</tr>"
    yield "</table>"


def _shape(answer: Mapping[str, Any]) -> str:
    """The form of an answer."""
    return ", ".join(_type(kind["schema"]) for kind in answer.get("content", {}).values() if kind.get("schema"))


def _type(what: Mapping[str, Any]) -> str:
    """The type of a field in words."""
    if "$ref" in what:
        name = escape(what["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in what:
        return " or ".join(dict.fromkeys(_type(one) for one in what["anyOf"]))
    if what.get("type") == "array":
        return f"list of {_type(what['items'])}"
    return escape(what.get("type", "any"))
