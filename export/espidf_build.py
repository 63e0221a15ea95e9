"""Build files of an ESP-IDF component: CMake, Kconfig, its manifest, and an example's configuration for a board."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from export.footprint import Profile, profile
from spaces.board import NO_ESP_NN, Board, boards, load_board

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from export.device_student import DeviceStudent
    from export.golden import StoredStudent

COMPONENT = "potstill_student"
DEFAULT_BOARD = "esp32-s3-devkitc-1-n8"
# The I2S driver is a component of its own from this release on.
LEAST_IDF = "5.3"
# As ESPHome pins it.
MICRO_COMPONENT, MICRO_RELEASE = "esphome/esp-micro-speech-features", "1.2.3"
# What bootloader, partition table and storage take before the application.
BEFORE_APPLICATION_BYTES = 0x10000
MOST_APPLICATION_BYTES = 0x800000
MAIN_STACK_BYTES = 8192


@final
@dataclass(frozen=True)
class Build:
    """A student on the board that it was searched for: where its arena and its weights lie."""

    student: DeviceStudent
    profile: Profile

    @property
    def board(self) -> Board:
        """The board."""
        return self.profile.board

    @property
    def operators(self) -> int:
        """Operators that one run times."""
        return len(self.profile.rows)

    @property
    def symbol(self) -> str:
        """Its part of the names in Kconfig."""
        return "POTSTILL" if self.student.name == "potstill_own" else self.student.name.upper()


def build_of(student: DeviceStudent, board: Board | None = None) -> Build:
    """Profile it on a board, by default the one of its study."""
    stored = student.stored
    return Build(student, profile(stored.model, board or board_of_study(stored), stored.front_end))


def board_of_study(stored: StoredStudent) -> Board:
    """The board in the study's run.json; without one the preset that the footprint names, or the smallest."""
    path = stored.folder.parent.parent / "run.json"
    try:
        return Board(**json.loads(path.read_text(encoding="utf-8"))["board"])
    except (OSError, ValueError, KeyError, TypeError):
        name = str(stored.footprint.get("board"))
        return load_board(name if name in boards() else DEFAULT_BOARD)


def left_by(build: Build) -> Board:
    """The board with the memory that a student leaves to a second one."""
    placement, taken = build.profile.choice.placement, build.profile.arena.recommended_bytes
    if placement.arena == "psram":
        return build.board
    return replace(build.board, sram_bytes=max(1, build.board.sram_bytes - taken))


def cmake(sources: Iterable[str]) -> str:
    """CMakeLists.txt of the component."""
    listed = "\n".join(f'         "{name}"' for name in sources)
    return f"""\
idf_component_register(
    SRCS
{listed}
    INCLUDE_DIRS "include" "generated"
    PRIV_INCLUDE_DIRS "src"
    REQUIRES nvs_flash
    PRIV_REQUIRES esp_timer heap)

# The front end runs all the time: as fast as TensorFlow Lite Micro's own kernels are built.
target_compile_options(${{COMPONENT_LIB}} PRIVATE -O3)
"""


def hear_micro(builds: Iterable[Build]) -> bool:
    """Whether any student hears the features of TFLM's audio front end."""
    return any(build.student.stored.front_end.kind == "micro" for build in builds)


def manifest(builds: Sequence[Build]) -> str:
    """idf_component.yml: the releases that the footprint was predicted for."""
    board = builds[0].board
    micro = ["  # TFLM's audio front end, which esp-tflite-micro lacks.", f'  {MICRO_COMPONENT}: "=={MICRO_RELEASE}"']
    nn = [f'  espressif/esp-nn: "=={board.esp_nn}"'] if board.esp_nn != NO_ESP_NN else []
    lines = [
        'version: "1.0.0"',
        "description: A student that Potstill distilled, with its front end, its decision and a self-test",
        "targets:",
        "  - esp32s3",
        "dependencies:",
        f'  idf: ">={LEAST_IDF}"',
        "  # The releases that arena and latency were predicted for: others need another arena.",
        f'  espressif/esp-tflite-micro: "=={board.tflm}"',
        *nn,
        *(micro if hear_micro(builds) else []),
    ]
    return "\n".join(lines) + "\n"


def kconfig(builds: Sequence[Build]) -> str:
    """Kconfig of the component, with the predicted placement as default."""
    own, *others = builds
    parts = ['menu "Potstill: the student"', *_places(own, "of the student"), _SWITCHES]
    parts.append(_LOG.format("y" if others else "n"))
    if others:
        parts += [_BESIDE, *_places(others[0], "of the second student", "    depends on POTSTILL_BESIDE\n")]
    return "\n".join([*parts, "endmenu"]) + "\n"


def _places(build: Build, whose: str, depends: str = "") -> list[str]:
    placement, symbol = build.profile.choice.placement, build.symbol
    return [
        f"""
config {symbol}_ARENA_BYTES
    int "Bytes of the tensor arena {whose}"
    default {build.profile.arena.recommended_bytes}
{depends}    help
        Predicted {build.profile.footprint.arena_bytes} bytes in use for {build.board.name} with esp-nn \
{build.board.esp_nn}; the log says how many are.
""",
        f"""\
config {symbol}_ARENA_PSRAM
    bool "The arena {whose} lies in PSRAM instead of internal memory"
    default {"y" if placement.arena == "psram" else "n"}
{depends}    depends on SPIRAM
""",
        f"""\
config {symbol}_MODEL_PSRAM
    bool "The weights {whose} are copied to PSRAM instead of read from flash"
    default {"y" if placement.weights == "psram" else "n"}
{depends}    depends on SPIRAM
""",
    ]


_SWITCHES = """\
config POTSTILL_SELF_TEST
    bool "Test front end, network and decision against golden vectors at start"
    default y

config POTSTILL_PROFILE
    bool "Time every operator at start, and print what `python -m export calibrate` reads"
    default n

config POTSTILL_PROFILE_RUNS
    int "Runs that are timed"
    depends on POTSTILL_PROFILE
    range 1 100
    default 5
"""
_LOG = """\
config POTSTILL_LOG_DECISIONS
    bool "Log every decision, not alarms alone"
    default {}
"""
_BESIDE = """\
config POTSTILL_BESIDE
    bool "A second student hears the same sound, and is logged beside the first"
    default y
"""


def students_header(builds: Sequence[Build]) -> str:
    """potstill_students.h: what an application needs to open them as they are configured."""
    rate = builds[0].student.stored.front_end.sample_rate_hz
    includes = "\n".join(f'#include "{build.student.name}.h"' for build in builds)
    return f"""\
/* The students of this component, as menuconfig places them. */
#ifndef POTSTILL_STUDENTS_H
#define POTSTILL_STUDENTS_H

#include <stddef.h>

{includes}
#include "sdkconfig.h"

#define POTSTILL_SAMPLE_RATE_HZ {rate}

{"".join(map(_configured, builds))}#endif
"""


def _configured(build: Build) -> str:
    name, symbol = build.student.name, build.symbol
    upper = name.upper()
    flags = "".join(
        f"#ifdef CONFIG_{symbol}_{what}_PSRAM\n#define {upper}_{what}_IN_PSRAM true\n#else\n"
        f"#define {upper}_{what}_IN_PSRAM false\n#endif\n"
        for what in ("ARENA", "MODEL")
    )
    return f"""\
{flags}#ifdef CONFIG_POTSTILL_PROFILE
#define {upper}_PROFILED {upper}_OPERATORS
#else
#define {upper}_PROFILED 0
#endif
#ifdef CONFIG_POTSTILL_SELF_TEST
#define {upper}_GOLDEN (&{name}_golden)
#else
#define {upper}_GOLDEN NULL
#endif
/* A potstill_tflm_settings. */
#define {upper}_SETTINGS \\
    {{{name}_model, {name}_model_bytes, CONFIG_{symbol}_ARENA_BYTES, {upper}_ARENA_IN_PSRAM, \\
     {upper}_MODEL_IN_PSRAM, {upper}_PROFILED}}

"""


def sdkconfig_defaults(board: Board) -> str:
    """Defaults of the example: the board that was predicted for."""
    megabytes = 1 << ((board.flash_bytes >> 20).bit_length() - 1)
    settings: dict[str, Any] = {
        "IDF_TARGET": '"esp32s3"',
        f"ESP_DEFAULT_CPU_FREQ_MHZ_{board.cpu_mhz}": "y",
        "COMPILER_OPTIMIZATION_PERF": "y",
        f"ESPTOOLPY_FLASHSIZE_{megabytes}MB": "y",
        "ESPTOOLPY_OCT_FLASH" if board.flash_mode == "opi" else f"ESPTOOLPY_FLASHMODE_{board.flash_mode.upper()}": "y",
        f"ESP32S3_DATA_CACHE_{board.dcache_bytes >> 10}KB": "y",
        f"ESP32S3_DATA_CACHE_LINE_{board.cache_line_bytes}B": "y",
        "ESP_MAIN_TASK_STACK_SIZE": MAIN_STACK_BYTES,
        "PARTITION_TABLE_CUSTOM": "y",
        "PARTITION_TABLE_CUSTOM_FILENAME": '"partitions.csv"',
    }
    if board.psram != "none":
        mode = "OCT" if board.psram == "octal" else "QUAD"
        settings |= {"SPIRAM": "y", f"SPIRAM_MODE_{mode}": "y", "SPIRAM_SPEED_80M": "y"}
    lines = [f"CONFIG_{name}={value}" for name, value in settings.items()]
    return "\n".join([f"# {board.name}: {board.module}", *lines]) + "\n"


def partitions(board: Board) -> str:
    """partitions.csv of the example: one application, as large as the flash lets it, up to 8 MiB."""
    room = min(board.flash_bytes - BEFORE_APPLICATION_BYTES, MOST_APPLICATION_BYTES) & ~0xFFFF
    return f"""\
# Name, Type, SubType, Offset, Size
nvs, data, nvs, 0x9000, 0x6000
phy_init, data, phy, 0xf000, 0x1000
factory, app, factory, {BEFORE_APPLICATION_BYTES:#x}, {room:#x}
"""
