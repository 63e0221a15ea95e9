"""Command-line options that describe a build: board, clock, placement, flash mode and kernel release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.calibration import Calibration, load_calibration
from export.footprint import overridden
from spaces.board import NO_ESP_NN, Board, boards, load_board

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    parser.add_argument("--board", default="esp32-s3-devkitc-1-n8", metavar="NAME|FILE.toml", help=", ".join(boards()))
    parser.add_argument("--cpu-mhz", type=int, choices=(80, 160, 240))
    parser.add_argument(
        "--arena", choices=("sram", "psram"), help="where the arena lies; default: the fastest that fits"
    )
    parser.add_argument(
        "--weights", choices=("flash", "psram"), help="where the weights lie; default: the fastest that fits"
    )
    parser.add_argument("--flash-mode", choices=("dio", "qio", "opi"))
    release = parser.add_mutually_exclusive_group()
    release.add_argument("--esp-nn", metavar="RELEASE", help="release of espressif/esp-nn, such as 1.2.3")
    release.add_argument("--no-esp-nn", action="store_true", help="TFLM's reference kernels only")
    parser.add_argument("--tflm", metavar="RELEASE", help="release of espressif/esp-tflite-micro, such as 1.3.7")


def board_of(arguments: argparse.Namespace) -> Board:
    """The board with what the options change; `ValueError` where they contradict it."""
    board = overridden(
        load_board(arguments.board),
        cpu_mhz=arguments.cpu_mhz,
        flash_mode=arguments.flash_mode,
        esp_nn=NO_ESP_NN if arguments.no_esp_nn else arguments.esp_nn,
        tflm=arguments.tflm,
    )
    for option, place in (("--arena", arguments.arena), ("--weights", arguments.weights)):
        if place == "psram" and not board.psram_bytes:
            raise ValueError(f"{option} psram: {board.name} has no PSRAM")
    return board


def calibration_of(path: Path | None) -> Calibration | None:
    """The board's factors from a file, if one is named."""
    return load_calibration(path) if path is not None else None


def read_file(path: Path) -> bytes:
    """The bytes of a file; `ValueError` that names it where they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
