"""Tests of boards as data."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING

import pytest

from spaces import recipes
from spaces.board import boards, load_board, release_number

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTS = {
    "esp32-s3-devkitc-1-n8": ("none", 0, 8),
    "esp32-s3-devkitc-1-n8r2": ("quad", 2, 8),
    "esp32-s3-devkitc-1-n8r8": ("octal", 8, 8),
    "esp32-s3-devkitc-1-n16r8": ("octal", 8, 16),
    "esp32-s3-devkitc-1-n32r8v": ("octal", 8, 32),
    "esp32-s3-korvo-2": ("octal", 8, 16),
    "esp32-s3-box-3": ("octal", 16, 16),
    "waveshare-esp32-s3-cam-gc2145": ("octal", 8, 16),
    "xiao-esp32s3-sense": ("octal", 8, 8),
    "esp32-s3-mini-1-n8": ("none", 0, 8),
}


def board_file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_presets_are_the_products_that_they_name() -> None:
    assert boards() == sorted(PRODUCTS)
    for name, (psram, psram_mb, flash_mb) in PRODUCTS.items():
        board = load_board(name)
        assert board.name == name
        assert (board.psram, board.psram_bytes, board.flash_bytes) == (psram, psram_mb << 20, flash_mb << 20)


def test_every_recipe_names_a_preset() -> None:
    for space in recipes().values():
        assert space.BOARD in boards()


def test_a_board_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load_board("esp32-s3-box-3").cpu_mhz = 80  # type: ignore[misc]


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    path = board_file(tmp_path, 'base = "esp32-s3-box-3"\nname = "desk"\ncpu_mhz = 160\n')
    assert load_board(path) == replace(load_board("esp32-s3-box-3"), name="desk", cpu_mhz=160)


def test_a_file_without_a_name_is_called_as_the_file(tmp_path: Path) -> None:
    assert load_board(board_file(tmp_path, 'base = "esp32-s3-box-3"\n')).name == "mine", "calibrations go by name"


def test_unknown_name_lists_the_presets() -> None:
    with pytest.raises(ValueError, match=r"'esp8266' is unknown; use a \.toml file or one of .*esp32-s3-korvo-2"):
        load_board("esp8266")


def test_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml cannot be read"):
        load_board("nowhere.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "esp32-s3-box-3"\nclock = 240', r"mine\.toml: 'clock' is no field of a board; there are name, .*tflm"),
        ('base = "esp32-s3-box-3"\ncpu_mhz = "fast"', r"mine\.toml: cpu_mhz='fast' must be an integer"),
        ('base = "esp32-s3-box-3"\ncpu_mhz = true', r"mine\.toml: cpu_mhz=True must be an integer"),
        ('base = "esp32-s3-box-3"\nesp_nn = 1', r"mine\.toml: esp_nn=1 must be a string"),
        ('base = "esp32-s3-box-3"\ncpu_mhz = 320', r"mine\.toml: cpu_mhz=320 must be 80, 160 or 240"),
        ('base = "esp32-s3-box-3"\npsram = "hexa"', r"mine\.toml: psram='hexa' must be one of none, quad, octal"),
        ('base = "esp32-s3-box-3"\npsram = "none"', r"psram='none' does not go with psram_bytes=16777216"),
        ('base = "esp32-s3-box-3"\nsram_bytes = 0', r"sram_bytes=0 must be above 0"),
        ('base = "esp32-s3-box-3"\ncache_line_bytes = 48', r"cache_line_bytes=48 must be 16, 32 or 64"),
        ('base = "esp32-s3-box-3"\nesp_nn = "newest"', r"esp_nn='newest' must be a release such as 1\.2\.3"),
        ('base = "esp32-s2"', r"mine\.toml: base='esp32-s2' is no preset; there are .*esp32-s3-box-3"),
        ("cpu_mhz = 240", r"mine\.toml: missing .*flash_bytes.*tflm"),
        ("cpu_mhz == 240", r"mine\.toml: not TOML"),
    ],
)
def test_a_bad_file_names_file_rule_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_board(board_file(tmp_path, text))


def test_releases_compare_as_numbers() -> None:
    assert release_number("esp_nn", "1.2.10") > release_number("esp_nn", "1.2.9")
