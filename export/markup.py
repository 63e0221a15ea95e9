"""HTML and SVG elements, escaped when they are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

# No browser accepts these: C0 controls but tab, line feed and return, and halves of surrogate pairs.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def tag(name: str, /, *children: Element | str | None, **attributes: str | float | bool | None) -> Element:
    """An element; strings among the children are text, never markup.

    In attribute names `_` stands for `-`, a trailing one is dropped (`class_`); None or False leaves the attribute out.
    """
    element = ElementTree.Element(name, _written(attributes))
    return extend(element, children)


def extend(element: Element, children: Iterable[Element | str | None]) -> Element:
    """Append children to an element and return it."""
    for child in children:
        if isinstance(child, str):
            _append_text(element, child)
        elif child is not None:
            element.append(child)
    return element


def html(element: Element) -> str:
    """Write an element as HTML. The text of script and style elements is written as it is: keep data out of them."""
    return ElementTree.tostring(element, encoding="unicode", method="html")


def _written(attributes: dict[str, str | float | bool | None]) -> dict[str, str]:
    kept = {key: value for key, value in attributes.items() if value is not None and value is not False}
    return {key.rstrip("_").replace("_", "-"): _attribute(value) for key, value in kept.items()}


def _attribute(value: str | float | bool) -> str:
    if value is True:
        return ""
    return _UNWRITABLE.sub("\ufffd", value) if isinstance(value, str) else f"{value:.6g}"


def _append_text(element: Element, text: str) -> None:
    clean = _UNWRITABLE.sub("\ufffd", text)
    if len(element):
        element[-1].tail = (element[-1].tail or "") + clean
    else:
        element.text = (element.text or "") + clean
