"""Transformer blocks compute what their papers say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.errors import CandidateError
from nas.model import blueprint
from nas.model.settle import settle
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.graph import chain, graph
from nas.space.ports import Port, TaskInfo
from nas_plugins.transformer import heads, layers, linear, sequences

B, L, D = 2, 7, 24
LAYERS = ["encoder_layer", "decoder_layer"]
registry = create_manager().registry
b = registry.blocks


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sizes(module: layers.Attention) -> list[int]:
    """How wide queries, keys and values are together."""
    return [n * module.features for n in (module.heads, module.kv_heads, module.kv_heads)]


def naive(module: layers.Attention, x: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    """Softmax attention written out, head by head."""
    q, k, v = module.qkv(x).split(sizes(module), dim=-1)
    e, served = module.features, module.heads // module.kv_heads
    outs = []
    for h in range(module.heads):
        own, given = slice(h * e, (h + 1) * e), slice(h // served * e, (h // served + 1) * e)
        scores = q[..., own] @ k[..., given].transpose(1, 2) / math.sqrt(e)
        scores = scores + (bias[h] if isinstance(bias, Tensor) else bias)
        if module.causal:
            scores = scores.masked_fill(torch.ones(L, L).triu(1).bool(), -math.inf)
        outs.append(scores.softmax(dim=-1) @ v[..., given])
    return module.out(torch.cat(outs, dim=-1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, None), (4, 2), (6, 1), (1, 1)])
@pytest.mark.parametrize("head_features", [None, 10])
def test_attention_is_softmax_attention(
    heads: int, kv_heads: int | None, causal: bool, head_features: int | None
) -> None:
    torch.manual_seed(0)
    module = layers.Attention(
        in_features=D, in_length=L, heads=heads, kv_heads=kv_heads, head_features=head_features, causal=causal
    )
    x = random(B, L, D)
    torch.testing.assert_close(module(x), naive(module, x))


def test_grouped_queries_are_repeated_keys_and_values() -> None:
    torch.manual_seed(0)
    grouped = layers.Attention(in_features=D, in_length=L, heads=4, kv_heads=2, causal=True)
    full = layers.Attention(in_features=D, in_length=L, heads=4, causal=True)
    full.out = grouped.out
    parts = grouped.qkv.weight.split(sizes(grouped)), grouped.qkv.bias.split(sizes(grouped))
    for target, (q, k, v) in zip((full.qkv.weight, full.qkv.bias), parts, strict=True):
        twice = [part.unflatten(0, (2, -1)).repeat_interleave(2, dim=0).flatten(0, 1) for part in (k, v)]
        target.data = torch.cat([q, *twice])
    x = random(B, L, D)
    torch.testing.assert_close(grouped(x), full(x))
    assert grouped.qkv.weight.shape[0] == D + 2 * D // 2


def test_cross_attention_is_softmax_attention_to_the_other() -> None:
    torch.manual_seed(0)
    module = layers.CrossAttention(in_shapes=((L, D), (5, 8)), heads=2)
    x, memory = random(B, L, D), random(B, 5, 8, seed=1)
    q, (k, v) = module.q(x), module.kv(memory).chunk(2, dim=-1)
    outs = []
    for part in (slice(0, 12), slice(12, 24)):
        outs.append((q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(12)).softmax(-1) @ v[..., part])
    torch.testing.assert_close(module(x, memory), module.out(torch.cat(outs, dim=-1)))


def seen_from_earlier(module: nn.Module, *others: Tensor) -> bool:
    """Whether what comes at some place changes an output before it."""
    module.eval()
    x = random(B, L, D)
    before = module(x, *others)
    for place in range(1, L):
        changed = x.clone()
        changed[:, place] = random(B, changed.shape[-1], seed=9)
        after = module(changed, *others)
        assert not torch.allclose(after[:, place], before[:, place])
        if not torch.allclose(after[:, :place], before[:, :place], atol=1e-6):
            return True
    return False


@pytest.mark.parametrize("position", ["none", "rotary", "alibi"])
@pytest.mark.parametrize("order", layers.ORDERS)
@pytest.mark.parametrize("experts", [1, 3])
def test_the_future_does_not_change_the_past(position: str, order: str, experts: int) -> None:
    torch.manual_seed(0)
    shape = {"in_features": D, "in_length": L, "position": position, "order": order, "experts": experts}
    assert not seen_from_earlier(layers.DecoderLayer(**shape))
    assert seen_from_earlier(layers.EncoderLayer(**shape))


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_decoder_reads_all_of_the_memory_and_none_of_its_future(order: str) -> None:
    torch.manual_seed(0)
    module = layers.CrossDecoderLayer(in_shapes=((L, D), (5, 8)), order=order)
    memory = random(B, 5, 8)
    assert not seen_from_earlier(module, memory)
    x = random(B, L, D)
    for place in range(5):
        changed = memory.clone()
        changed[:, place] = random(B, changed.shape[-1], seed=9)
        assert not torch.isclose(module(x, changed), module(x, memory)).all(dim=-1).any()


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    turn = layers.Rotary(length=20, turned=8)
    q, k = (random(8, seed=seed).expand(1, 1, 20, 8) for seed in (1, 2))
    scores = (turn(q) @ turn(k).transpose(-1, -2))[0, 0]
    for distance in (-3, 0, 5):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)
    assert scores.diagonal(5)[0] != pytest.approx(scores.diagonal(0)[0].item(), abs=1e-3)
    torch.testing.assert_close(turn(q).norm(dim=-1), q.norm(dim=-1))


def test_rotary_turns_by_the_published_angles_and_leaves_the_rest() -> None:
    turned = layers.Rotary(length=3, turned=4)(torch.ones(1, 1, 3, 6))[0, 0]
    for place in range(3):
        for pair, rate in enumerate((1.0, 0.01)):
            angle = torch.tensor(place * rate)
            torch.testing.assert_close(turned[place, pair], angle.cos() - angle.sin())
            torch.testing.assert_close(turned[place, pair + 2], angle.cos() + angle.sin())
    assert (turned[:, 4:] == 1).all()


@pytest.mark.parametrize("causal", [False, True])
def test_alibi_adds_a_slope_of_distances(causal: bool) -> None:
    torch.manual_seed(0)
    module = layers.Attention(in_features=D, in_length=L, heads=4, causal=causal, position="alibi")
    x = random(B, L, D)
    distance = torch.tensor([[abs(i - j) for j in range(L)] for i in range(L)])
    bias = torch.stack([-distance * slope for slope in (1 / 4, 1 / 16, 1 / 64, 1 / 256)])
    torch.testing.assert_close(module(x), naive(module, x, bias))


def test_alibi_slopes_of_heads_that_are_no_power_of_two() -> None:
    slopes = layers.Alibi(12, causal=False).slopes.flatten().tolist()
    assert slopes == pytest.approx([2.0**-i for i in range(1, 9)] + [2.0 ** -(i + 0.5) for i in range(4)])


@pytest.mark.parametrize("length", [1, 5, 64, 65, 130])
@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_its_quadratic_form(length: int, causal: bool) -> None:
    torch.manual_seed(0)
    module = linear.LinearAttention(in_features=D, heads=3, causal=causal)
    x = random(B, length, D)
    q, k, v = (part.unflatten(-1, (3, -1)).transpose(1, 2) for part in module.qkv(x).chunk(3, dim=-1))
    weights = (functional.elu(q) + 1) @ (functional.elu(k) + 1).transpose(-1, -2)
    weights = weights.tril() if causal else weights
    mixed = weights / weights.sum(dim=-1, keepdim=True) @ v
    torch.testing.assert_close(module(x), module.out(mixed.transpose(1, 2).flatten(2)), atol=1e-5, rtol=1e-4)


def test_experts_are_those_that_the_router_likes_most() -> None:
    torch.manual_seed(0)
    module = layers.MixtureOfExperts(in_features=D, experts=4, top=2)
    x = random(B, L, D)
    out, scores = module(x), module.router(x).softmax(dim=-1)
    for example in range(B):
        for place in range(L):
            best = scores[example, place].argsort(descending=True)[:2]
            weights = scores[example, place, best] / scores[example, place, best].sum()
            token = x[example, place]
            wanted = sum(w * module.experts[e](token) for w, e in zip(weights, best.tolist(), strict=True))
            torch.testing.assert_close(out[example, place], wanted)


def test_a_token_goes_through_the_same_experts_whatever_stands_beside_it() -> None:
    torch.manual_seed(0)
    module = layers.MixtureOfExperts(in_features=D, experts=4, top=1)
    x = random(B, L, D)
    torch.testing.assert_close(module(x)[1:, 3:4], module(x[1:, 3:4]))


def test_one_expert_learns_its_router_too_and_costs_as_one() -> None:
    torch.manual_seed(0)
    module = layers.MixtureOfExperts(in_features=D, experts=4, top=1)
    module(random(B, L, D)).square().sum().backward()
    assert module.router.weight.grad is not None
    assert module.router.weight.grad.abs().sum() > 0
    port = Port("sequence", (L, D))
    dense = settle(b.feed_forward(), layers.FeedForward, (port,), "dense")
    mixed = settle(b.mixture_of_experts(top=1), layers.MixtureOfExperts, (port,), "mixed")
    assert mixed.flops == dense.flops + 2 * L * D * 4
    assert mixed.params == 4 * dense.params + 4 * D


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "swiglu", "geglu"])
def test_feed_forward_is_as_written(activation: str) -> None:
    torch.manual_seed(0)
    module = layers.FeedForward(in_features=D, ratio=1.5, activation=activation)
    x = random(B, L, D)
    up = functional.linear(x, module.up.weight, module.up.bias)
    hidden = {
        "gelu": lambda: functional.gelu(up),
        "relu": lambda: up.clamp(min=0),
        "silu": lambda: up * up.sigmoid(),
        "swiglu": lambda: functional.silu(up[..., :36]) * up[..., 36:],
        "geglu": lambda: functional.gelu(up[..., :36]) * up[..., 36:],
    }[activation]()
    assert hidden.shape == (B, L, 36)
    torch.testing.assert_close(module(x), functional.linear(hidden, module.down.weight, module.down.bias))


def test_layers_are_their_parts_in_order() -> None:
    x = random(B, L, D)
    for order in layers.ORDERS:
        torch.manual_seed(0)
        m = layers.EncoderLayer(in_features=D, in_length=L, order=order)
        for norm in (m.norm1, m.norm2):
            nn.init.normal_(norm.weight)
        mixed = x + m.attention(m.norm1(x))
        wanted = {"pre": mixed + m.mlp(m.norm2(mixed)), "parallel": mixed + m.mlp(m.norm2(x))}
        after = m.norm1(x + m.attention(x))
        wanted["post"] = m.norm2(after + m.mlp(after))
        torch.testing.assert_close(m(x), wanted[order])


def test_a_layer_written_out_is_the_layer() -> None:
    task = TaskInfo("t", (Port("sequence", (L, D)),), 3)
    head = b.sequence_head(outputs=3)
    parts = {
        "norm1": (b.layer_norm(), "x"),
        "attention": (b.attention(heads=4), "norm1"),
        "mixed": (b.add(), ("x", "attention")),
        "norm2": (b.layer_norm(), "mixed"),
        "mlp": (b.feed_forward(), "norm2"),
        "out": (b.add(), ("mixed", "mlp")),
        "head": (head, "out"),
    }
    written = blueprint(Architecture(graph(["x"], parts, "head")), task, registry)
    whole = blueprint(Architecture(chain(layer=b.encoder_layer(heads=4), head=head)), task, registry)
    assert (written.costs.params, written.costs.flops) == (whole.costs.params, whole.costs.flops)
    torch.manual_seed(0)
    one, other = written.build().eval(), whole.build().eval()
    weights = one.state_dict()
    other.load_state_dict({f"layer.{k}" if not k.startswith("head") else k: v for k, v in weights.items()})
    x = random(B, L, D)
    torch.testing.assert_close(one(x), other(x))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (b.encoder_layer(heads=5), r"heads that divide 24 features \(1, 2, 3, 4, 6, 8, 12, 24\).* got 5"),
        (b.attention(heads=4, kv_heads=3), r"kv_heads that divide 4 heads \(1, 2, 4\), got 3"),
        (b.linear_attention(heads=7), r"heads that divide 24 features .* got 7"),
        (b.attention(heads=8, position="rotary"), r"an even number of features a head that turn, got 3"),
        (b.attention(position="somewhere"), r"a position among none, rotary, .* got 'somewhere'"),
        (b.encoder_layer(norm="batch"), r"a norm among layer_norm, rms_norm, got 'batch'"),
        (b.encoder_layer(order="middle"), r"an order among pre, post, parallel, got 'middle'"),
        (b.feed_forward(activation="sin"), r"an activation among gelu, .* got 'sin'"),
        (b.mixture_of_experts(top=5), r"top of 1..4 experts, got 5"),
        (b.sequence_head(pool="middle"), r"a pool among mean, first, last, got 'middle'"),
        (b.position_embedding(position="here"), r"a position among learned, .* got 'here'"),
        (b.final_norm(norm="batch"), r"a norm among .* got 'batch'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_fit(block: object, said: str) -> None:
    task = TaskInfo("t", (Port("sequence", (L, D)),), 3)
    architecture = Architecture(chain(odd=block, head=b.sequence_head(outputs=3)))
    with pytest.raises(CandidateError, match=r"odd: block .*" + said):
        blueprint(architecture, task, registry)


def test_a_patch_must_divide_the_image() -> None:
    with pytest.raises(ValueError, match=r"divides 6 x 9 pixels \(1, 3\), got 4"):
        sequences.PatchEmbedding(in_shape=(3, 6, 9), patch=4)


def test_patches_are_read_row_by_row_after_the_class_token() -> None:
    torch.manual_seed(0)
    module = sequences.PatchEmbedding(in_shape=(3, 4, 6), features=5, patch=2, class_token=True)
    x = random(B, 3, 4, 6)
    out = module(x)
    assert out.shape == (B, 7, 5)
    patch = x[:, :, 2:4, 0:2].flatten(1)
    weight = module.project.weight.flatten(1)
    torch.testing.assert_close(out[:, 4], functional.linear(patch, weight, module.project.bias))
    assert torch.equal(out[0, 0], out[1, 0])


def test_positions() -> None:
    x = random(B, L, D)
    learned = sequences.PositionEmbedding(in_features=D, in_length=L)
    torch.testing.assert_close(learned(x[:, :3]), x[:, :3] + learned.codes[:3])
    assert sum(p.numel() for p in learned.parameters()) == L * D
    fixed = sequences.PositionEmbedding(in_features=D, in_length=L, position="sinusoidal")
    added = fixed(x) - x
    wanted = [math.sin(3 * 10_000 ** (-2 * i / D)) for i in range(D // 2)]
    assert added[0, 3, : D // 2].tolist() == pytest.approx(wanted, abs=1e-5)
    assert not fixed.state_dict()
    for position in ("rotary", "alibi", "none"):
        none = sequences.PositionEmbedding(in_features=D, in_length=L, position=position)
        assert torch.equal(none(x), x)


def test_an_odd_width_has_sinusoids_too() -> None:
    assert sequences.sinusoids(4, 5).shape == (4, 5)


@pytest.mark.parametrize(("pool", "read"), [("mean", slice(None)), ("first", slice(0, 1)), ("last", slice(-1, None))])
def test_a_head_reads_the_positions_asked_for(pool: str, read: slice) -> None:
    torch.manual_seed(0)
    head = heads.SequenceHead(in_features=D, outputs=3, pool=pool)
    x = random(B, L, D)
    torch.testing.assert_close(head(x), head.linear(x[:, read].mean(dim=1)))
    torch.testing.assert_close(head(x[:, 0]), head.linear(x[:, 0]))


def test_the_final_norm_is_none_after_post_norm_layers() -> None:
    x = random(B, L, D)
    assert torch.equal(sequences.FinalNorm(in_features=D, order="post")(x), x)
    normed = sequences.FinalNorm(in_features=D, norm="rms_norm")(x)
    torch.testing.assert_close(normed.square().mean(dim=-1), torch.ones(B, L), atol=1e-3, rtol=1e-3)


def test_dropout_is_off_in_evaluation() -> None:
    torch.manual_seed(0)
    module = layers.DecoderLayer(in_features=D, in_length=L, dropout=0.5)
    x = random(B, L, D)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize("position", ["none", "rotary", "alibi"])
def test_layers_compute_in_bfloat16(position: str) -> None:
    torch.manual_seed(0)
    module = layers.DecoderLayer(in_features=D, in_length=L, heads=4, kv_heads=2, position=position, experts=3)
    x = random(B, L, D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out.float(), module(x), atol=0.1, rtol=0.1)


def test_a_sequence_may_be_shorter_than_the_network_was_made_for() -> None:
    torch.manual_seed(0)
    for position in ("rotary", "alibi"):
        module = layers.DecoderLayer(in_features=D, in_length=L, position=position)
        x = random(B, L, D)
        torch.testing.assert_close(module(x[:, :4]), module(x)[:, :4])
