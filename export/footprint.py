"""What one .tflite costs on one board: flash, arena, latency, and where its parts are placed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from export.arena import Block, head_blocks, head_bytes, planning_bytes
from export.latency import OperatorLatency, decision_interval, invoke_interval, operator_latencies
from export.memory_traffic import Placement
from export.operators import Model, read_model
from export.persistent import Tail, tail_of
from export.releases import epoch_of
from export.scratch import scratch_bytes
from export.tflm_host import TFLM, StoppedError
from export.verdict import refusals, stopping_operator
from spaces.budget import Footprint

if TYPE_CHECKING:
    from export.calibration import Calibration
    from export.latency import Constants
    from export.memory_traffic import Place
    from spaces.board import Board
    from spaces.front_end import FrontEnd

PROFILER_VERSION = "9"
# Flash that an ESP-IDF application of its own takes beside the model (bootloader, partition table, code).
APPLICATION_FLASH_BYTES = 1 << 20


@final
@dataclass(frozen=True)
class ArenaEstimate:
    """The arena on the ESP32-S3, with the placed blocks of its head.

    While it plans, TFLM keeps `planning_bytes` of notes where the head will be: a small model needs more to start than
    it uses to run.
    """

    head_bytes: int
    tail: Tail
    planning_bytes: int
    blocks: tuple[Block, ...]

    @property
    def tail_bytes(self) -> int:
        """Bytes kept for the model's life."""
        return self.tail.total

    @property
    def total_bytes(self) -> int:
        """Head and tail: what `arena_used_bytes()` reports."""
        return self.head_bytes + self.tail_bytes

    @property
    def scratch_bytes(self) -> int:
        """The largest scratch buffer."""
        return max((b.size_bytes for b in self.blocks if b.kind == "scratch"), default=0)

    @property
    def recommended_bytes(self) -> int:
        """A constant for the firmware: enough to plan and to run, 1 % and 256 bytes over, in whole KiB."""
        needed = self.tail_bytes + max(self.head_bytes, self.planning_bytes)
        return math.ceil((needed * 1.01 + 256) / 1024) * 1024


@final
@dataclass(frozen=True)
class Choice:
    """A placement, why it was chosen, and what does not fit (empty when everything does)."""

    placement: Placement
    reason: str
    misfits: tuple[str, ...]


@final
@dataclass(frozen=True)
class Plan:
    """Where a model's parts lie on a board and what each operator takes there; nothing of it runs the model."""

    arena: ArenaEstimate
    choice: Choice
    rows: tuple[OperatorLatency, ...]


@final
@dataclass(frozen=True)
class Profile:
    """A model on a board, in full: the footprint and the rows it is made of."""

    footprint: Footprint
    model: Model
    arena: ArenaEstimate
    rows: tuple[OperatorLatency, ...]
    choice: Choice
    board: Board
    refusals: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether flash and arena have room for it."""
        return not self.choice.misfits

    @property
    def runs(self) -> bool:
        """Whether TFLM has a kernel for everything in it."""
        return not self.refusals


def footprint_of(
    tflite: bytes, board: Board, front_end: FrontEnd | None, calibration: Calibration | None = None
) -> Footprint:
    """Footprint of a .tflite held in memory.

    Without a front end a decision is one Invoke. A file that is no .tflite, or that the TFLM interpreter of this host
    does not run, is a `ValueError`.
    """
    found = profile(tflite, board, front_end, calibration=calibration)
    if not found.runs:
        raise ValueError(f"TFLM does not run this model: {'; '.join(found.refusals)}")
    return found.footprint


def profile(
    tflite: bytes,
    board: Board,
    front_end: FrontEnd | None = None,
    *,
    arena: Place | None = None,
    weights: Place | None = None,
    calibration: Calibration | None = None,
    source: str = "model",
) -> Profile:
    """Everything about a .tflite on a board; `arena` and `weights` fix a placement, otherwise the fastest that fits."""
    model = read_model(tflite, source)
    TFLM.start()
    planned = plan(model, board, arena=arena, weights=weights, calibration=calibration)
    estimate, choice, rows = planned.arena, planned.choice, planned.rows
    fitted = calibration.constants if calibration else None
    invoke = invoke_interval(rows, board, fitted)
    decision = (
        decision_interval(invoke, front_end, board, invokes_per_decision(model, front_end)) if front_end else invoke
    )
    host_bytes, refused = _on_this_host(model, tflite, refusals(model))
    footprint = Footprint(
        flash_bytes=model.size_bytes,
        arena_bytes=estimate.total_bytes,
        host_arena_bytes=host_bytes,
        latency_ms=invoke.ms,
        latency_low_ms=invoke.low_ms,
        latency_high_ms=invoke.high_ms,
        decision_ms=decision.ms,
        decision_high_ms=decision.high_ms,
        placement=str(choice.placement),
        board=board.name,
        profiler_version=PROFILER_VERSION,
    )
    return Profile(footprint, model, estimate, rows, choice, board, tuple(refused))


def plan(
    model: Model,
    board: Board,
    *,
    arena: Place | None = None,
    weights: Place | None = None,
    calibration: Calibration | None = None,
) -> Plan:
    """Arena, placement and times of a model; another board's calibration is a `ValueError`."""
    estimate = arena_estimate(model, board)
    if calibration is not None:
        calibration.check(board)
    fitted = calibration.constants if calibration else None
    alone = "as asked for" if arena and weights else "no other choice"
    choice, rows = _fastest(model, estimate, board, _placements(board, arena, weights), fitted, alone)
    return Plan(estimate, choice, rows)


def invokes_per_decision(model: Model, front_end: FrontEnd) -> int:
    """Invokes between two decisions: one, or as many as hear the new frames."""
    if not model.is_step:
        return 1
    frames_per_step = model.main.tensors[model.main.inputs[0]].elements // front_end.values_per_frame
    return math.ceil(front_end.new_frames_per_decision / max(1, frames_per_step))


def _on_this_host(model: Model, tflite: bytes, refused: list[str]) -> tuple[int, list[str]]:
    """Arena of the host's interpreter, 0 where TFLM does not run the model, with the reasons."""
    if refused:
        return 0, refused
    try:
        return TFLM.arena(tflite).total_bytes, []
    except StoppedError as error:
        found = stopping_operator(model, tflite, _loads)
        shapes = " ".join(f"{t.dtype} {list(t.shape)}" for t in (*found.data_inputs, *found.outputs)) if found else ""
        return 0, [f"operator {found.index} {found.kind} ({shapes}): {error}" if found else str(error)]
    except ValueError as error:
        return 0, [str(error)]


def _loads(tflite: bytes) -> bool:
    try:
        return TFLM.arena(tflite).total_bytes > 0
    except ValueError:
        return False


def arena_estimate(model: Model, board: Board) -> ArenaEstimate:
    """Head by the greedy planner with the scratch buffers of the board's esp-nn release, tail at 32-bit sizes."""
    epoch = epoch_of(board.esp_nn)
    blocks = head_blocks(model, lambda operator: scratch_bytes(operator, epoch))
    scratch = sum(block.kind == "scratch" for block in blocks)
    return ArenaEstimate(head_bytes(blocks), tail_of(model, scratch), planning_bytes(model, blocks), blocks)


def _placements(board: Board, arena: Place | None, weights: Place | None) -> list[Placement]:
    """What a build can choose from; one that is asked for leaves the other open."""
    arenas: list[Place] = [arena] if arena else ["sram", "psram"] if board.psram_bytes else ["sram"]
    places: list[Place] = [weights] if weights else ["flash", "psram"] if board.psram_bytes else ["flash"]
    return [Placement(first, second) for first in arenas for second in places]


def _fastest(
    model: Model,
    estimate: ArenaEstimate,
    board: Board,
    placements: list[Placement],
    fitted: Constants | None,
    alone: str,
) -> tuple[Choice, tuple[OperatorLatency, ...]]:
    tried = []
    for placement in placements:
        rows = operator_latencies(model, board, placement, fitted)
        misfits = _misfits(model, estimate, board, placement)
        tried.append((bool(misfits), sum(row.cycles for row in rows), placement, rows, misfits))
    tried.sort(key=lambda t: t[:2])
    _, cycles, placement, rows, misfits = tried[0]
    rest = [f"{other} {_ms(c, board):.2f} ms{' (does not fit)' if bad else ''}" for bad, c, other, _, _ in tried[1:]]
    reason = f"fastest that fits: {_ms(cycles, board):.2f} ms; {'; '.join(rest)}" if rest else alone
    return Choice(placement, "nothing fits" if misfits else reason, misfits), rows


def _ms(cycles: float, board: Board) -> float:
    return cycles / board.cpu_mhz / 1000


def _misfits(model: Model, estimate: ArenaEstimate, board: Board, placement: Placement) -> tuple[str, ...]:
    """What the board has no room for in a placement; the arena counts with its margin, as the firmware reserves it."""
    room = {"sram": board.sram_bytes, "psram": board.psram_bytes, "flash": board.flash_bytes - APPLICATION_FLASH_BYTES}
    held = {"sram": 0, "psram": 0, "flash": 0}
    held[placement.arena] += estimate.recommended_bytes
    held[placement.weights] += model.size_bytes
    held["flash"] = model.size_bytes
    return tuple(
        f"{place} has {room[place]:,} bytes for {held[place]:,}" for place in room if held[place] > room[place]
    )


def overridden(board: Board, **changes: object) -> Board:
    """The board with some fields changed; None leaves a field as it is."""
    return replace(board, **{key: value for key, value in changes.items() if value is not None})  # type: ignore[arg-type]
