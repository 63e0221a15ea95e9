"""Constants as C source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

PER_LINE = 12


def c_array(declaration: str, values: NDArray[np.generic]) -> str:
    """The definition of an array; floats keep every bit."""
    told = (c_number(value) for value in np.asarray(values).reshape(-1))
    return f"{declaration} = {{\n{lines(told)}\n}};\n"


def c_number(value: np.generic | float) -> str:
    """A number as C reads it: nine digits are enough for any float32."""
    number = np.asarray(value)
    if number.dtype.kind != "f":
        return str(int(number))
    text = f"{float(number):.9g}"
    return f"{text if any(mark in text for mark in '.en') else f'{text}.0'}f"


def c_strings(declaration: str, texts: Iterable[str]) -> str:
    """The definition of an array of strings."""
    return f"{declaration} = {{\n{lines(c_string(text) for text in texts)}\n}};\n"


def c_string(text: str) -> str:
    """A string literal of any text, as UTF-8 in octal where C or a compiler's character set might stumble."""
    plain = {ord(" "), *range(ord("0"), ord("9") + 1), *range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)}
    plain |= set(b"_-.,:;()/+")
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def lines(texts: Iterable[str]) -> str:
    """Texts separated by commas, some on each line."""
    told = list(texts)
    rows = [told[at : at + PER_LINE] for at in range(0, len(told), PER_LINE)]
    return "\n".join(f"    {', '.join(row)}," for row in rows)
