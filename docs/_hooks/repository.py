"""What the site shares with the repository: parts of its README, and links that fit both.

The guides are written to be read in the repository. There a link may lead to any file; here it
leads to that file's page, and where the site has none only the path is left. `<!-- include
README.md: HEADING -->` puts in the text below a heading of that file, without a heading that above
the first one.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

# Files outside of docs/ that are pages, or whose parts are.
PAGES = {
    "README.md": "index.md",
    "benchmarks": "measured.md",
    "benchmarks/README.md": "measured.md",
    "CHANGELOG.md": "changelog.md",
    "docs/gallery": "gallery.md",
}
COPIED = {"measured.md": "benchmarks/README.md", "changelog.md": "CHANGELOG.md"}

_INCLUDE = re.compile(r"<!-- include (?P<file>[\w./]+?)(?:: (?P<heading>.+?))? -->")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`[^`]+`")
_FENCE = re.compile(r"^\s*```")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def on_files(files: Any, *, config: Any) -> Any:
    """Makes pages of files outside of docs/."""
    for page, source in COPIED.items():
        files.append(File.generated(config, page, content=_read(config, source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Puts in what is to be included, and lets every link lead to a page."""
    uri = page.file.src_uri
    source = COPIED.get(uri, f"docs/{uri}")

    def included(match: re.Match[str]) -> str:
        section = _section(_read(config, match["file"]), match["heading"])
        if section is None:
            raise PluginError(f"{uri}: {match['file']} has no heading {match['heading']!r}.")
        return _with_links(section, match["file"], uri, files)

    return _INCLUDE.sub(included, _with_links(markdown, source, uri, files))


def _read(config: Any, source: str) -> str:
    root = Path(config.config_file_path).parent
    return (root / source).read_text(encoding="utf-8")


def _title(page: File | None) -> str:
    title = _TITLE.search(page.content_string) if page else None
    return title[1] if title else ""


def _section(text: str, heading: str | None) -> str | None:
    """What stands below a heading of the second level, or between the title and the first one."""
    parts = re.split(r"^##? (.+)$", text, flags=re.MULTILINE)
    if heading is None:
        return parts[2].strip()
    named = dict(zip(parts[1::2], parts[2::2], strict=True))
    return named[heading].strip() if heading in named else None


def _with_links(text: str, source: str, page: str, files: Any) -> str:
    lines, in_code = [], False
    for line in text.split("\n"):
        in_code ^= bool(_FENCE.match(line))
        if not in_code:
            line = _LINK.sub(lambda m: _link(m, source, page, files), line)
            # In a table elsewhere a bar within code needs the backslash; here it would be seen.
            line = _CODE.sub(lambda m: m[0].replace("\\|", "|"), line)
        lines.append(line)
    return "\n".join(lines)


def _link(match: re.Match[str], source: str, page: str, files: Any) -> str:
    target, text = match["target"], match["text"]
    if "://" in target or target.startswith(("#", "mailto:")):
        return match[0]
    path, hash_sign, anchor = target.partition("#")
    of_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if of_repository in PAGES:
        to = PAGES[of_repository]
    elif of_repository.startswith("docs/"):
        to = of_repository.removeprefix("docs/")
    else:
        bare = of_repository.endswith(text)
        return f"`{of_repository}`" if bare else f"{text} (`{of_repository}`)"
    if text.endswith(".md"):
        text = _title(files.get_file_from_path(to)) or text
    to = posixpath.relpath(to, posixpath.dirname(page) or ".")
    return f"{match['image']}[{text}]({to}{hash_sign}{anchor})"
