"""Elements and their escaping."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from export.markup import html, tag


class Reader(HTMLParser):
    """What a browser's parser finds: tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


WRITABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(WRITABLE, WRITABLE)
def test_data_stays_text_and_attribute(text: str, attribute: str) -> None:
    found = read(html(tag("p", text, data_tip=attribute)))
    assert found.tags == ["p"]
    assert found.text == text
    assert found.attributes == [("data-tip", attribute)]


@given(st.text(st.characters(categories=["Cs", "Cc"])))
def test_any_text_can_be_written_as_utf8(text: str) -> None:
    assert html(tag("p", text, title=text)).encode()


def test_attribute_names_and_values() -> None:
    element = tag("i", class_="a", data_x=1.23456789, open=True, hidden=False, title=None)
    assert html(element) == '<i class="a" data-x="1.23457" open=""></i>'


def test_text_between_elements_keeps_its_place() -> None:
    assert html(tag("p", "a", tag("b", "c"), "d", None, "e")) == "<p>a<b>c</b>de</p>"
