"""Zero-cost proxies on NAS-Bench-201 / CIFAR-10: ours against the published scores, and against the trained accuracy.

    python benchmarks/proxies.py [--cells 200] [--seed 0] [--proxies naswot,..] [--input photos]
        [--examples 64] [--simplify] [FOLDER]

FOLDER holds ``nb201_cifar10.npz``, by default ``../shared/data/bench`` beside the repository. The published scores were
computed on 64 images of CIFAR-10, which is not at hand: ``--input`` takes their place with patches of the two photos
that scikit-learn brings along, with Fashion-MNIST, or with normal noise. They count every node of a cell, even where
nothing leads to the output; ``--simplify`` scores what a search would train, without such nodes.
"""

from __future__ import annotations

import argparse
import importlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import interpolate

from nas.controller.ranks import aggregate_ranks, rank_correlation
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.ports import Port, TaskInfo
from nas.train.proxy import EXAMPLES, Batch, Scores, make_scorer
from nas.train.target import Classes

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
FILE = "nb201_cifar10.npz"
CIFAR10 = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
PUBLISHED = {"naswot": "naswot_c10", "synflow": "synflow_c10", "logsynflow": "logsynflow_c10", "params": "params_M_c10"}
"""Proxy -> its column in the table."""

Found = dict[int, Scores]
"""Row of the table -> what proxies say of it."""

AZ_NAS = ("expressivity", "progressivity", "trainability", "flops")


def photos(count: int, seed: int, sets: Path) -> Tensor:
    """Patches of two photos at several scales, 32 x 32: what natural images have in common is in them."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        photo = torch.from_numpy(load_sample_images().images[i % 2].copy()).permute(2, 0, 1).float()
        side = int(rng.integers(32, 257))
        top, left = (int(rng.integers(0, size - side + 1)) for size in photo.shape[1:])
        patch = photo[None, :, top : top + side, left : left + side]
        found.append(interpolate(patch, size=(32, 32), mode="bilinear", antialias=True))
    return torch.cat(found)


def fashion(count: int, seed: int, sets: Path) -> Tensor:
    """Clothes of Fashion-MNIST, scaled to 32 x 32 and the same in all three channels."""
    with np.load(sets / "fashion_mnist_12k.npz", allow_pickle=False) as data:
        chosen = np.random.default_rng(seed).permutation(10_000)[:count]
        images = torch.from_numpy(data["x_train"][chosen]).float()[:, None]
    return interpolate(images, size=(32, 32), mode="bilinear").expand(-1, 3, -1, -1).contiguous()


def noise(count: int, seed: int, sets: Path) -> Tensor:
    """Independent normal pixels."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


INPUTS: dict[str, Callable[[int, int, Path], Tensor]] = {"photos": photos, "fashion": fashion, "noise": noise}


def make_batch(name: str, seed: int, folder: Path, size: int = EXAMPLES) -> Batch:
    """Inputs in units of each channel's deviation, and random labels."""
    x = INPUTS[name](size, seed, folder.parent / "sets")
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    y = torch.randint(10, (size,), generator=torch.Generator().manual_seed(seed))
    return Batch((x,), y, Classes())


def scored(folder: Path, cells: int, names: Sequence[str], batch: Batch, seed: int, simplify: bool) -> Found:
    """Random rows of the table and what the proxies say of their networks; what cannot be built is left out."""
    registry = create_manager().registry
    space = build_space(registry, "nas_bench_201", CIFAR10)
    strings_of = importlib.import_module("nas_search_spaces.nas_bench_201")
    with np.load(folder / FILE, allow_pickle=False) as table:
        strings = table["arch_str"].astype(str).tolist()
    scorer = make_scorer(registry, CIFAR10, names, batch, seed, simplify=simplify)
    found: Found = {}
    for row in np.random.default_rng(seed).permutation(len(strings)).tolist():
        said = scorer.score(strings_of.from_string(space, strings[row]))
        if said.values:
            found[row] = said
        if len(found) == cells:
            break
    return found


def column(found: Found, name: str) -> list[float]:
    """One proxy's scores, NaN where it has none."""
    return [said.values.get(name, math.nan) for said in found.values()]


def published(folder: Path, rows: Iterable[int]) -> Mapping[str, list[float]]:
    """The table's columns at `rows`."""
    with np.load(folder / FILE, allow_pickle=False) as table:
        return {name: table[name][list(rows)].tolist() for name in (*PUBLISHED.values(), "test200_c10")}


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    given.add_argument("--cells", type=int, default=200)
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--proxies", default="")
    given.add_argument("--examples", type=int, default=EXAMPLES)
    given.add_argument("--input", choices=INPUTS, default="photos")
    given.add_argument("--simplify", action="store_true")
    options = given.parse_args()
    torch.set_num_threads(1)
    names = [*filter(None, options.proxies.split(","))] or [e.name for e in create_manager().registry.all("proxy")]
    started = time.perf_counter()
    batch = make_batch(options.input, options.seed, options.folder, options.examples)
    found = scored(options.folder, options.cells, names, batch, options.seed, options.simplify)
    table = published(options.folder, found)
    which = f"{len(found)} {'simplified ' * options.simplify}cells, {options.examples} {options.input}"
    title = f"{which}, seed {options.seed}, {time.perf_counter() - started:.0f} s"
    shown = Table("proxy", "scored", "with published", "with test200", "ms a network", title=title)
    for name in names:
        scores, seconds = column(found, name), [said.seconds[name] for said in found.values()]
        ours = f"{rank_correlation(scores, table[PUBLISHED[name]]):.4f}" if name in PUBLISHED else ""
        count = sum(map(math.isfinite, scores))
        judged = f"{rank_correlation(scores, table['test200_c10']):.3f}"
        shown.add_row(name, str(count), ours, judged, f"{1000 * sum(seconds) / len(seconds):.0f}")
    if set(AZ_NAS) <= set(names):
        joint = aggregate_ranks([column(found, name) for name in AZ_NAS])
        shown.add_row("az_nas", str(len(joint)), "", f"{rank_correlation(joint, table['test200_c10']):.3f}", "")
    Console().print(shown)


if __name__ == "__main__":
    main()
