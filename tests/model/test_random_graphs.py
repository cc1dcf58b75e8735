from __future__ import annotations

import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nas.errors import CandidateError
from nas.model import blueprint
from nas.plugin.manager import create_manager
from nas.space.graph import Block, Element, Graph, graph
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

REGISTRY = create_manager().registry
TASK = TaskInfo("tiny", (Port("image", (2, 4, 4)),), outputs=3)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any mixture of blocks that keep shapes, blocks that are zero or nothing, and sums, some in a nested graph."""
    b = REGISTRY.blocks
    unary: list[Block] = [
        b.conv(kernel=1),
        b.conv(order="norm_act_conv", kernel=1),
        b.max_pool(),
        b.identity(),
        b.zero(),
    ]
    nodes: dict[str, tuple[Element, object]] = {"stem": (b.conv(channels=2, order="conv_norm"), "x")}
    for i in range(draw(st.integers(1, 8))):
        before = st.sampled_from([*nodes])
        if draw(st.booleans()):
            nodes[f"n{i}"] = (b.add(), tuple(draw(st.lists(before, min_size=1, max_size=3))))
        else:
            block = draw(st.sampled_from(unary))
            inner = graph(["y"], {"a": (block, "y"), "b": (b.add(), ("a", "y"))}, "b")
            nodes[f"n{i}"] = (inner if draw(st.booleans()) else block, draw(before))
    nodes["join"] = (b.add(), tuple(nodes))
    nodes["head"] = (b.classifier(classes=3), "join")
    return graph(["x"], nodes, "head")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_simplification_changes_no_output(made: Graph) -> None:
    architecture = Space(made).reference
    try:
        simple = blueprint(architecture, TASK, REGISTRY).build().double().eval()
    except CandidateError:
        assume(False)
    written = blueprint(architecture, TASK, REGISTRY, simplify=False).build().double().eval()
    simple.load_state_dict({k: v for k, v in written.state_dict().items() if k in simple.state_dict()})
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(simple(x), written(x))
