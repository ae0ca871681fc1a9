"""Measurements as rows against a peer measured in the same run: a table, and a file."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measurement. `ratio` is ours to the peer's, so that above 1 is better.

    `goal` is what the ratio should reach; None where there is no peer or no goal.
    """

    work: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    goal: float | None
    higher_is_better: bool

    @property
    def verdict(self) -> str:
        if self.goal is None or self.ratio is None:
            return ""
        return "met" if self.ratio >= self.goal else "MISSED"


def compare(
    work: str,
    ours: float,
    peer: float | None,
    unit: str,
    *,
    goal: float | None = None,
    higher_is_better: bool,
) -> Row:
    """A row with its ratio worked out."""
    ratio = None
    if peer is not None and ours and peer:
        ratio = round(ours / peer if higher_is_better else peer / ours, 3)
    return Row(work, ours, peer, unit, ratio, goal, higher_is_better)


def report(name: str, rows: Sequence[Row]) -> None:
    """Print the table and write `benchmarks/results/NAME.json`."""
    gpu = f"{machine()['gpu']}, " if "gpu" in machine() else ""
    print(f"\n{name}, on {gpu}{machine()['cpu']} with {machine()['cores']} cores")
    print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": [asdict(row) for row in rows]}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    head = ("work", "ours", "peer", "unit", "ratio", "goal", "")
    lines = [head]
    for row in rows:
        numbers = (_number(row.ours), _number(row.peer))
        marks = (_number(row.ratio), _number(row.goal), row.verdict)
        lines.append((row.work, *numbers, row.unit, *marks))
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def machine() -> dict[str, str | int]:
    """What the numbers depend on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        **_gpu(),
    }


def _gpu() -> dict[str, str]:
    """The GPUs and torch, where this process measured with them."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    count, kind = torch.cuda.device_count(), torch.cuda.get_device_name()
    return {"gpu": f"{count} × {kind}", "torch": torch.__version__}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
