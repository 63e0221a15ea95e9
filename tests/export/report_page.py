"""The report as a browser's parser reads it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from export.front import Front, find_front
from export.picks import pick
from export.report import report
from export.results import read_study
from tests.export.results_folder import ResultsFolder


class Page(HTMLParser):
    """Elements with their attributes, and the text of cells and of everything."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open or "style" in self._open:
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def classes(self) -> Counter[str]:
        return Counter(attributes["class"] for _, attributes in self.elements if "class" in attributes)


def parsed(page: str) -> Page:
    reader = Page()
    reader.feed(page)
    reader.close()
    return reader


def front_of(folder: ResultsFolder) -> Front:
    return find_front(read_study(folder.folder))


def page_of(folder: ResultsFolder, rule: str = "knee") -> Page:
    front = front_of(folder)
    return parsed(report(front, pick(front, rule)))
