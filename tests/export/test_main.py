"""The command `python -m export`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from export.__main__ import main
from tests.export.results_folder import ResultsFolder

ROOT = Path(__file__).parent.parent.parent
EXPORTED = {
    "student.int8.tflite",
    "student.json",
    "metrics.json",
    "evaluation.json",
    "model_card.md",
    "report.html",
    "export.json",
}


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    folder.trained(0.60, 5.0, 10_000)
    folder.trained(0.85, 25.0, 21_000)
    folder.refused(80.0, 30_000)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def test_prints_the_front_and_marks_the_pick(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wakeword on esp32-s3-devkitc-1-n8: 4 trained, 1 refused"
    assert lines[1].startswith("front: 3 trials, hypervolume 0.")
    assert lines[1].endswith("(reference point score 0, decision_ms 50, arena_bytes 65536)")
    head, rows = lines[3].split(), [line.split() for line in lines[4:7]]
    assert head[:3] == ["trial", "score", "float"]
    assert rows[0] == ["0", "0.950", "0.954", "40.0", "36.0", "(28.8-43.2)", "58.6", "39.1"]
    assert rows[1][:3] == ["*", "1", "0.900"]
    assert rows[2][0] == "2"
    assert "picked (knee): trial 1" in lines


def test_a_streaming_pick_says_how_far_its_steps_lie_from_whole_clips(
    made: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made.folder / "trials/1/metrics.json"
    apart = {"float_largest": 2.4e-6, "int8_largest": 0.311, "int8_mean": 0.0462, "logit_range": 9.876}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"streaming": apart}))
    assert run(made.folder, "--pick", "1") == 0
    said = "at most 2.4e-06 in float, 0.31 in INT8 (mean 0.046, of a range of 9.88)"
    assert f"frame by frame its logits differ from whole clips' by {said}" in capsys.readouterr().out.splitlines()
    assert run(made.folder, "--pick", "0") == 0
    assert "frame by frame" not in capsys.readouterr().out


def test_writes_the_pick_with_its_hashes_and_updates_the_folder(made: ResultsFolder) -> None:
    assert run(made.folder, "--pick", "best") == 0
    out = made.folder / "export"
    assert names(out) == EXPORTED
    listing = json.loads((out / "export.json").read_text())
    assert (listing["trial"], listing["pick"], listing["recipe"]) == (0, "best", "wakeword")
    assert set(listing["files"]) == EXPORTED - {"export.json"}
    for name, facts in listing["files"].items():
        content = (out / name).read_bytes()
        assert facts == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for name in ("student.int8.tflite", "student.json", "metrics.json", "evaluation.json"):
        assert (out / name).read_bytes() == (made.folder / "trials/0" / name).read_bytes()
    assert (out / "report.html").read_bytes() == (made.folder / "report.html").read_bytes()
    assert json.loads((made.folder / "front.json").read_text())["schema"] == 1
    assert (made.folder / "front.csv").is_file()


def test_one_seed_each_is_said_with_the_command_that_mends_it(
    made: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    said = "one seed each: which of two near scores is the better one is not known; fresh seeds for the front:"
    assert lines[lines.index(said) + 1] == (
        "  python -m search wakeword --trials 24 --results results/demo --confirm 3"
    )


def test_confirmed_front_has_its_seeds_in_the_table(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    made.confirmed(0, s1=0.92, s2=0.94, s3=0.96)
    made.confirmed(1, s1=0.89, s2=0.89, s3=0.89)
    assert run(made.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    head, rows = lines[3].split(), [line.split() for line in lines[4:7]]
    assert head[3:8] == ["mean", "low", "high", "seeds", "p_nondominated"]
    assert rows[0][3:7] == ["0.940", "0.890", "0.990", "3"]
    assert rows[1][4:9] == ["0.890", "0.890", "0.890", "3", ">0.99"]
    assert rows[2][3:8] == ["-", "-", "-", "0", "-"]
    assert "one seed only: trial 2; fresh seeds for the front:" in lines
    made.confirmed(2, s1=0.6)
    assert run(made.folder) == 0
    assert "one seed" not in capsys.readouterr().out


def test_full_length_training_is_exported(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    made.final(2, 0.66)
    assert run(made.folder, "--pick", "final:2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[7].split()[:3] == ["*", "final:2", "0.660"]
    assert [line.split()[0] for line in lines[4:7]] == ["0", "1", "2"]
    assert "picked (final:2): trial 2 at full length, one seed" in lines
    out = made.folder / "export"
    for name in ("student.int8.tflite", "student.json", "metrics.json", "evaluation.json"):
        assert (out / name).read_bytes() == (made.folder / "final/2" / name).read_bytes()
    assert (out / "metrics.json").read_bytes() != (made.folder / "trials/2/metrics.json").read_bytes()
    assert json.loads((out / "export.json").read_text())["pick"] == "final:2"


def test_unfinished_seed_is_named_and_exits_3(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    made.confirmed(0, s1=0.92, s2=0.94)
    (made.folder / "confirm/0/2/metrics.json").unlink()
    assert run(made.folder) == 3
    assert "warning: confirm/0/2 left out: not finished: metrics.json is missing" in capsys.readouterr().err
    assert run(made.folder, "--json") == 3
    content = json.loads(capsys.readouterr().out)
    assert content["left_out"] == {"confirm/0/2": "not finished: metrics.json is missing"}
    assert content["members"][0]["seeds"] == 1


@pytest.mark.parametrize("kept", ["confirm/0/1", "final/0"])
def test_what_was_trained_again_is_never_written_to(
    made: ResultsFolder, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder, "--out", made.folder / kept, "--overwrite") == 2
    assert "lies among the trials of the results folder" in capsys.readouterr().err


def test_json_is_one_object(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made.folder, "--json", "--pick", "smallest") == 0
    content = json.loads(capsys.readouterr().out)
    front = json.loads((made.folder / "front.json").read_text())
    assert {key: content[key] for key in front} == front
    assert content.keys() - front.keys() == {"counts", "damaged", "left_out", "export"}
    assert content["counts"]["refused"] == 1
    assert 0 < content["hypervolume"] < 1
    assert content["export"]["trial"] == 2
    assert content["export"]["folder"] == str(made.folder / "export")
    assert content["damaged"] == {}


def test_exporting_again_replaces_the_earlier_export(made: ResultsFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(made.folder, "--out", out, "--pick", "0") == 0
    assert run(made.folder, "--out", out, "--pick", "2") == 0
    assert (out / "student.int8.tflite").read_bytes() == (made.folder / "trials/2/student.int8.tflite").read_bytes()
    assert names(out) == EXPORTED


def test_folder_with_something_else_is_refused_unless_told(
    made: ResultsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("mine")
    (out / "chapter2.tex").write_text("mine too")
    assert run(made.folder, "--out", out) == 2
    assert (
        f"error: --out: {out} holds chapter1.tex and 1 more; choose an empty folder or add --overwrite"
        in capsys.readouterr().err
    )
    assert names(out) == {"chapter1.tex", "chapter2.tex"}
    assert not (made.folder / "front.json").exists()
    assert run(made.folder, "--out", out, "--overwrite") == 0
    assert names(out) == {"chapter1.tex", "chapter2.tex", *EXPORTED}
    assert (out / "chapter1.tex").read_text() == "mine"


def test_foreign_export_json_does_not_open_a_folder(made: ResultsFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text('["not", "ours"]')
    assert run(made.folder, "--out", out) == 2


def test_trial_folders_are_never_written_to(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made.folder / "trials/2/metrics.json").read_bytes()
    assert run(made.folder, "--out", made.folder / "trials/2", "--overwrite", "--pick", "0") == 2
    assert "lies among the trials of the results folder" in capsys.readouterr().err
    assert (made.folder / "trials/2/metrics.json").read_bytes() == before


def test_out_that_is_a_file_is_refused(made: ResultsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(made.folder, "--out", tmp_path / "file") == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_out_that_cannot_be_made_fails_without_a_traceback(
    made: ResultsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(made.folder, "--out", tmp_path / "file" / "below") == 1
    assert "Not a directory" in capsys.readouterr().err


def test_results_folder_itself_can_take_the_student_if_told(made: ResultsFolder) -> None:
    assert run(made.folder, "--out", made.folder) == 2
    assert run(made.folder, "--out", made.folder, "--overwrite") == 0
    assert {*EXPORTED, "run.json", "study.journal", "trials", "front.json", "front.csv"} == names(made.folder)


def test_dominated_pick_is_shown_and_said_not_to_be_on_the_front(
    made: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder, "--pick", "3") == 0
    out = capsys.readouterr().out
    assert "picked (3): trial 3, which is not on the front" in out
    assert any(line.split()[:2] == ["*", "3"] for line in out.splitlines())


def test_damaged_trial_is_named_left_out_and_exits_3(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (made.folder / "trials/1/student.int8.tflite").write_bytes(b"")
    assert run(made.folder) == 3
    said = capsys.readouterr()
    assert "warning: trial 1 left out, its folder is damaged: student.int8.tflite is empty" in said.err
    assert 1 not in [member["trial"] for member in json.loads((made.folder / "front.json").read_text())["members"]]
    assert "picked (knee): trial 3" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "error: results: folder nowhere does not exist"),
        (["RESULTS", "--pick", "elbow"], "error: --pick: 'elbow' is unknown; use knee, best, smallest, within:0.01"),
        (["RESULTS", "--pick", "4"], "error: --pick: trial 4 is refused, not trained; on the front are 0, 1, 2"),
    ],
)
def test_bad_input_exits_2_with_a_message(
    made: ResultsFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(made.folder) if word == "RESULTS" else word for word in words]) == 2
    assert message in capsys.readouterr().err
    assert not (made.folder / "export").exists()


def test_study_with_nothing_trained_exits_2_and_says_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.refused(80.0, 30_000)
    folder.unfinished()
    assert run(folder.folder) == 2
    assert "holds no usable trained trial: 1 refused, 1 unfinished" in capsys.readouterr().err


def test_option_that_does_not_exist_exits_2(made: ResultsFolder) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(made.folder, "--choose", "best")
    assert stopped.value.code == 2


def test_profile_is_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", "nowhere.tflite") == 2
    assert "nowhere.tflite" in capsys.readouterr().err


def modules_after(*words: str) -> tuple[set[str], str]:
    code = (
        "import sys\nfrom export.__main__ import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('MODULES', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    said, _, modules = done.stdout.rpartition("MODULES")
    return set(modules.split()), said


def test_export_imports_no_training_stack(made: ResultsFolder) -> None:
    modules, said = modules_after(str(made.folder))
    assert "picked (knee)" in said
    assert {"optuna", "moocore"} <= modules
    # Of ai_edge_litert the schema alone: the report reads the pick's operators.
    assert not {"ray", "torch", "tensorflow", "transformers", "pandas", "plotly", "tflite_micro"} & modules


def test_help_imports_nothing_heavy() -> None:
    modules, said = modules_after("--help")
    assert "--pick" in said and "profile" in said
    assert not {"optuna", "numpy", "moocore", "plotly", "torch"} & modules
