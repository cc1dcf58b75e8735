"""Convolutions along time, for sound and other signals: convolutions, most with a pool, then linear layers.

1 to 4 convolutions (width 4, kernel 3, pool 3), three ways to read them (all steps, their mean or largest), 0 or 1
hidden layer (width 3, dropout 2): (36 + 36^2 + 36^3 + 36^4) * 3 * (1 + 6) = 36,279,684 architectures, among them two
convolutions of 32 and 64 features with pools. For waveforms give the first one a stride: ``conv1d:stride=4,pool=4``.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, Graph, Scalar, chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def conv1d(
    b: Blocks,
    task: TaskInfo,
    *,
    depth: int = 4,
    stride: int = 1,
    pool: int = 2,
    padding: str = "same",
    norm: bool = False,
) -> Space:
    """Convolutions and pools along time, a readout and linear layers; no shortcuts."""
    pools = {"none": b.identity(), "max": b.pool1d(size=pool), "avg": b.pool1d(kind="avg", size=pool)}

    def layer(place: str, stride: int = 1) -> Graph:
        features, kernel = choice(f"{place}features", 16, 32, 64, 128), choice(f"{place}kernel", 3, 5, 9)
        conv = b.conv1d(features=features, kernel=kernel, stride=stride, padding=padding, norm=norm)
        return chain(conv=conv, pool=choice(f"{place}pool", **pools))

    drop = choice("dropout", none=b.identity(), half=b.dropout(rate=0.5))
    hidden = chain(linear=b.linear(features=choice("hidden", 64, 128, 256)), act=b.activation(), dropout=drop)
    more = Choice("depth", tuple(range(depth)), tuple(range(1, depth + 1)))
    graph = chain(
        first=layer("first/", stride),
        more=repeat(layer(""), more, tied=False, name="layer"),
        read=choice("read", all=b.flatten(), mean=b.mean_over_time(), max=b.max_over_time()),
        dense=repeat(hidden, choice("dense", 0, 1), name="layer"),
        head=b.linear(features=task.outputs),
    )
    usual: dict[str, Scalar] = {"depth": min(2, depth), "dense": 1, "hidden": 128}
    usual |= {"first/features": 32, "first/pool": "max"}
    usual |= {"more/layer0/features": 64, "more/layer0/pool": "max"} if depth > 1 else {}
    return Space(graph, reference=usual)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("conv1d", conv1d)
