"""A student as an ESP-IDF component with an example that listens to a microphone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.c_front_end import check_front_end, check_step
from export.c_operators import operators_header
from export.c_student import golden_source, model_source, student_header, student_source
from export.carried import NOT_COMPARED, CannotCarryError, Carried
from export.decision_c import decision_sources
from export.device_student import device_student
from export.espidf_build import (
    COMPONENT,
    build_of,
    cmake,
    hear_micro,
    kconfig,
    left_by,
    manifest,
    partitions,
    sdkconfig_defaults,
    students_header,
)
from export.espidf_readme import readme
from export.firmware_host import FIRMWARE, FrontEndParity, NotComparedError, front_end_parity
from export.golden_sound import golden_vectors
from export.results import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.device_student import DeviceStudent
    from export.espidf_build import Build
    from export.golden import Golden, StoredStudent

FOLDER = f"espidf/{COMPONENT}"
OWN, BESIDE = "potstill_own", "potstill_beside"
PARITY_OF = "src/potstill_front_end.c"
MICRO_NOT_COMPARED = "TFLM's own code makes the features, from a component that only ESP-IDF fetches"
_EXAMPLE = "examples/listen"
_MICRO = ("potstill_micro.c", "potstill_micro.h")
_NVS = ("potstill_decision_nvs.c", "potstill_decision_nvs.h")


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The component's folder; the figures are of its front end in C, built on this host where it has a compiler."""
    builds = _builds(student)
    parity = _parity(builds[0].student)
    texts = component(builds, parity)
    for name, text in texts.items():
        write_atomically(folder / FOLDER / name, text)
    return [_carried(name, parity) for name in texts]


def _parity(student: DeviceStudent) -> FrontEndParity | str:
    """How far the C front end lies from the reference's, or why that is not known."""
    if student.stored.front_end.kind == "micro":
        return MICRO_NOT_COMPARED
    try:
        return front_end_parity(student, host_sources(student))
    except NotComparedError as error:
        return str(error)


def _builds(student: StoredStudent) -> list[Build]:
    check_front_end(student.front_end)
    own = _runnable(build_of(device_student(student, OWN)))
    if student.beside is None:
        return [own]
    rates = [one.front_end.sample_rate_hz for one in (student, student.beside)]
    if rates[0] != rates[1]:
        raise CannotCarryError(f"--beside: both must hear the same sound; the rates are {rates[0]} and {rates[1]} Hz")
    check_front_end(student.beside.front_end)
    second = device_student(student.beside, BESIDE, decides=False)
    return [own, _runnable(build_of(second, left_by(own)))]


def _runnable(build: Build) -> Build:
    check_step(build.student.stored.front_end, build.student.heard)
    if not build.profile.runs:
        raise CannotCarryError(f"TFLM does not run this model: {'; '.join(build.profile.refusals)}")
    return build


def _carried(name: str, parity: FrontEndParity | str) -> Carried:
    if name != PARITY_OF:
        return Carried(f"{FOLDER}/{name}", note="of the ESP-IDF component")
    if isinstance(parity, str):
        return Carried(f"{FOLDER}/{name}", note=f"{NOT_COMPARED}: {parity}")
    return Carried(f"{FOLDER}/{name}", str(parity), parity.difference, "then the INT8 reference on what it gives")


def component(builds: Sequence[Build], parity: FrontEndParity | str = "nothing was asked for") -> dict[str, str]:
    """Every file of the component by its name in it."""
    shared = shared_sources(micro=hear_micro(builds))
    sources = {
        **{f"include/{name}": text for name, text in shared.items() if name.endswith(".h")},
        **{f"src/{name}": text for name, text in shared.items() if not name.endswith(".h")},
        "src/potstill_operators.h": operators_header(build.student.stored.model for build in builds),
        "generated/potstill_students.h": students_header(builds),
    }
    for build in builds:
        texts = generated(build.student, build.operators)
        texts[f"{build.student.name}_model.c"] = model_source(build.student)
        texts[f"{build.student.name}_golden.c"] = golden_source(build.student, golden_vectors(build.student))
        sources |= {f"generated/{name}": text for name, text in texts.items()}
    compiled = [name for name in sources if name.endswith((".c", ".cpp"))]
    return {
        "README.md": readme(builds, parity),
        "CMakeLists.txt": cmake(compiled),
        "Kconfig": kconfig(builds),
        "idf_component.yml": manifest(builds),
        **sources,
        **_example(builds),
    }


def shared_sources(micro: bool = False) -> dict[str, str]:
    """The sources that every student's firmware has, by name; with those for TFLM's front end."""
    paths = sorted(path for path in FIRMWARE.glob("potstill_*") if path.suffix in (".h", ".c", ".cpp"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths if micro or path.name not in _MICRO}


def generated(student: DeviceStudent, operators: int) -> dict[str, str]:
    """A student's constants, and its decision where it has one, by name."""
    texts = {f"{student.name}.h": student_header(student, operators), f"{student.name}.c": student_source(student)}
    if student.decides is None or student.settings is None:
        return texts
    decision = decision_sources(student.settings, student.decides.rule)
    return texts | {name: text for name, text in decision.items() if "student" in name}


def host_sources(student: DeviceStudent) -> dict[str, str]:
    """What needs no chip, by name."""
    shared = {name: text for name, text in shared_sources().items() if "tflm" not in name and name not in _NVS}
    return shared | generated(student, 0)


def _example(builds: Sequence[Build]) -> dict[str, str]:
    example = FIRMWARE / "example"
    texts = {
        f"{_EXAMPLE}/{path.relative_to(example).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(example.rglob("*"))
        if path.is_file()
    }
    board = builds[0].board
    return texts | {
        f"{_EXAMPLE}/sdkconfig.defaults": sdkconfig_defaults(board),
        f"{_EXAMPLE}/partitions.csv": partitions(board),
    }
