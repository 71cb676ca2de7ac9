"""Pieces of HTML: everything that comes from files is escaped here."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any


class Html(str):
    """Text that is HTML already: it is not escaped again."""


def text(value: Any) -> Html:
    """Returns a value as HTML that shows it."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def number(value: Any, digits: int = 3) -> Html:
    """Returns a number in so many digits behind the point, with the whole of it for programs; a
    dash where it is not known."""
    if not _is_known(value):
        return Html("–")
    shown = f"{value:,d}" if isinstance(value, int) else f"{value:z,.{digits}f}"
    return Html(f'<data value="{value!r}">{shown}</data>')


def score(mean: Any, half_width: Any = None) -> Html:
    """Returns a mean with its 95 % interval, if that is known."""
    if not (_is_known(mean) and _is_known(half_width)):
        return number(mean)
    return Html(f"{number(mean)} ± {number(half_width)}")


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], name: str) -> Html:
    """Returns a table whose first column names its rows; `name` is its id."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "\n".join(
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return Html(
        f'<div class="scroll" tabindex="0"><table id="{name}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def section(title: str, *parts: Any) -> Html:
    """Returns a section with a heading, or nothing where there is nothing in it."""
    inside = "\n".join(text(part) for part in parts if part)
    return Html(f"<section><h2>{text(title)}</h2>\n{inside}\n</section>" if inside else "")


def paragraph(words: Any, kind: str = "note") -> Html:
    """Returns a paragraph of a class of the style sheet."""
    return Html(f'<p class="{kind}">{text(words)}</p>')


def code(lines: str, name: str) -> Html:
    """Returns lines as they stand, such as a command; `name` is their class."""
    return Html(f'<pre class="{name}" tabindex="0"><code>{text(lines)}</code></pre>')


def details(summary: str, inside: Html) -> Html:
    """Returns what is shown when its summary is clicked on."""
    return Html(f"<details><summary>{text(summary)}</summary>\n{inside}</details>")


def _is_known(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
