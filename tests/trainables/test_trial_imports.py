"""What a trial's process imports: nothing that only some teachers, views or formats need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

TRIAL = """
import sys
from pathlib import Path
import numpy as np
from spaces.board import load_board
from tests.benchmarks.bench_memory import PARAMS, SPACE, put_audio, synthetic_corpus
from trainables.assignment import Assignment, Task
from trainables.ray_trainable import Post, report_of
from trainables.recipe import Material

corpus = synthetic_corpus(200)
put_audio(corpus)
facts = {"content_hash": corpus.content_hash, "name": "noise"}
material = Material(corpus, np.zeros((200, 2), np.float32), facts, facts)
board = load_board(SPACE.BOARD)
params = {**PARAMS, "tiny_conv_width": 8}
report = report_of(Assignment("wakeword", material, board, 1, 0, Path(sys.argv[1])), Post(), Task(0, params))
print(report["outcome"], report.get("reason"))
print(*sys.modules)
"""


def test_a_trial_needs_no_tensorflow_nor_transformers(tmp_path: Path) -> None:
    environment = {**os.environ, "POTSTILL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRIAL, str(tmp_path / "trials")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome, modules = done.stdout.splitlines()[-2:]
    assert outcome == "trained None"
    unneeded = {"tensorflow", "transformers", "wandb", "pyopen_wakeword", "plotly", "onnxruntime"}
    assert sorted(unneeded & set(modules.split())) == []
