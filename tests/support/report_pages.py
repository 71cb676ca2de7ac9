"""Reports as the tests read them."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """The parts of a report.

    Attributes:
        tables: Dict of ids to rows, lists of the texts of their cells.
        numbers: Dict of ids to rows, lists of the numbers in them.
        scripts, styles, commands: Lists of texts.
        attributes: List of `(tag, name, value)`.
        episode: Dict, what the script plays.
    """

    def __init__(self, text):
        super().__init__()
        self.tables, self.numbers, self.attributes = {}, {}, []
        self.scripts, self.styles, self.commands, self.headings = [], [], [], []
        self._table, self._inside = None, []
        self.feed(text)
        self.episode = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "table":
            self._table = attributes["id"]
            self.tables[self._table], self.numbers[self._table] = [], []
        elif tag == "tr":
            self.tables[self._table].append([])
            self.numbers[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        elif tag == "data":
            self.numbers[self._table][-1].append(float(attributes["value"]))
        lists = {"script": self.scripts, "style": self.styles, "h2": self.headings}
        if tag in lists:
            lists[tag].append("")
        if (tag, attributes.get("class")) == ("pre", "command"):
            self.commands.append("")
        if tag not in ("meta", "img", "input", "br"):
            self._inside.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._inside.pop() == tag

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        lists = {"script": self.scripts, "style": self.styles, "h2": self.headings}
        if inside in lists:
            lists[inside][-1] += data
        elif "pre" in self._inside:
            self.commands[-1] += data
        elif "td" in self._inside or "th" in self._inside:
            self.tables[self._table][-1][-1] += data
