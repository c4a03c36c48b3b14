"""SVG drawings become part of their page, so that they take its colours, light or dark."""

import re
from pathlib import Path
from typing import Any

_IMAGE = re.compile(r'<img alt="(?P<alt>[^"]*)" src="(?P<path>images/[\w-]+\.svg)"\s*/?>')


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Puts them in."""

    def drawn(match: re.Match[str]) -> str:
        svg = (Path(config.docs_dir) / match["path"]).read_text(encoding="utf-8")
        svg = svg[svg.index("<svg") :].replace("<svg", f'<svg aria-label="{match["alt"]}"', 1)
        return f'<span class="drawing-scroll">{svg}</span>'

    return _IMAGE.sub(drawn, html)
