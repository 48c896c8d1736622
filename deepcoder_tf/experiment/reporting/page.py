"""The page: sections of figures as one HTML document that needs nothing beside it."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.figures.style import DPI

__all__ = ["Missing", "Picture", "Section", "Table", "render"]

SVG_LIMIT = 500_000
"""Bytes; a larger SVG, of many points, is shown as PNG."""

CSS_INCH = 96

TALL = 1.25
"""A figure of more than that many times its width stands beside two others."""


class Picture(NamedTuple):
    """A figure that was drawn.

    Attributes:
      title: a heading.
      caption: what is seen and from which cell.
      path: of the files, without `.png` and `.svg`.
    """

    title: str
    caption: str
    path: Path


class Missing(NamedTuple):
    """A figure that could not be drawn.

    Attributes:
      title: its heading.
      reason: what is not there, one line.
    """

    title: str
    reason: str


class Table(NamedTuple):
    """Numbers.

    Attributes:
      title: a heading.
      caption: what they are.
      headings: of the columns.
      rows: of cells as text.
    """

    title: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """A part of the page.

    Attributes:
      anchor: its name in links.
      title: its heading.
      items: what it shows, in order.
      folded: what is shown on demand, by title.
    """

    anchor: str
    title: str
    items: Sequence[Picture | Missing | Table]
    folded: dict[str, list[Picture | Missing | Table]]


PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>$title</title>
<style>
:root { --ink: #222; --soft: #595959; --line: #d9d9d9; --link: #0a5a8c; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header { max-width: 66rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.5rem 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 1rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
a { color: var(--link); }
p { margin: .25rem 0; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
nav { margin: 1rem 0; padding: .75rem 1rem; background: #f6f6f6; border-radius: .5rem; }
nav ul { margin: 0; padding-left: 1.1rem; }
nav li { break-inside: avoid; }
nav > ul { columns: 20rem; }
.figures { display: grid; gap: 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; min-width: 0; }
@media (min-width: 58rem) { .tall { grid-row: span 2; } }
img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: .5rem; max-width: 40rem; }
code { font-size: .8125rem; overflow-wrap: anywhere; }
.missing { grid-column: 1 / -1; padding: .5rem .75rem; border-left: 3px solid #a6761d;
  background: #fbf7ef; font-size: .9375rem; }
.whole { grid-column: 1 / -1; min-width: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem 1rem; }
details[open] { padding-bottom: 1.25rem; }
summary { cursor: pointer; padding: .25rem 0; font-weight: 600; }
footer { margin: 3rem 0 2rem; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
$facts
<nav aria-label="Contents"><ul>
$contents
</ul></nav>
</header>
<main>
$sections
<footer class="soft">$footer</footer>
</main>
</body>
</html>
""")


def render(title: str, facts: Sequence[str], sections: Sequence[Section], footer: str) -> str:
    """The page as text.

    Args:
      title: heading.
      facts: lines below it.
      sections: in order.
      footer: last line.

    Returns:
      HTML.

    Raises:
      UserError: a figure's file cannot be read.
    """
    return PAGE.substitute(
        title=escape(title),
        facts="\n".join(f'<p class="soft">{escape(fact)}</p>' for fact in facts),
        contents="\n".join(contents(section) for section in sections),
        sections="\n".join(section_html(section) for section in sections),
        footer=escape(footer),
    )


def contents(section: Section) -> str:
    """A section and its figures as a list entry."""
    links = "".join(
        f'<li><a href="#{anchor(section, n)}">{escape(item.title)}</a></li>'
        for n, item in enumerate(section.items)
    )
    below = f"<ul>{links}</ul>" if links else ""
    return f'<li><a href="#{section.anchor}">{escape(section.title)}</a>{below}</li>'


def section_html(section: Section) -> str:
    """A section with its figures."""
    parts = [f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>']
    parts.append('<div class="figures">')
    parts += [item_html(item, anchor(section, n)) for n, item in enumerate(section.items)]
    parts.append("</div>")
    for title, items in section.folded.items():
        parts.append(f'<details><summary>{escape(title)}</summary><div class="figures">')
        parts += [item_html(item) for item in items]
        parts.append("</div></details>")
    return "\n".join([*parts, "</section>"])


def anchor(section: Section, number: int) -> str:
    """The link to an item of a section."""
    return f"{section.anchor}-{number + 1}"


def item_html(item: Picture | Missing | Table, name: str = "") -> str:
    """A figure, a table, or the line that says why there is none."""
    mark = f' id="{name}"' if name else ""
    if isinstance(item, Missing):
        return (
            f'<p class="missing"{mark}><b>{escape(item.title)}</b>: not shown, '
            f"{escape(item.reason)}.</p>"
        )
    if isinstance(item, Table):
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in item.headings)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in item.rows
        )
        return (
            f'<div class="whole"{mark}><h3>{escape(item.title)}</h3><p class="soft">'
            f'{escape(item.caption)}</p><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div></div>"
        )
    image, tall = image_html(item)
    kind = ' class="tall"' if tall else ""
    return (
        f"<figure{mark}{kind}><h3>{escape(item.title)}</h3>{image}"
        f"<figcaption>{escape(item.caption)} <code>{escape(item.path.name)}.png, .svg</code>"
        "</figcaption></figure>"
    )


def image_html(picture: Picture) -> tuple[str, bool]:
    """The figure with its data inside, as SVG or, where that is large, as PNG; whether it is tall.

    Raises:
      UserError: a file cannot be read.
    """
    files = {kind: picture.path.with_name(f"{picture.path.name}.{kind}") for kind in ("png", "svg")}
    try:
        png, svg = (files[kind].read_bytes() for kind in ("png", "svg"))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    # Width and height stand in the header of every PNG.
    width, height = struct.unpack(">II", png[16:24])
    kind, data = ("svg+xml", svg) if len(svg) <= SVG_LIMIT else ("png", png)
    image = (
        f'<img alt="{escape(picture.title)}" width="{round(width * CSS_INCH / DPI)}" '
        f'height="{round(height * CSS_INCH / DPI)}" '
        f'src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}">'
    )
    return image, height > TALL * width
