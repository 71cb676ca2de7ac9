"""Keras' sections of docstrings as Markdown, for mkdocstrings.

It knows `Args`, `Returns`, `Raises` and `Attributes`; the others are made bold headings, lists and
blocks of code here.
"""

import re
from typing import Any

import griffe

_SECTION = re.compile(
    r"(Call arguments|Input shape|Output shape|Examples?|References?):\s*(.*)", re.DOTALL
)
_NAMES = re.compile(r"[\w, ]+: ")


class KerasDocstrings(griffe.Extension):
    """Rewrites each docstring when griffe has read it."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """Returns a docstring whose sections of Keras' are Markdown."""
    lines: list[str] = []
    section, in_code = "", False
    for line in docstring.splitlines():
        found = _SECTION.fullmatch(line)
        if line.startswith(">>>") and not in_code:
            lines.append("```pycon")
            in_code = True
        elif in_code and not line.strip():
            lines.append("```")
            in_code = False
        if found:
            section = found[1]
            lines += ["", f"**{section}**", "", found[2]]
        elif section and line.startswith("    ") and not in_code:
            text = line[4:]
            is_entry = section == "Call arguments" and not text.startswith(" ")
            lines.append(f"- {_with_names_as_code(text)}" if is_entry else text)
        else:
            section = section if not line.strip() else ""
            lines.append(line)
    return "\n".join([*lines, "```"] if in_code else lines)


def _with_names_as_code(entry: str) -> str:
    """An entry `name, other: ...` with its names as code."""
    names = _NAMES.match(entry)
    return re.sub(r"\w+", r"`\g<0>`", names[0]) + entry[names.end() :] if names else entry
