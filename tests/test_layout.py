"""The house rules: floors, arrows, names and style, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("spaces", "export", "trainables", "search")
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
ALLOWED_TOP = {
    *FLOORS,
    "tests",
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "Makefile",
    ".ci",
    ".gitignore",
    "LICENSE",
    "docs",
}
FORBIDDEN = {
    "spaces": {"torch", "tensorflow", "ray", "wandb", "torchaudio", "transformers", "litert_torch"},
    "export": {"ray", "wandb", "transformers", "torchaudio"},
    "trainables": {"wandb"},
    "search": set(),
}
HEAVY_AT_IMPORT = {"spaces": {"optuna"}, "export": {"torch", "litert_torch", "plotly"}}


def imports(path: Path, only_at_import: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if only_at_import else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def floor_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def of_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_imports_point_left(path: Path) -> None:
    to_the_right = set(FLOORS[FLOORS.index(floor_of(path)) + 1 :])
    assert not imports(path) & to_the_right


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_outside_imports_are_the_floors_own(path: Path) -> None:
    assert not imports(path) & FORBIDDEN[floor_of(path)]


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_heavy_imports_wait_until_needed(path: Path) -> None:
    assert not imports(path, only_at_import=True) & HEAVY_AT_IMPORT.get(floor_of(path), set())


def test_ray_is_imported_by_one_file_of_trainables() -> None:
    assert [p.name for p in SOURCES if floor_of(p) == "trainables" and "ray" in imports(p)] == ["ray_trainable.py"]


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_names_say_something_and_shadow_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
    if path.parent.name in FLOORS and path.stem not in {"__init__", "__main__"}:
        assert path.stem not in sys.stdlib_module_names
        assert path.stem not in {"ray", "torch", "optuna", "wandb", "numpy", "transformers", "tensorflow"}


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_module_says_what_is_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_classes_are_abstract_final_frozen_or_errors(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            names = {ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases}
            marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
            sealed = marks & {"final", "dataclass"} or names & {
                "ABC",
                "Protocol",
                "NamedTuple",
                "Enum",
                "IntEnum",
                "StrEnum",
                "TypedDict",
            }
            assert sealed or any(name.endswith("Error") for name in names), f"{node.name} is neither abstract nor final"


@pytest.mark.parametrize("path", SOURCES, ids=of_path)
def test_unpickles_nothing(path: Path) -> None:
    source = path.read_text()
    assert not imports(path) & {"pickle", "dill", "joblib", "shelve"}
    assert source.count("torch.load(") == source.count("weights_only=True")


def test_top_level_is_the_agreed_one() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in tracked.splitlines()} <= ALLOWED_TOP


def test_tests_have_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_help_is_light() -> None:
    code = "import sys; from search.__main__ import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "wakeword" in done.stdout
    assert not {"torch", "ray", "optuna", "tensorflow", "numpy"} & set(done.stdout.split())
