"""The decision in C against the one in Python, under the sanitizers of the system's compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.decision import DecisionSettings, decisions
from export.decision_c import decision_sources
from export.decision_score import ScoreRule
from tests.export.decision_streams import SCORES, SETTINGS

HERE = Path(__file__).parent / "firmware"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FLAGS = ("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fno-sanitize-recover=all")
SANITIZERS = "-fsanitize=address,undefined"
NO_RELEASE = 32767
CRIES = tuple(output in (19, 20) for output in range(521))

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on this system")


def compiled(folder: Path, sources: dict[str, str], driver: Path, *more: str) -> Path:
    for name, text in sources.items():
        (folder / name).write_text(text)
    program = folder / "program"
    files = [str(folder / name) for name in sources if name.endswith(".c")]
    assert COMPILER
    command = [COMPILER, *FLAGS, SANITIZERS, f"-I{folder}", *more, *files, str(driver), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ScoreRule], Path]:
    """The driver compiled with a student's constants, once for each."""
    made: dict[ScoreRule, Path] = {}

    def of(rule: ScoreRule) -> Path:
        if rule not in made:
            sources = decision_sources(DecisionSettings(12, 7, 5, 9, 2, 20), rule)
            made[rule] = compiled(tmp_path_factory.mktemp("decision"), sources, HERE / "decision_driver.c")
        return made[rule]

    return of


def output(program: Path, mode: str, sent: bytes = b"") -> bytes:
    return subprocess.run([program, mode], input=sent, capture_output=True, check=True).stdout


def packed(chosen: DecisionSettings) -> bytes:
    release = NO_RELEASE if chosen.release_steps is None else chosen.release_steps
    values = chosen.as_dict() | {"release_steps": release}
    return np.array(list(values.values()), np.int32).tobytes()


TWO = ScoreRule(0.05, (False, True))


@given(scores=SCORES, chosen=SETTINGS)
@settings(deadline=None, max_examples=30)
def test_c_decides_as_python_does(
    program: Callable[[ScoreRule], Path], scores: np.ndarray, chosen: DecisionSettings
) -> None:
    found = output(program(TWO), "decide", packed(chosen) + scores.tobytes())
    assert found.decode() == "".join(str(int(event)) for event in decisions(scores, chosen))


@given(values=st.tuples(*(st.integers(-300, 300) for _ in range(2)), *(st.integers(0, 40) for _ in range(4))))
@settings(deadline=None, max_examples=30)
def test_c_refuses_what_python_refuses(program: Callable[[ScoreRule], Path], values: tuple[int, ...]) -> None:
    try:
        DecisionSettings(*values)
        expected = b""
    except ValueError:
        expected = b"refused"
    assert output(program(TWO), "decide", np.array(values, np.int32).tobytes()) == expected


@pytest.mark.parametrize(
    "rule",
    [
        TWO,
        ScoreRule(0.05, (True, False)),
        ScoreRule(0.11, (False, False, True, False, True, False, False)),
        ScoreRule(0.07, CRIES),
        ScoreRule(0.4, CRIES),
        ScoreRule(0.001, (True,) + (False,) * 2046),
    ],
    ids=["two", "first of two", "seven", "YAMNet's", "coarse", "most"],
)
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_c_scores_as_python_does(program: Callable[[ScoreRule], Path], rule: ScoreRule, data: st.DataObject) -> None:
    spread = data.draw(st.sampled_from((1, 20, 127)))
    seed = data.draw(st.integers(0, 1000))
    codes = np.random.default_rng(seed).integers(-spread - 1, spread + 1, (40, len(rule.is_event))).astype(np.int8)
    found = np.frombuffer(output(program(rule), "score", codes.tobytes()), np.int16)
    np.testing.assert_array_equal(found, rule.steps(codes))


@given(arrays(np.int8, (10, 3), elements=st.integers(-128, 127)))
@settings(deadline=None, max_examples=30)
def test_c_scores_the_extremes_as_python_does(program: Callable[[ScoreRule], Path], codes: np.ndarray) -> None:
    rule = ScoreRule(0.05, (True, False, True))
    found = np.frombuffer(output(program(rule), "score", codes.tobytes()), np.int16)
    np.testing.assert_array_equal(found, rule.steps(codes))


def test_the_constants_are_the_settings(program: Callable[[ScoreRule], Path]) -> None:
    assert output(program(TWO), "defaults") == b"12 7 5 9 2 20"


def test_without_hysteresis_the_constant_says_so(tmp_path: Path) -> None:
    sources = decision_sources(DecisionSettings(-3), TWO)
    found = output(compiled(tmp_path, sources, HERE / "decision_driver.c"), "defaults")
    assert found.decode() == f"-3 {NO_RELEASE} 1 1 1 1"


def test_the_sources_hold_no_float_and_allocate_nothing() -> None:
    for name, text in decision_sources(DecisionSettings(1), ScoreRule(0.1, CRIES)).items():
        code = [line.split("/*")[0] for line in text.splitlines() if not line.lstrip().startswith(("*", "/*"))]
        assert not any(word in "\n".join(code) for word in ("float", "double", "malloc", "calloc", "free(")), name


def test_settings_are_kept_in_non_volatile_storage(tmp_path: Path) -> None:
    stand_in = HERE / "nvs_stand_in"
    sources = decision_sources(DecisionSettings(1), TWO)
    more = ("-DESP_PLATFORM", f"-I{stand_in}", str(stand_in / "nvs.c"))
    assert output(compiled(tmp_path, sources, HERE / "nvs_driver.c", *more), "").decode().strip() == "done"
