"""Every link of a built site: `python .ci/links.py SITE`.

Within the site file and anchor must be there; nothing may be loaded from elsewhere; of links that
lead elsewhere only the form is checked, without a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"link", "script", "img", "iframe", "source", "video", "audio", "use"}


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects."""
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src", "data", "poster", "xlink:href"):
                self.links.append((tag, value or ""))


def wrong(site: Path) -> list[str]:
    """What is wrong, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for tag, link in page.links:
            reason = _wrong(site.resolve(), path, tag, link, pages)
            if reason:
                found.append(f"{path.relative_to(site.resolve())}: {link!r} {reason}")
    return found


def _wrong(site: Path, page: Path, tag: str, link: str, pages: dict[Path, Page]) -> str:
    parts = urlsplit(link)
    if parts.scheme in ("data", "mailto"):
        return ""
    if parts.scheme or parts.netloc:
        if tag in LOADED:
            return "is loaded from elsewhere"
        whole = parts.scheme in ("http", "https") and "." in parts.netloc and " " not in link
        return "" if whole else "is not an address"
    base = site if parts.path.startswith("/") else page.parent
    target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(site):
        return "is not in the site"
    anchor = unquote(parts.fragment)
    if target in pages and anchor not in pages[target].anchors:
        return "has no such anchor"
    return ""


if __name__ == "__main__":
    site = Path(sys.argv[1])
    lines = wrong(site)
    count = sum(1 for _ in site.rglob("*.html"))
    if not count:
        sys.exit(f"{site} holds no page")
    print("\n".join([*lines, f"{count} pages, {len(lines)} wrong links"]))
    sys.exit(bool(lines))
