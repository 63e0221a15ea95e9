"""Pictures of a trial in the report: grey levels, such as log-mels over time, as PNG."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export import figures
from export.markup import tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS_OF_GREY = (8, 0, 0, 0, 0)


def pictures(row: Mapping[str, Any]) -> Element:
    """Each of the row's `pictures` under its name; a `ValueError` where `levels` are not width x height bytes."""
    return tag("div", *(_picture(picture) for picture in row["pictures"]), class_="pictures")


def _picture(picture: Mapping[str, Any]) -> Element:
    content = png(int(picture["width"]), int(picture["height"]), base64.b64decode(picture["levels"], validate=True))
    name = figures.shown(picture["name"])
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return tag("figure", tag("img", src=source, alt=name), tag("figcaption", name, class_="soft"))


def png(width: int, height: int, levels: bytes) -> bytes:
    """A picture whose grey `levels` are a byte each, row by row from the top (ISO/IEC 15948)."""
    if min(width, height) < 1 or len(levels) != width * height:
        raise ValueError(f"levels: {len(levels)} bytes are not {width} x {height}")
    # A filter byte of 0 before each row: as it is.
    rows = b"".join(b"\0" + levels[at : at + width] for at in range(0, len(levels), width))
    header = struct.pack(">II5B", width, height, *_EIGHT_BITS_OF_GREY)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
