"""Masked-token pre-training, then fine-tuning on another task, beside the same training from scratch.

    python benchmarks/pretraining.py [--data ../shared/data/sets] [--task trec] [--labels 200] [--seeds 5]

Everything by `nas.search`, as a user does it, on the reference network of `encoder`. The pre-training reads the texts
of all training rows and no labels; the fine-tuning has the labels of a few rows, drawn by the seed, and the
same epochs and recipe whether it starts from the pre-trained weights or from scratch. Both have the vocabulary
of the pre-training. Judged on the test rows, which the pre-training never sees.
"""

from __future__ import annotations

import argparse
import gzip
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import nas

SPACE = "encoder:width=64,depth=1"
FILES = ("trec", "sst2")
T_97_5 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""The 97.5 % point of Student's t for means of so many values."""

Row = tuple[str, str, str]


def rows_of(file: Path) -> list[Row]:
    """Split, label and text of each line."""
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    return [(split, label, text) for split, label, text in (line.split("\t") for line in lines)]


def few(rows: list[Row], labels: int, seed: int) -> list[Row]:
    """The test rows, and as many of the others as there shall be labels."""
    others = [row for row in rows if row[0] != "test"]
    return random.Random(seed).sample(others, labels) + [row for row in rows if row[0] == "test"]


def pretrain(folder: Path, data: dict[str, list[Row]], epochs: int) -> Path:
    """The folder of a network that learnt to tell hidden words."""
    texts = [text for rows in data.values() for split, _, text in rows if split != "test"]
    random.Random(0).shuffle(texts)
    (folder / "texts.txt").write_text("\n".join(texts))
    nas.search(
        SPACE,
        f"masked:path={folder / 'texts.txt'},length=16,vocabulary=3000",
        trials=1, epochs=epochs, runner="local", out=str(folder / "first"),
    )  # fmt: skip
    return folder / "first"


def finetune(folder: Path, task: Path, first: Path, epochs: int, seed: int, init: bool) -> float:
    """The accuracy on the test rows."""
    run = nas.search(
        SPACE,
        f"{task}:vocabulary_from={first}",
        trials=1, epochs=epochs, seed=seed, runner="local", cache=False,
        recipe={"init": str(first)} if init else {},
        out=str(folder / f"{task.stem}-{init}"),
    )  # fmt: skip
    return float(run.results["test_accuracy"])


def interval(values: list[float]) -> str:
    """The mean and half the 95 % interval, in per cent."""
    half = T_97_5[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return f"{100 * statistics.mean(values):.1f} ± {100 * half:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "sets")
    parser.add_argument("--task", choices=FILES, default="trec")
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--seeds", type=int, choices=T_97_5, default=5)
    parser.add_argument("--pretraining-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    data = {name: rows_of(given.data / f"{name}.tsv.gz") for name in FILES}
    scratch: list[float] = []
    started: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        folder, begun = Path(place), time.perf_counter()
        first = pretrain(folder, data, given.pretraining_epochs)
        print(f"pre-trained in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        for seed in range(given.seeds):
            task = folder / f"{given.task}{seed}.tsv"
            task.write_text("\n".join("\t".join(row) for row in few(data[given.task], given.labels, seed)))
            for found, init in ((scratch, False), (started, True)):
                found.append(finetune(folder, task, first, given.epochs, seed, init))
            print(f"seed {seed}: {scratch[-1]:.3f} from scratch, {started[-1]:.3f} pre-trained", file=sys.stderr)
    title = f"{given.task}, {given.labels} labels, {given.epochs} epochs, {given.seeds} seeds: test accuracy in %"
    table = Table("start", "accuracy", title=title)
    table.add_row("from scratch", interval(scratch))
    table.add_row("pre-trained on hidden words", interval(started))
    table.add_row("difference, seed by seed", interval([b - a for a, b in zip(scratch, started, strict=True)]))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
