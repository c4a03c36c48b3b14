"""The package as it is installed: nothing left out, nothing loaded too early."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("callbacks", "recipes")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel that CI built, or one built now."""
    if "TRAINWELL_WHEEL" in os.environ:
        return Path(os.environ["TRAINWELL_WHEEL"])
    folder, tree = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source") / "tree"
    # setuptools would take over what an earlier build left in `build/`.
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, tree]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file_of_the_tree(wheel):
    kept = {".py", ".pyi", ".typed", ".npz", ".md"}
    tree = {
        f"trainwell/{path.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in kept
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.split("/")[0].endswith("-info")}
    assert inside == tree


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads(package):
    module = import_module(f"trainwell.{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_packages_load_neither_keras_nor_matplotlib_before_they_are_used():
    loaded = modules_after("import trainwell.callbacks, trainwell.recipes")
    assert not loaded & {"keras", "tensorflow", "matplotlib", "numpy", "rich", "typer"}


def test_reading_a_record_loads_no_tensorflow():
    loaded = modules_after("from trainwell.callbacks import TrainingRecord, write_report")
    assert not loaded & {"keras", "tensorflow"}


def test_monitors_load_nothing_of_weight_that_keras_does_not():
    ours = modules_after("from trainwell.callbacks import GradientNorms, ActivationStats")
    own = {name for name in ours - modules_after("import keras") if "." not in name}
    assert own - set(sys.stdlib_module_names) <= {"trainwell", "lazy_loader", "packaging"}


def test_callbacks_never_import_recipes():
    for path in (ROOT / "callbacks").rglob("*.py"):
        imports = re.findall(r"^\s*(?:from|import) .*", path.read_text(), re.MULTILINE)
        assert not any("recipes" in line for line in imports), path


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version("trainwell") == project["version"]
