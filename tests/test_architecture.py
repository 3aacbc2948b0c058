"""The rules of the house, as tests."""

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import canthus

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "canthus").rglob("*.py"))
HEAVY = {
    "torch",
    "lightning",
    "torchmetrics",
    "matplotlib",
    "scipy",
    "sklearn",
    "h5py",
    "ray",
    "fastapi",
    "uvicorn",
    "av",
    "onnx",
}
RUNTIME = {"numpy", "cv2", "PIL", "onnxruntime", "pydantic", "yaml", "typer", "rich", "canthus"}


def loaded_after(code: str) -> set[str]:
    """Names of the top-level modules that some code loads."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_canthus_loads_next_to_nothing() -> None:
    loaded = loaded_after("import canthus")
    assert not loaded & (HEAVY | {"numpy", "cv2", "onnxruntime", "typer"})


def test_the_command_line_loads_nothing_heavy_for_its_help() -> None:
    loaded = loaded_after("import canthus.cli, typer.main; typer.main.get_command(canthus.cli.app)")
    assert not loaded & (HEAVY | {"cv2", "onnxruntime"})


def test_the_runtime_loads_only_what_it_is_allowed_to() -> None:
    code = "import canthus\nfor name in canthus.__all__: getattr(canthus, name)\ncanthus.Pipeline.open()"
    loaded = loaded_after(code)
    assert not loaded & HEAVY
    ours = {name for name in loaded - loaded_after("pass") if not name.startswith("_")} - sys.stdlib_module_names
    needed_by_these = {"pydantic_core", "annotated_types", "typing_inspection", "typing_extensions", "cython_runtime"}
    assert ours <= RUNTIME | needed_by_these


def test_layers() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_public_names() -> None:
    assert canthus.__all__ == [
        "Aligner",
        "CanthusError",
        "Detector",
        "Face",
        "Faces",
        "Pipeline",
        "Scheme",
        "Tracker",
        "__version__",
        "draw",
        "read",
    ]
    assert sorted(dir(canthus)) == sorted(canthus.__all__)
    assert callable(canthus.read)
    assert callable(canthus.draw)
    with pytest.raises(AttributeError, match="it has Aligner"):
        canthus.Telepathy  # noqa: B018


def test_an_unlisted_module_that_breaks_the_layers_is_found_out(tmp_path: Path) -> None:
    """What `scripts/check` runs fails on a new module that no contract names, and on a breach inside a listed one."""
    lint = Path(sys.executable).with_name("lint-imports")
    for name, text in (("telepathy.py", "import numpy\n"), ("align/telepathy.py", "import torch\n")):
        copy = tmp_path / name.replace("/", "_")
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.canthus", "__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / "src" / "canthus" / name).write_text(f'"""Planted."""\n\n{text}')
        environment = os.environ | {"PYTHONPATH": str(copy / "src")}
        result = subprocess.run(
            [lint, "--no-cache"], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode != 0
        assert "telepathy" in result.stdout


def test_no_import_circles() -> None:
    """Imports for type checking count as well."""
    modules = {_module(path): path for path in SOURCES}
    graph = {name: _imports(path) & modules.keys() for name, path in modules.items()}
    while leaves := {name for name, needed in graph.items() if not needed}:
        graph = {name: needed - leaves for name, needed in graph.items() if name not in leaves}
    left = {name for name in graph if any(name in needed for needed in graph.values())}
    assert not left, f"these import each other, or one that does: {sorted(left)}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    """What a file imports from canthus: a module, or the module of a name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "canthus":
            parent = ROOT / "src" / Path(*str(node.module).split("."))
            for name in (alias.name for alias in node.names):
                inside = (parent / f"{name}.py").exists() or (parent / name / "__init__.py").exists()
                found.add(f"{node.module}.{name}" if inside else str(node.module))
    return found


def test_a_folder_is_one_room() -> None:
    files = Counter(path.parent for path in SOURCES)
    assert max(files.values()) <= 20, files.most_common(1)


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef, *, body: bool) -> int:
    """Lines of a function; of its body those after the docstring."""
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    assert node.end_lineno is not None
    return node.end_lineno - (first.lineno if body else node.lineno) + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_file_is_one_idea(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree) or path.name == "__init__.py", "every module says what it is for"
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if "cli" in path.parts:
            assert lines_of(node, body=True) <= 40, f"{node.name} does more than parse, call and print"
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        named = [argument for argument in arguments if argument.arg not in ("self", "cls")]
        assert len(named) <= 8, f"{node.name} takes {len(named)} parameters"
        assert lines_of(node, body=False) <= 60, f"{node.name} is too long"
