"""The language of pages and sources: plain English and the field's terms, without words that meant
something to the authors alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Behind a dot it is a function, such as `ops.floor`.
PRIVATE = re.compile(
    r"(?<!\.)\b(told|said|floor|roof|draws are others|content with|tells?( \w+)? apart)\b",
    re.IGNORECASE,
)
PAGES = [
    *(ROOT / name for name in ("README.md", "RESULTS.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = [
    path
    for folder in ("keras_s5rl", "launch", "benchmarks", "examples", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__).resolve()
]


def private_words(text):
    return [found[0] for found in PRIVATE.finditer(text.replace("_", " "))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A mistake is told in one line.", ["told"]),
        ("def test_the_roof_is_told(): ...", ["roof", "told"]),
        ("a roofline, ops.floor(x), an untold story", []),
    ],
)
def test_private_words_are_found_in_sentences_and_in_names(text, expected):
    assert private_words(text) == expected


def test_pages_are_in_plain_english():
    found = {str(page.relative_to(ROOT)): private_words(page.read_text()) for page in PAGES}
    assert {page: words for page, words in found.items() if words} == {}


def test_sources_are_in_plain_english():
    found = {str(path.relative_to(ROOT)): private_words(path.read_text()) for path in SOURCES}
    assert {path: words for path, words in found.items() if words} == {}
