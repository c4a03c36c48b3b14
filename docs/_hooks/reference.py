"""One page for each public name, from the docstrings of the installed package.

The names are those of `__all__`, so that a new one has its page without an edit here. Its group in
the navigation is that of the module that defines it; of a module in no group, "Other".
"""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

PACKAGES = ("trainwell.recipes", "trainwell.recipes.search", "trainwell.callbacks")

_R, _C = "trainwell.recipes.", "trainwell.callbacks."
GROUPS = {
    "Builders": (
        *(_R + name for name in ("mlp", "self_normalizing", "residual", "wide_and_deep")),
        *(_R + name for name in ("convolutional", "resnet", "recurrent", "replicate")),
    ),
    "Activations and layers": (
        *(_R + name for name in ("activations", "layers", "monte_carlo")),
        _C + "activation_facts",
    ),
    "Initializers": tuple(_R + name for name in ("initializers", "lsuv", "fixup", "signal")),
    "Optimizers and schedules": (
        *(_R + name for name in ("optimizers", "schedules", "regularizers")),
        *(_R + name for name in ("newton_step", "hessian_spectrum")),
        *(_C + name for name in ("one_cycle", "halve_on_plateau", "no_improvement")),
        _C + "learning_rate_range",
    ),
    "Pretraining and transfer": (_R + "pretraining", _R + "transfer"),
    "Monitors and records": tuple(
        _C + name for name in ("gradient_norms", "activation_stats", "record")
    ),
    "Figures and reports": tuple(
        _C + name for name in ("plots", "_activation_plots", "report", "tensorboard")
    ),
    "Doctor": (
        *(_C + name for name in ("training_doctor", "diagnosis.diagnose", "diagnosis")),
        *(_R + name for name in ("preflight", "prescription", "repair", "_repair_result")),
    ),
    "Search": tuple(
        _R + name for name in ("search.tuner", "search.space", "search.stages", "search")
    ),
    "Data": (_R + "datasets",),
}
OTHER = "Other"


@dataclass(frozen=True)
class Name:
    """A public name.

    Attributes:
        package: That exports it.
        name: Its own.
        module: That defines it.
    """

    package: str
    name: str
    module: str

    @property
    def public(self) -> str:
        """As one writes it after `from trainwell import callbacks, recipes`."""
        return f"{self.package.removeprefix('trainwell.')}.{self.name}"

    @property
    def path(self) -> str:
        """Where it is defined: `recipes.mlp` is a module, and a function in it."""
        return self.module if self.is_module else f"{self.module}.{self.name}"

    @property
    def is_module(self) -> bool:
        """Whether it is a module itself, `recipes.datasets` say."""
        return self.module == f"{self.package}.{self.name}" and not _defines(self.module, self.name)

    @property
    def page(self) -> str:
        """Its page; `repair` and `Repair` share one, as some file systems would have it."""
        return f"reference/{self.public.casefold()}.md"

    @property
    def group(self) -> str:
        """Its heading in the navigation."""
        return [*GROUPS, OTHER][self.place[0]]

    @property
    def place(self) -> tuple[int, int]:
        """Its group's, and its module's therein."""
        for group, modules in enumerate(GROUPS.values()):
            for at, module in enumerate(modules):
                if f"{self.module}.".startswith(f"{module}."):
                    return group, at
        return len(GROUPS), 0

    @property
    def purpose(self) -> str:
        """The first line of its docstring; of a constant without one, of its module's."""
        text = _docstring(self.module, None if self.is_module else self.name)
        line = (text or _docstring(self.module, None)).partition("\n")[0]
        line = line.removeprefix(f"`{self.name}`: ")
        return line[:1].upper() + line[1:]


def public_names() -> list[Name]:
    """Every public name, in the order of the groups, their modules and the stubs."""
    found = [name for package in PACKAGES for name in _names_of(package)]
    return sorted(found, key=lambda name: name.place)


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages, and their overview."""
    if _source("trainwell.recipes").parent.parent.name != "trainwell":
        raise PluginError("Docstrings are read from a trainwell that is installed, not editable.")
    names = public_names()
    pages: dict[str, list[Name]] = {}
    for name in names:
        pages.setdefault(name.page, []).append(name)
    for page, on_it in pages.items():
        on_it.sort(key=lambda name: name.name[0].isupper())  # `repair`, then what it returns
        files.append(File.generated(config, page, content=_page(on_it)))
    files.append(File.generated(config, "reference/index.md", content=_overview(names)))
    sections: list[Any] = ["reference/index.md"]
    for group, of_group in groupby(pages.items(), key=lambda entry: entry[1][0].group):
        sections.append({group: [{on_it[0].name: page} for page, on_it in of_group]})
    for entry in config.nav:
        if entry.get("Reference") == "reference":
            entry["Reference"] = sections
    return files


def _page(names: list[Name]) -> str:
    parts = [f"---\ntitle: {names[0].public}\n---\n"]
    for level, name in enumerate(names, start=1):
        options = f"heading: {name.public}\n      heading_level: {level}"
        parts.append(f"::: {name.path}\n    options:\n      {options}\n")
        if not name.is_module and not _docstring(name.module, name.name):
            parts.append(name.purpose)
    return "\n".join(parts)


def _overview(names: list[Name]) -> str:
    lines = ["# Reference", "", "Every public name, from its docstring.", ""]
    for group, of_group in groupby(names, key=lambda name: name.group):
        lines += [f"## {group}", "", "| | |", "| --- | --- |"]
        lines += [
            f"| [`{one.public}`]({one.page.removeprefix('reference/')}) | {one.purpose} |"
            for one in of_group
        ]
        lines.append("")
    return "\n".join(lines)


def _names_of(package: str) -> Iterator[Name]:
    stub = ast.parse(_source(package).with_suffix(".pyi").read_text(encoding="utf-8"))
    modules = {
        alias.name: f"{package}.{statement.module or alias.name}"
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    public = importlib.import_module(package).__all__
    for name in sorted(public, key=list(modules).index):
        if f"{package}.{name}" not in PACKAGES:
            yield Name(package, name, modules[name])


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return Path(spec.origin)


def _defines(module: str, name: str) -> bool:
    return any(name in _bound(node) for node in ast.parse(_source(module).read_text("utf-8")).body)


def _docstring(module: str, name: str | None) -> str:
    """The docstring of a module, or of what it defines; of a constant the string below it."""
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    if name is None:
        return ast.get_docstring(tree) or ""
    for at, node in enumerate(tree.body):
        if name not in _bound(node):
            continue
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            return ast.get_docstring(node) or ""
        below = tree.body[at + 1] if at + 1 < len(tree.body) else None
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            return str(below.value.value)
    return ""


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]
