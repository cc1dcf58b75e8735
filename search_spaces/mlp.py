"""A multilayer perceptron: depth, each layer's width, and what stands between the linear maps.

1..`layers` hidden layers, each of 5 widths; 3 activations, batch normalisation before or after them or none, 3 rates of
dropout: 27 * (5 + 5^2 + ... + 5^layers) architectures, 4,185 with the defaults.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, Element, Graph, chain, choice
from nas.space.ports import TaskInfo
from nas.space.space import Space


def mlp(b: Blocks, task: TaskInfo, *, layers: int = 3, width: int = 256) -> Space:
    """Depth, widths, activation, batch normalisation and dropout of a perceptron."""
    widths = tuple(width * 2**i // 8 for i in range(5))
    act = b.activation(kind=choice("activation", "relu", "gelu", "tanh"))
    norm = b.batch_norm_vector()
    between = choice("norm", none=act, before=chain(norm=norm, act=act), after=chain(act=act, norm=norm))
    rates = (0.0, 0.2, 0.5)
    drop = Choice("dropout", (b.identity(), *(b.dropout(rate=rate) for rate in rates[1:])), rates)

    def hidden(depth: int) -> Graph:
        linears = {i: b.linear(features=choice(f"layer{i}/width", *widths)) for i in range(1, depth + 1)}
        return chain(**{f"layer{i}": chain(linear=linears[i], act=between, drop=drop) for i in linears})

    depths = tuple(range(1, layers + 1))
    parts: dict[str, Element] = {"flatten": b.flatten()} if task.input.kind != "vector" else {}
    parts["hidden"] = Choice("depth", tuple(map(hidden, depths)), depths)
    reference = {"depth": min(2, layers)} | {f"layer{i}/width": widths[3 - i] for i in (1, 2) if i <= layers}
    return Space(chain(**parts, head=b.linear(features=task.outputs)), reference=reference)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("mlp", mlp)
