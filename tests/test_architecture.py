"""The rules of the house, as tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import canthus

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "canthus").rglob("*.py"))
HEAVY = {"torch", "lightning", "torchmetrics", "matplotlib", "scipy", "sklearn", "h5py", "ray", "fastapi", "av", "onnx"}
RUNTIME = {"numpy", "cv2", "onnxruntime", "pydantic", "yaml", "typer", "rich", "canthus"}


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
        "__version__",
        "draw",
        "read",
    ]
    assert sorted(dir(canthus)) == sorted(canthus.__all__)
    assert callable(canthus.read)
    assert callable(canthus.draw)
    with pytest.raises(AttributeError, match="it has Aligner"):
        canthus.Telepathy  # noqa: B018


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_file_is_one_idea(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree) or path.name == "__init__.py", "every module says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "cli" not in path.parts:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [argument for argument in arguments if argument.arg not in ("self", "cls")]
            assert len(named) <= 8, f"{node.name} takes {len(named)} parameters"
