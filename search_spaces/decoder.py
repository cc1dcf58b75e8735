"""A GPT-like decoder (Sukthanker et al., NeurIPS 2024, HW-GPT-Bench): width, depth, biases, each layer's heads and MLP.

Scale `s` is HW-GPT-Bench-S: 3 widths, biases or none, and 3 * 3 for each of 10, 11 or 12 layers of 64 features a head:
3 * 2 * (9^10 + 9^11 + 9^12) = 1,903,784,282,946 architectures; times 3 * 2 * 2 * 4 with `extended`: key/value heads,
activation, norm and position code. Tasks that do not ask for tokens get a head on the last position.
The reference is the largest network.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Block, Choice, Element, Parameter, Scalar, chain, choice, graph
from nas.space.ports import TaskInfo
from nas.space.space import Space

SCALES = {"s": ((768, 384, 192), (12, 11, 10), (12, 8, 4), 64), "tiny": ((96, 64, 32), (4, 3, 2), (6, 4, 2), 16)}
MORE: dict[str, tuple[Scalar, ...]] = {
    "kv_heads": (None, 2, 1),
    "activation": ("swiglu", "gelu"),
    "norm": ("layer_norm", "rms_norm"),
    "position": ("rotary", "alibi", "learned", "sinusoidal"),
}


def decoder(b: Blocks, task: TaskInfo, *, scale: str = "s", extended: bool = False, tied: bool = False) -> Space:
    """Width, depth, biases, and heads and MLP ratio of each layer of a GPT-like decoder (HW-GPT-Bench)."""
    if [port.kind for port in task.inputs] != ["tokens"] or not task.vocabulary or (tied and task.target != "token"):
        coming = f"{' and '.join(map(str, task.inputs))} to tell a {task.target}"
        raise SpaceError(f"a decoder takes tokens of a known vocabulary, a tied one to tell a token, got {coming}")
    if scale not in SCALES:
        raise SpaceError(f"expected a scale among {', '.join(SCALES)}, got {scale!r}")
    widths, depths, heads, features = SCALES[scale]
    said: dict[str, Parameter] = {name: choice(name, *told) if extended else told[0] for name, told in MORE.items()}
    said |= {"head_features": features, "rotary_share": 0.5, "order": "parallel", "bias": choice("bias", True, False)}

    def layer(i: int) -> Block:
        own = {"heads": choice(f"layer{i}/heads", *heads), "mlp_ratio": choice(f"layer{i}/mlp_ratio", 4, 3, 2)}
        return b.decoder_layer(**own, **said)

    stacks = tuple(chain(**{f"layer{i}": layer(i) for i in range(depth)}) for depth in depths)
    each = b.vocabulary_head(vocabulary=task.outputs, bias=False)
    head = each if task.target == "token" else b.sequence_head(outputs=task.outputs, pool="last")
    std = 0.02 if tied else 0.2  # scores start small when a table tells them too
    nodes: dict[str, tuple[Element, object]] = {
        "embed": (b.embedding(vocabulary=task.vocabulary, features=choice("embed_dim", *widths), std=std), "tokens"),
        "positions": (b.position_embedding(position=said["position"]), "embed"),
        "layers": (Choice("n_layer", stacks, depths), "positions"),
        "norm": (b.final_norm(norm=said["norm"]), "layers"),
        "head": (head, ("norm", "embed") if tied else "norm"),
    }
    return Space(graph(["tokens"], nodes, "head"), reference={})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("decoder", decoder)
