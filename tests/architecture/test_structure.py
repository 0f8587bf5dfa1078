"""The rules of CONTRIBUTING.md that a program can hold."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("budgets", "trainers", "scheduler", "experiments")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULE_CAP = 400
FUNCTION_CAP = 60
TOP_LEVEL = {
    *PACKAGES, "tests", "docs", ".ci", "pyproject.toml", "README.md", "Makefile", "constraints.txt",
    "CHANGELOG.md", "CONTRIBUTING.md", ".gitignore",
}  # fmt: skip
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)(_|\.|$)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_holds_one_idea_and_says_which(path):
    text = path.read_text()
    assert text.count("\n") <= MODULE_CAP, f"{_name(path)} has {text.count(chr(10))} lines"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{_name(path)} does not say what it is for"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_function_fits_on_a_screen(path):
    long = {n.name: n.end_lineno - n.lineno + 1 for n in _functions(path)}
    assert {name: lines for name, lines in long.items() if lines > FUNCTION_CAP} == {}


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_nothing_is_called_utils(path):
    assert not FORBIDDEN_NAMES.search(path.stem)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_error_is_swallowed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        ):
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            assert raises, f"{_name(path)}:{node.lineno} goes on after any error"


def test_top_level_holds_only_what_earns_it():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("this is no git checkout, so what belongs to the project is not known")
    assert {name.split("/")[0] for name in listed} <= TOP_LEVEL


def test_no_installed_distribution_has_a_package_of_ours():
    ours = {*PACKAGES}
    clashes = {
        package: names
        for package, names in importlib.metadata.packages_distributions().items()
        if package in ours and set(names) - {"interlude-scheduler"}
    }
    assert clashes == {}


def test_links_between_documents_lead_somewhere():
    broken = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{_name(page)}: {target}")
    assert broken == []


def test_paths_that_documents_name_exist():
    missing = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        named = re.findall(
            r"`((?:budgets|trainers|scheduler|experiments|docs)/[\w/.-]+)`", page.read_text()
        )
        for path in named:
            if not (ROOT / path).exists():
                missing.append(f"{_name(page)}: {path}")
    assert missing == []


def test_every_direct_dependency_is_pinned_for_installation():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=~ ]", line)[0].lower().replace("_", "-") for line in wanted}
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert names - pinned == set()
