"""One HTML page that needs nothing but itself: its style, its figures, its writing to disk.

Figures are inline SVG whose colours are CSS variables, so that one drawing serves light and dark.
"""

import os
import re
from html import escape
from io import StringIO
from os import PathLike
from pathlib import Path
from string import Template

import matplotlib
from matplotlib.figure import Figure

from ._palette import COLOURS, css_colour

_VARIABLES = [
    "".join(f"--{name}:{pair[dark]};" for name, pair in COLOURS.items()) for dark in (0, 1)
]
_STYLE = Template("""
:root { color-scheme: light dark; --font: system-ui, -apple-system, "Segoe UI", sans-serif;
  $light }
@media (prefers-color-scheme: dark) { :root { $dark } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 60rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 var(--font); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p, ul, ol { margin: .4rem 0 } ul, ol { padding-left: 1.3rem }
.muted, figcaption, dt, th { color: var(--muted) } .alert { color: var(--alert) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: .7rem 1.2rem; margin: .6rem 0 } dt { font-size: .8rem } dd { margin: 0 }
figure { margin: 1rem 0 } figcaption { font-size: .85rem }
.wide { overflow-x: auto } .wide svg { display: block; width: 100%; height: auto; min-width: 34rem;
  stroke-linejoin: round; stroke-linecap: butt }
table { border-collapse: collapse; font-size: .85rem; width: 100%;
  font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule) }
th { font-weight: 500; vertical-align: bottom; white-space: normal }
th.text, td.text { text-align: left }
td.text:last-child { white-space: normal; min-width: 13rem }
td.bar { min-width: 5rem }
td.bar i { display: block; height: .6rem; border-radius: 2px; min-width: 2px }
details { margin: .8rem 0; border-top: 1px solid var(--rule); padding-top: .6rem }
summary { cursor: pointer; font-weight: 600 }
.finding { border-left: 3px solid var(--rule); padding-left: .9rem; margin: 1.4rem 0 }
.finding.error { border-color: var(--alert) } .finding.warning { border-color: var(--run-4) }
.finding h3 { font-size: 1.1rem; margin-top: 0 } .finding details { border: 0; padding-top: 0 }
.finding li { margin: .5rem 0 } .finding summary { font-weight: 400 }
.error .badge { color: var(--alert) } .effects { margin-left: clamp(.6rem, 4vw, 2rem) }
.first { border: 1px solid var(--rule); border-radius: 8px; padding: .2rem 1rem .6rem }
.first h3 { margin-top: .6rem } a { color: inherit }
code { font: .85em/1.5 ui-monospace, Menlo, Consolas, monospace }
pre { margin: .3rem 0; padding: .35rem .6rem; border: 1px solid var(--rule); border-radius: 6px;
  white-space: pre-wrap }
""").substitute(light=_VARIABLES[0], dark=_VARIABLES[1])

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def write_page(path: str | PathLike[str], title: str, body: str) -> Path:
    """Writes a page beside `path` and puts it in its place once it is whole.

    Args:
        path: The file.
        title: The page's title, as text.
        body: HTML, already escaped.

    Returns:
        The file.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    page = _PAGE.substitute(title=escape(title), style=_STYLE, body=body)
    try:
        # A lone surrogate, as in a badly decoded name, must not cost the report.
        partial.write_text(page, encoding="utf-8", errors="replace")
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def figure_html(figure: Figure, caption: str) -> str:
    """A figure as inline SVG with a caption (text)."""
    return (
        f'<figure><div class="wide">{inline_svg(figure, caption)}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def inline_svg(figure: Figure, label: str) -> str:
    """A figure as an `<svg>` element without outside references, in the page's colours."""
    file = StringIO()
    # Without a salt, ids are random: those of two figures on one page must differ.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": None}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"""<g id=("[^"]*"|'[^']*')""", "<g", svg)
    svg = re.sub(r"( d=\")([^\"]*)", lambda found: found[1] + _shortened(found[2]), svg)
    svg = re.sub(r"(?<=: )#[0-9a-f]{6}", lambda found: css_colour(found[0]), svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    svg = re.sub(r">\s+<", "><", re.sub(r' transform="rotate\(-0 [^"]*"', "", svg))
    size = re.search(r'width="[\d.]+pt" height="[\d.]+pt" ', svg)
    svg = svg.replace(size[0], "", 1) if size else svg
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _shortened(path: str) -> str:
    """Path data to a tenth of a point, which no one can see, at half the size."""
    path = " ".join(re.sub(r"(\.\d)\d+", r"\1", path).split())
    # After M, further points are lines by themselves.
    return path if re.search("[CQ]", path) else path.replace("L ", "")
