"""The tensor arena: lifetimes, the greedy planner's head and what lives at its peak."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.operators import Model, Operator, Tensor

ALIGNMENT = 16
MAX_STEPS = 20_000
MAX_BLOCKS = 3_000
# How many of the largest blocks are tried as the one to do without; fewer where placing them all takes long.
CANDIDATES = 12
CANDIDATE_BLOCKS = 3_000
Scratch = Callable[["Operator"], tuple[int, ...]]


@final
@dataclass(frozen=True)
class Block:
    """One buffer of the head: alive from step `first` to step `last`, at `offset` once it is placed."""

    name: str
    kind: str
    size_bytes: int
    first: int
    last: int
    offset: int = -1

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.offset + self.size_bytes

    def overlaps(self, other: Block) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def head_blocks(model: Model, scratch: Scratch) -> tuple[Block, ...]:
    """Every tensor and scratch buffer that the planner places, in the order TFLM adds them, with its place."""
    return _place(_requests(model, scratch))


def head_bytes(blocks: tuple[Block, ...]) -> int:
    """Height of the placed blocks."""
    return max((block.end for block in blocks), default=0)


@final
@dataclass(frozen=True)
class Lowering:
    """Blocks whose absence lowers the head most, and the head that is left without them."""

    without: tuple[Block, ...]
    head_bytes: int


def lowering(blocks: tuple[Block, ...]) -> Lowering | None:
    """The one change that lowers the head most; None where there are no blocks or nothing helps.

    One block at the peak or below the head's top; where several steps reach the same height, so that no single block
    helps, all blocks of one kind and size.
    """
    if not blocks:
        return None
    top = max(blocks, key=lambda block: block.end)
    near = {*peak(blocks)[1], *(block for block in blocks if block.overlaps(top))}
    largest = sorted(near, key=lambda block: (-block.size_bytes, block.first, block.offset))
    largest = largest[: max(1, min(CANDIDATES, CANDIDATE_BLOCKS // len(blocks)))]
    alike = dict.fromkeys((block.kind, block.size_bytes) for block in largest)
    single = [(block,) for block in largest]
    groups = [tuple(b for b in blocks if (b.kind, b.size_bytes) == key) for key in alike]
    return _best(blocks, single) or _best(blocks, groups)


def _best(blocks: tuple[Block, ...], changes: Sequence[tuple[Block, ...]]) -> Lowering | None:
    tried = [Lowering(gone, head_bytes(_place([(b, -1) for b in blocks if b not in gone]))) for gone in changes]
    best = min(tried, key=lambda change: change.head_bytes)
    return best if best.head_bytes < head_bytes(blocks) else None


def planning_bytes(model: Model, blocks: tuple[Block, ...]) -> int:
    """What TFLM notes while it plans, at 32-bit sizes; held between head and tail, given back before the first Invoke.

    An AllocationInfo of 24 bytes for each tensor and scratch buffer, and 40 bytes of the planner for each block.
    """
    entries = sum(len(graph.tensors) for graph in model.graphs) + sum(block.kind == "scratch" for block in blocks)
    return 24 * entries + 40 * len(blocks)


def peak(blocks: tuple[Block, ...]) -> tuple[int, tuple[Block, ...]]:
    """The step at which most bytes are alive, and the blocks alive there, largest first."""
    steps = {block.first for block in blocks}
    if not steps:
        return 0, ()
    step = max(sorted(steps), key=lambda s: sum(b.size_bytes for b in blocks if b.first <= s <= b.last))
    alive = [b for b in blocks if b.first <= step <= b.last]
    return step, tuple(sorted(alive, key=lambda b: -b.size_bytes))


def _requests(model: Model, scratch: Scratch) -> list[tuple[Block, int]]:
    """Blocks without a place, each with its planned-ahead offset or -1, tensors of all graphs before scratch."""
    clock = _Lifetimes(model)
    clock.walk(0)
    offsets = model.offline_offsets or ()
    tensors = [
        (Block(t.name, "tensor", _up(t.size_bytes), *clock.spans[g, t.index]), _planned(offsets, t.index))
        for g, graph in enumerate(model.graphs)
        for t in graph.tensors
        if _placed_by_planner(t) and (g, t.index) in clock.spans
    ]
    buffers = [
        (Block(f"scratch of {op.kind} {op.index}", "scratch", _up(size), *clock.steps[g, op.index]), -1)
        for g, graph in enumerate(model.graphs)
        for op in graph.operators
        for size in scratch(op)
        if (g, op.index) in clock.steps
    ]
    return tensors + buffers


def _placed_by_planner(tensor: Tensor) -> bool:
    # VAR_HANDLE points its output at its own resource number.
    stored_elsewhere = tensor.constant or tensor.variable or tensor.dtype == "resource"
    return tensor.size_bytes > 0 and not stored_elsewhere


def _planned(offsets: tuple[int, ...], index: int) -> int:
    return offsets[index] if index < len(offsets) else -1


@final
class _Lifetimes:
    """First and last step of every tensor and operator, counted as TFLM's AllocationInfoBuilder counts them."""

    def __init__(self, model: Model) -> None:
        self._graphs = model.graphs
        self._step = 0
        self._entered: list[int] = []
        self.spans: dict[tuple[int, int], tuple[int, int]] = {}
        self.steps: dict[tuple[int, int], tuple[int, int]] = {}

    def walk(self, number: int) -> None:
        if number in self._entered:
            raise ValueError(f"graph {number} calls itself")
        self._entered.append(number)
        graph = self._graphs[number]
        for index in graph.inputs:
            self._created(number, index)
        for operator in graph.operators:
            self._operator(number, operator)
        for index in graph.outputs:
            self._used(number, index)
        self._entered.pop()

    def _operator(self, number: int, operator: Operator) -> None:
        self._step += 1
        if self._step > MAX_STEPS:
            raise ValueError(f"its control flow unrolls to more than {MAX_STEPS} operators")
        start = self._step
        for tensor in operator.outputs:
            self._created(number, tensor.index)
        for called in called_graphs(operator):
            if not 0 <= called < len(self._graphs):
                raise ValueError(
                    f"operator {operator.index} {operator.kind} calls graph {called} of {len(self._graphs)}"
                )
            self._step += 1
            self.walk(called)
        for source in operator.inputs:
            if source is not None:
                self._used(number, source.index)
        for tensor in operator.outputs:
            self._used(number, tensor.index)
        self.steps[number, operator.index] = (start, self._step)

    def _created(self, graph: int, tensor: int) -> None:
        self.spans.setdefault((graph, tensor), (self._step, self._step))

    def _used(self, graph: int, tensor: int) -> None:
        first, _ = self.spans.get((graph, tensor), (self._step, self._step))
        self.spans[graph, tensor] = (first, self._step)


def called_graphs(operator: Operator) -> tuple[int, ...]:
    """Graphs that a control-flow operator runs, in TFLM's order."""
    names = {
        "IF": ("then_subgraph_index", "else_subgraph_index"),
        "CALL_ONCE": ("init_subgraph_index",),
        "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    }.get(operator.kind, ())
    return tuple(int(operator.options.get(name, 0)) for name in names)


def _place(requests: list[tuple[Block, int]]) -> tuple[Block, ...]:
    """TFLM's GreedyMemoryPlanner: planned-ahead blocks first, then by falling size into the first gap that is free."""
    if len(requests) > MAX_BLOCKS:
        raise ValueError(
            f"its arena holds {len(requests)} tensors and buffers, more than the {MAX_BLOCKS} planned here"
        )
    ahead = [i for i, (_, offset) in enumerate(requests) if offset >= 0]
    # The planner fills its list from the back, so that of two equal sizes the one added later is placed first.
    free = [i for i in reversed(range(len(requests))) if requests[i][1] < 0]
    free.sort(key=lambda i: -requests[i][0].size_bytes)
    placed: dict[int, Block] = {}
    by_offset: list[Block] = []
    for i in ahead + free:
        block, planned = requests[i]
        offset = planned if planned >= 0 else _first_gap(block, by_offset)
        placed[i] = replace(block, offset=offset)
        bisect.insort_right(by_offset, placed[i], key=lambda b: b.offset)
    return tuple(placed[i] for i in range(len(requests)))


def _first_gap(wanted: Block, by_offset: list[Block]) -> int:
    candidate = 0
    for block in by_offset:
        if not wanted.overlaps(block):
            continue
        if block.offset - candidate >= wanted.size_bytes:
            break
        candidate = max(candidate, block.end)
    return candidate


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
