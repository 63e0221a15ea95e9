"""A process beside the search that records and uploads its W&B runs, so that the search never waits for either."""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, final, get_args
from urllib.parse import urlsplit

from export.results import Results
from search.uploads import Uploads, base_url
from search.views import environment, recorded, uploaded, wandb_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from search.views import Recorder

Mode = Literal["offline", "online", "off"]

MODES: tuple[Mode, ...] = get_args(Mode)
LOG = "side_car.log"
ACCOUNT = (
    "API_KEY",
    "IDENTITY_TOKEN_FILE",
    "CREDENTIALS_FILE",
    "BASE_URL",
    "INSECURE_DISABLE_SSL",
    "ENTITY",
    "PROJECT",
)
RECORDING_SECONDS = 60.0
UPLOADING_SECONDS = 30.0
LEAVING_SECONDS = 5.0
_POLL_SECONDS = 2.0
_NICENESS = 10
_FINISH = b"finish"
_NO_KEY = (
    "warning: W&B: no API key for {host} (WANDB_API_KEY or netrc; another server by WANDB_BASE_URL): "
    "runs are recorded offline"
)


@final
class Views:
    """W&B's view of a study while it is searched: `with Views(mode, say) as views`, then `start` and `finish`.

    The process follows the study's journal, so a search tells it nothing: it writes a run for every trained trial that
    has no finished one, at first those of earlier searches. Nothing raises here; only `finish` waits, for a bounded
    time. What was not done then is done when the study is searched again.
    """

    def __init__(self, mode: Mode, say: Callable[[str], None]) -> None:
        self._mode, self._say = mode, say
        self._results: Results | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Let the process end by itself, or end it after a few seconds."""
        if self._process is not None:
            self._answer(self._process, LEAVING_SECONDS)

    def start(self, results: Results) -> None:
        """Start the process, unless W&B is off; `results` may be about to get its study."""
        if self._mode == "online" and not _has_key():
            self._say(_NO_KEY.format(host=_host()))
            self._mode = "offline"
        if self._mode != "off":
            try:
                self._results = Results(results.folder.resolve())
                self._process = _started(self._results, self._mode)
            except OSError as error:
                self._say(f"warning: W&B: nothing will be recorded: {error}")

    def finish(self) -> None:
        """Have the study's run written, after the front and the report, and say what became of the runs."""
        if self._process is None or self._results is None:
            return
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(_FINISH)
        bound = RECORDING_SECONDS + (2 * UPLOADING_SECONDS if self._mode == "online" else 0.0)
        for line in _summary(self._results, self._answer(self._process, bound), bound):
            self._say(line)

    def _answer(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        self._process = None
        if process.stdin is not None:
            process.stdin.close()
            # Python would flush it once more.
            process.stdin = None
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
        except KeyboardInterrupt:
            _end(process)
            raise
        return _last_line(printed)


def _host() -> str:
    return urlsplit(base_url()).netloc or base_url()


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        with contextlib.suppress(OSError, netrc.NetrcParseError, RuntimeError):
            if path and netrc.netrc(Path(path).expanduser()).authenticators(_host()):
                return True
    return False


def _started(results: Results, mode: Mode) -> subprocess.Popen[bytes]:
    wandb_folder(results).mkdir(exist_ok=True)
    root = Path(__file__).resolve().parent.parent
    with (wandb_folder(results) / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "search.side_car", str(results.folder), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            cwd=root,
            env=_own_environment(results),
            # Away from the terminal's Ctrl-C, and one group with all that W&B starts.
            start_new_session=True,
        )


def _own_environment(results: Results) -> dict[str, str]:
    # The user's account counts; a run id or a sweep of the user's would turn all runs into one.
    kept = {f"WANDB_{name}" for name in ACCOUNT}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") or name in kept}
    return {**ours, **environment(results)}


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _last_line(printed: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    except (ValueError, IndexError):
        return {"problems": {"": f"its process ended early; see {LOG} there"}}
    return answer


def _summary(results: Results, answer: dict[str, Any] | None, bound: float) -> Iterator[str]:
    folder, runs = wandb_folder(results), recorded(results)
    waiting = sum(not uploaded(run) for run in runs.values())
    if answer is None:
        yield f"warning: W&B: given up after {bound:.0f} s; the same command goes on where this stopped"
    for number, problem in (answer or {}).get("problems", {}).items():
        yield f"warning: W&B: {f'run {number} was not recorded: ' if number else ''}{problem}"
    upload = (
        f"; wandb sync {folder} uploads {'them' if waiting == len(runs) else waiting}" if waiting else ", all uploaded"
    )
    yield f"W&B: {len(runs)} runs in {folder}{upload if runs else ''}"


def main(argv: Sequence[str]) -> int:
    """The process: RESULTS and a mode. It ends with its standard input, on which `finish` asks for the study's run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    answers = _answers()
    results, online = Results(Path(argv[0])), argv[1] == "online"
    from filelock import FileLock

    # An earlier search's process may still be writing; it ends as this one does.
    with FileLock(wandb_folder(results) / ".lock"):
        problems = _serve(results, online)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({"problems": problems}), file=answers, flush=True)
    return 0


def _answers() -> IO[str]:
    # W&B may print to standard output, which is for the answer alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _serve(results: Results, online: bool) -> dict[str, str]:
    from search.views import Recorder

    recorder, uploads = Recorder(results), Uploads(results, online)
    problems: dict[str, str] = {}
    heard = None
    while heard is None:
        heard = _heard(sys.stdin.fileno())
        try:
            recorder.catch_up()
            problems.pop("study", None)
        except (OSError, ValueError, KeyError) as error:
            problems["study"] = f"{type(error).__name__}: {error}"
        uploads.go_on()
    if heard:
        problems |= _written_study(recorder)
    uploads.finish(UPLOADING_SECONDS)
    return {**{str(number): problem for number, problem in recorder.problems.items()}, **problems}


def _heard(stream: int) -> bytes | None:
    """What came down the pipe within a poll: None nothing, b"" its end."""
    ready, _, _ = select.select([stream], [], [], _POLL_SECONDS)
    return os.read(stream, 1024) if ready else None


def _written_study(recorder: Recorder) -> dict[str, str]:
    try:
        recorder.write_study()
    except Exception as error:
        return {"study": f"{type(error).__name__}: {error}"}
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
