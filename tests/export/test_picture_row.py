"""Pictures in the report, read back by another decoder."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from export.evaluation_rows import drawn
from export.markup import html
from export.picture_row import png


@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_decoder_reads_the_levels_back(width: int, height: int, seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    with Image.open(io.BytesIO(png(width, height, levels.tobytes()))) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), levels)


def test_a_row_of_pictures_is_drawn_under_their_names() -> None:
    picture = {
        "name": "real: <valence +0.7>",
        "width": 2,
        "height": 1,
        "levels": base64.b64encode(b"\x00\xff").decode(),
    }
    title, element = drawn({"type": "pictures", "title": "Samples", "pictures": [picture]})
    page = html(element)
    assert title == "Samples"
    assert "real: &lt;valence +0.7&gt;" in page
    found = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        assert image.size == (2, 1)


@pytest.mark.parametrize("size", [(3, 1), (0, 0), (-2, -1)])
def test_levels_of_another_size_are_malformed(size: tuple[int, int]) -> None:
    levels = base64.b64encode(b"\x00\xff").decode()
    picture = {"name": "x", "width": size[0], "height": size[1], "levels": levels}
    assert "malformed: ValueError levels: 2 bytes" in html(drawn({"type": "pictures", "pictures": [picture]})[1])
