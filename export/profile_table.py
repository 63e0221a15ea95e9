"""The profile of a model as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.energy import ORIGIN

if TYPE_CHECKING:
    from spaces.board import Board

_TITLES = ("#", "operator", "shape", "kernel", "MACs", "cycles", "ms", "%", "bytes")
_LEFT = (1, 2, 3)
_WIDEST_SHAPE = 28
_PEAK_BLOCKS = 8
_COMPARED = (
    ("flash, bytes", "flash_bytes"),
    ("arena, bytes", "arena_bytes"),
    ("  head", "arena_head_bytes"),
    ("  tail", "arena_tail_bytes"),
    ("one Invoke, ms", "latency_ms"),
    ("  at most", "latency_high_ms"),
    ("a decision, ms", "decision_ms"),
)


def table(data: dict[str, Any], board: Board) -> str:
    """Rows of operators, totals and the verdict; `data` is the object that `--json` prints."""
    total = sum(row["cycles"] for row in data["operators"]) or 1
    rows = [_TITLES, *(_cells(row, total) for row in data["operators"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_TITLES))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *(f"{name:<12}{text}" for name, text in summary(data, board))])


def comparison(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> str:
    """Two profiles side by side: totals, then time by kind of operator."""
    widest = max(12, *(len(name) for name in names))
    lines = [f"{'':24}{names[0]:>{widest + 2}}{names[1]:>{widest + 2}}{'difference':>14}"]
    for title, field in _COMPARED:
        lines.append(_compared(title, first[field], second[field], widest))
    one, two = _by_kind(first), _by_kind(second)
    for kind in dict.fromkeys((*one, *two)):
        lines.append(_compared(f"{kind}, ms", one.get(kind, 0.0), two.get(kind, 0.0), widest))
    return "\n".join(lines)


def _compared(title: str, one: float, two: float, width: int) -> str:
    cells = [f"{v:,}" if isinstance(v, int) else f"{v:.3f}" for v in (one, two)]
    change = f"{two / one - 1:+.1%}" if one else "new" if two else ""
    return f"{title:<24}{cells[0]:>{width + 2}}{cells[1]:>{width + 2}}{change:>14}"


def _by_kind(data: dict[str, Any]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for row in data["operators"]:
        sums[row["operator"]] = sums.get(row["operator"], 0.0) + row["ms"]
    return sums


def _cells(row: dict[str, Any], total: int) -> tuple[str, ...]:
    shape = row["shape"] if len(row["shape"]) <= _WIDEST_SHAPE else row["shape"][: _WIDEST_SHAPE - 1] + "…"
    return (
        str(row["index"]),
        row["operator"],
        shape,
        row["kernel"],
        f"{row['macs']:,}",
        f"{row['cycles']:,}",
        f"{row['ms']:.3f}",
        f"{100 * row['cycles'] / total:.1f}",
        f"{row['weight_bytes']:,}",
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [cell.ljust(widths[i]) if i in _LEFT else cell.rjust(widths[i]) for i, cell in enumerate(row)]


def summary(data: dict[str, Any], board: Board) -> list[tuple[str, str]]:
    """Name and text of everything below the rows, the verdict last."""
    pairs = [
        ("board", _board(board)),
        ("placement", f"{data['placement']} ({data['placement_reason']})"),
        ("flash", f"{data['flash_bytes']:,} bytes"),
        ("arena", _arena(data)),
        ("at the peak", _peak(data["arena_peak"], data["arena_head_bytes"])),
        ("lower it", _lower(data["arena_lowering"])),
        ("one Invoke", _interval(data["latency_ms"], data["latency_low_ms"], data["latency_high_ms"])),
        *_decision(data),
        ("energy", f"{data['energy_mj']:.2f} mJ a decision{_current(data)}; rests on {ORIGIN}"),
        *(("remark", line) for line in data["remarks"]),
        ("TFLM", "runs" if data["runs"] else "does not run: " + "; ".join(data["refusals"])),
        ("verdict", _verdict(data)),
    ]
    return [(name, text) for name, text in pairs if text]


def short(name: str) -> str:
    """The telling end of a tensor's name, which converters make of whole module paths."""
    return name.split(";", 1)[0].rsplit("/", 1)[-1][-40:]


def _board(board: Board) -> str:
    return (
        f"{board.name}: {board.cpu_mhz} MHz, flash {board.flash_mode}, PSRAM {board.psram}, "
        f"data cache {board.dcache_bytes // 1024} KiB, esp-nn {board.esp_nn}, esp-tflite-micro {board.tflm}"
    )


def _arena(data: dict[str, Any]) -> str:
    return (
        f"{data['arena_bytes']:,} bytes: head {data['arena_head_bytes']:,} + tail {data['arena_tail_bytes']:,}, "
        f"largest scratch {data['arena_scratch_bytes']:,}; set aside {data['arena_recommended_bytes']:,} "
        f"({data['arena_recommended_bytes'] - data['arena_bytes']:,} over)"
        + (f"; this host uses {data['host_arena_bytes']:,}" if data["host_arena_bytes"] else "")
    )


def _peak(blocks: list[dict[str, Any]], head_bytes: int) -> str:
    """The blocks alive where most bytes are, largest first, and what the planner leaves unused between them."""
    shown, rest = blocks[:_PEAK_BLOCKS], blocks[_PEAK_BLOCKS:]
    parts = [f"{short(block['name'])} {block['bytes']:,}" for block in shown]
    gaps = head_bytes - sum(block["bytes"] for block in blocks)
    tail = [f"{len(rest)} more {sum(b['bytes'] for b in rest):,}"] if rest else []
    return "; ".join([*parts, *tail, *([f"gaps {gaps:,}"] if gaps else [])])


def _lower(change: dict[str, Any] | None) -> str:
    if change is None:
        return ""
    alike = f" and the {change['buffers'] - 1} more of its kind and size" if change["buffers"] > 1 else ""
    block = f"{short(change['without'])} ({change['kind']})"
    return f"without {block}{alike} the head is {change['saves_bytes']:,} bytes lower"


def _verdict(data: dict[str, Any]) -> str:
    room = "fits" if data["fits"] else "does not fit: " + "; ".join(data["misfits"])
    return room if data["runs"] else f"does not run; for its memory: {room}"


def _interval(ms: float, low: float, high: float) -> str:
    return f"{ms:.2f} ms ({low:.2f} to {high:.2f}, 90 %)"


def _decision(data: dict[str, Any]) -> list[tuple[str, str]]:
    if data["real_time_factor"] is None:
        return []
    invokes = data["invokes_per_decision"]
    features = data["decision_ms"] - invokes * data["latency_ms"]
    run = "one Invoke" if invokes == 1 else f"{invokes} Invokes"
    return [
        (
            "a decision",
            f"{data['decision_ms']:.2f} ms (at most {data['decision_high_ms']:.2f}): features {features:.2f}, of which "
            f"only the FFT is measured, and {run}; real-time factor {data['real_time_factor']:.3f}",
        )
    ]


def _current(data: dict[str, Any]) -> str:
    return "" if data["average_ma"] is None else f", {data['average_ma']:.1f} mA on average while listening"
