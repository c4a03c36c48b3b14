"""Public names in the text link to their pages: `recipes.mlp`, `watch`, `lsuv(model, x)`."""

import re
from typing import Any

from reference import public_names

# What may hold a name but no link, or is a link already, is passed over whole.
_PASSED = r"<(?P<tag>pre|a|h[1-6]|summary|nav)\b.*?</(?P=tag)>|<td>\s*<code>\w+</code>\s*</td>"
_CODE = r"<code>(?P<name>[\w.]+)(?P<call>\(.*?\))?</code>"
_PARTS = re.compile(f"(?P<passed>{_PASSED})|{_CODE}", re.DOTALL)


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Links the names."""
    here = page.file.src_uri
    pages = _pages()

    def linked(match: re.Match[str]) -> str:
        to = pages.get(match["name"] or "")
        if to is None or to == here:
            return match[0]
        url = files.get_file_from_path(to).url_relative_to(page.file)
        return f'<a href="{url}">{match[0]}</a>'

    return _PARTS.sub(linked, html)


def _pages() -> dict[str, str]:
    """The page of each way to write a name."""
    pages = {}
    for name in public_names():
        parts = name.public.split(".")
        pages |= {".".join(parts[at:]): name.page for at in range(len(parts))}
    return pages
