"""NAS-Bench-201 (Dong & Yang, ICLR 2020) on CIFAR-10: every cell of its space, trained for 12 and for 200 epochs.

The curve of a row has the validation accuracy after the short training, as a low fidelity, and after the long one. The
scores are naswot (Mellor et al., ICML 2021) and synflow (Tanaka et al., NeurIPS 2020), also in log form (Cavagnero et
al., WACV 2023), with the seconds that each took its authors.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from nas.controller.history import Objective
from nas.controller.table import Row, Rows, Table
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.ports import Port, TaskInfo

from .files import columns, one_of

NAME = "nas_bench_201"
SOURCE = (
    "nb201_cifar10.npz with the published accuracies by index (D-X-Y/NAS-Bench-201 on GitHub; see docs/benchmarks.md)"
)
CIFAR10 = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
EDGES = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")
"""Decisions of the space in the order of the table's columns."""
PROXIES = ("naswot", "synflow", "logsynflow")
SHORT, LONG = 12, 200
METRIC = "val_accuracy"


def nas_bench_201(registry: Registry, *, path: str, signal: str = "val200", judge: str = "") -> Table:
    """15,625 convolutional cells on CIFAR-10 (Dong & Yang, ICLR 2020).

    path: the file. signal: what a search sees, `val200` or `val12`. judge: what tells how good the best is, `test200`
        or `test12`; by default that of the signal's length.
    """
    one_of(f"signal of table {NAME!r}", signal, ("val200", "val12"))
    judge = one_of(f"judge of table {NAME!r}", judge or signal.replace("val", "test"), ("test200", "test12"))
    names = [f"{part}{epochs}_c10" for part in ("val", "test") for epochs in (SHORT, LONG)]
    names += [f"{proxy}{suffix}" for proxy in PROXIES for suffix in ("_c10", "_time_s_c10")]
    found = columns(path, ["ops", "op_names", "cost12_c10_s", "params_M_c10", *names], NAME, SOURCE)
    keys = found.pop("op_names")[found.pop("ops")].tolist()
    lists = {name: values.tolist() for name, values in found.items()}
    whole = signal == "val200"
    rows = {tuple(key): _row({name: values[i] for name, values in lists.items()}, whole) for i, key in enumerate(keys)}
    return Rows(
        build_space(registry, NAME, CIFAR10),
        (Objective(signal, METRIC, "maximize"),),
        rows,
        Objective(judge, judge, "maximize"),
        key=operations,
    )


def operations(architecture: Architecture) -> Hashable:
    """What the table knows an architecture by; two that are written differently are two rows, of one network or not."""
    return tuple(architecture.decisions[edge] for edge in EDGES)


def _row(said: dict[str, Any], whole: bool) -> Row:
    short, long = ({"epoch": float(n), METRIC: said[f"val{n}_c10"]} for n in (SHORT, LONG))
    seconds = said["cost12_c10_s"]
    return Row(
        curve=(short, long) if whole else (short,),
        seconds=seconds * LONG / SHORT if whole else seconds,
        judged={"test12": said["test12_c10"], "test200": said["test200_c10"]},
        costs={"params": round(said["params_M_c10"] * 1e6)},
        scores={name: said[f"{name}_c10"] for name in PROXIES},
        score_seconds={name: said[f"{name}_time_s_c10"] for name in PROXIES},
    )
