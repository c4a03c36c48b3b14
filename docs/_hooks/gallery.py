"""One page for each experiment of `trainwell reproduce`, from what its full run wrote.

A folder `docs/gallery/NAME` holds what `trainwell reproduce NAME --out docs/gallery/NAME` wrote.
`<!-- gallery -->` puts in an overview.
"""

import json
import logging
import re
from pathlib import PurePosixPath
from typing import Any

from mkdocs.structure.files import File

from trainwell.recipes.reproduce.catalog import EXPERIMENTS, Experiment

_log = logging.getLogger("mkdocs.hooks.gallery")
_MARK = "<!-- gallery -->"


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages."""
    pages: list[Any] = ["gallery.md"]
    for experiment in EXPERIMENTS:
        table = files.get_file_from_path(f"gallery/{experiment.name}/table.md")
        if table is not None:
            page = f"gallery/{experiment.name}.md"
            files.append(File.generated(config, page, content=_page(experiment, files)))
            files.remove(table)
            pages.append({experiment.name: page})
    known = {experiment.name for experiment in EXPERIMENTS}
    for folder in sorted({file.src_uri.split("/")[1] for file in _in_folders(files)} - known):
        _log.warning("docs/gallery/%s is of no experiment that `trainwell reproduce` knows", folder)
    for entry in config.nav:
        if entry.get("Experiments") == "gallery":
            entry["Experiments"] = pages
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Puts in the overview."""
    if _MARK not in markdown:
        return markdown
    entries = [_entry(experiment, files) for experiment in EXPERIMENTS]
    return markdown.replace(
        _MARK, '<div class="gallery" markdown>\n\n' + "\n\n".join(entries) + "\n\n</div>"
    )


def _page(experiment: Experiment, files: Any) -> str:
    name = experiment.name
    text = files.get_file_from_path(f"gallery/{name}/table.md").content_string
    head, _, table = text.partition("\n| ")
    summary = json.loads(files.get_file_from_path(f"gallery/{name}/summary.json").content_string)
    figures = [f"![{_alt(figure)}]({name}/{figure})" for figure in _figures(name, files)]
    parts = [
        f"---\ntitle: {name}\n---",
        head.strip(),
        f"```bash\n{_command(name, summary)}\n```",
        *figures,
        f"| {table.strip()}" if table else "",
        f"{_effort(summary)} [All numbers]({name}/summary.json).",
    ]
    return "\n\n".join(parts)


def _entry(experiment: Experiment, files: Any) -> str:
    name = experiment.name
    figures = _figures(name, files)
    if files.get_file_from_path(f"gallery/{name}.md") is None:
        return f"<p markdown>`trainwell reproduce {name}`<br>{experiment.title}</p>"
    image = f"![{_alt(figures[0])}](gallery/{name}/{figures[0]})" if figures else ""
    return f"[{image} **{name}** {experiment.title}](gallery/{name}.md)"


def _command(name: str, summary: dict[str, Any]) -> str:
    options = [
        " --quick" if summary["quick"] else "",
        f" --seeds {seeds}" if (seeds := summary.get("seeds_given")) else "",
        " --data digits" if summary["data"] == "digits" else "",
    ]
    return f"trainwell reproduce {name}{''.join(options)}"


def _effort(summary: dict[str, Any]) -> str:
    seconds = summary["seconds"]
    time = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    spread = any(row["deviation"] is not None for row in summary["rows"])
    given = "Deviations are standard deviations over the seeds. " if spread else ""
    made = ", ".join(summary[key] for key in ("date", "machine", "versions"))
    return f"{given}The run took {time}; {made}."


def _figures(name: str, files: Any) -> list[str]:
    paths = [PurePosixPath(file.src_uri) for file in _in_folders(files)]
    return sorted(p.name for p in paths if p.parts[1] == name and p.suffix == ".png")


def _in_folders(files: Any) -> list[Any]:
    return [file for file in files if re.match(r"gallery/[^/]+/", file.src_uri)]


def _alt(figure: str) -> str:
    return PurePosixPath(figure).stem.replace("_", " ").replace("-", " ").capitalize()
