"""Attention, feed-forward networks and the layers made of them, over sequences: plain PyTorch.

Letters of shapes: B examples, L positions, M positions that are attended to, D features, H heads, K heads of keys and
values, E features a head, N tokens of all examples. An exported model gets of this file the classes that it uses.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

NORMS: dict[str, type[nn.Module]] = {"layer_norm": nn.LayerNorm, "rms_norm": nn.RMSNorm}
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}
GATED: dict[str, type[nn.Module]] = {"swiglu": nn.SiLU, "geglu": nn.GELU}
"""Activations of feed-forward networks with a third matrix, whose product is the gate (Shazeer 2020)."""

POSITIONS = ("none", "rotary", "alibi", "learned", "sinusoidal")
"""Position codes; the last two are added to the sequence by `position_embedding`, and attention leaves them alone."""

ORDERS = ("pre", "post", "parallel")


def one_of(what: str, name: str, known: Iterable[str]) -> str:
    """`name`, if it is known; raises ValueError."""
    if name not in known:
        raise ValueError(f"expected {what} among {', '.join(known)}, got {name!r}")
    return name


def divisors(number: int) -> str:
    """What divides `number`, as an error message says it."""
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)


def head_sizes(width: int, heads: int, kv_heads: int | None, head_features: int | None) -> tuple[int, int]:
    """Heads of keys and values, and features a head.

    Raises ValueError for heads that don't divide the width, or key/value heads that don't divide the heads.
    """
    kv_heads = heads if kv_heads is None else kv_heads
    if heads < 1 or (head_features is None and width % heads):
        fit = divisors(width)
        raise ValueError(f"expected heads that divide {width} features ({fit}) or a head_features, got {heads} heads")
    if kv_heads < 1 or heads % kv_heads:
        raise ValueError(f"expected kv_heads that divide {heads} heads ({divisors(heads)}), got {kv_heads}")
    return kv_heads, width // heads if head_features is None else head_features


def split_heads(x: Tensor, features: int) -> Tensor:
    """(B, L, H * E) -> (B, H, L, E)."""
    return x.view(*x.shape[:2], -1, features).transpose(1, 2)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Softmax(q k^T / sqrt(E) + bias) v: (B, H, L, E), (B, K, M, E), (B, K, M, E) -> (B, L, H * E).

    Each head of keys and values serves H / K heads of queries. `causal` hides what comes later, unless `bias` does, and
    with it padding, which stands after a text; else `mask` (B, M) is false at what is hidden.
    """
    if mask is not None and not causal:
        seen = mask[:, None, None]
        bias = seen if bias is None else bias.masked_fill(~seen, float("-inf"))
    grouped = q.shape[1] != k.shape[1]
    out = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, dropout_p=dropout, is_causal=causal and bias is None, enable_gqa=grouped
    )
    return out.transpose(1, 2).flatten(2)


class Rotary(nn.Module):
    """Turns pairs of features by an angle that grows with the position: (B, H, L, E) -> the same (Su et al. 2021).

    Feature i is paired with i + turned / 2; features from `turned` on stay. Raises ValueError for an odd `turned`.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, length: int, turned: int) -> None:
        super().__init__()
        if turned < 2 or turned % 2:
            raise ValueError(f"expected an even number of features a head that turn, got {turned}")
        rates = 10_000.0 ** -(torch.arange(0, turned, 2) / turned)
        angles = torch.outer(torch.arange(length), rates)
        self.turned = turned
        self.register_buffer("cos", torch.cat([angles.cos()] * 2, dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], dim=-1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, L, E) -> (B, H, L, E), for any L up to the length given."""
        turning, staying = x[..., : self.turned], x[..., self.turned :]
        partners = torch.roll(turning, self.turned // 2, dims=-1)
        turned = (turning * self.cos[: x.shape[2]] + partners * self.sin[: x.shape[2]]).type_as(x)
        return torch.cat([turned, staying], dim=-1) if staying.shape[-1] else turned


class Alibi(nn.Module):
    """Scores fall linearly with distance, for each head at its own slope: L -> (H, L, L) (Press et al. 2022).

    With `causal` what comes later is hidden.
    """

    slopes: Tensor

    def __init__(self, heads: int, causal: bool) -> None:
        super().__init__()
        self.causal, power = causal, 1 << (heads.bit_length() - 1)
        slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
        slopes += [2.0 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)]
        self.register_buffer("slopes", torch.tensor(slopes).view(-1, 1, 1), persistent=False)

    def forward(self, q: Tensor) -> Tensor:
        """(B, H, L, E) -> (H, L, L), to be added to the scores."""
        place = torch.arange(q.shape[2], device=q.device)
        ahead = place[None, :] - place[:, None]
        bias = -self.slopes * ahead.abs()
        return (bias.masked_fill(ahead > 0, float("-inf")) if self.causal else bias).to(q.dtype)


class Attention(nn.Module):
    """Self-attention: (B, L, D) -> (B, L, D) (Vaswani et al. 2017).

    kv_heads: fewer than heads make it grouped-query (Ainslie et al. 2023), one multi-query (Shazeer 2019).
    head_features: features a head, D / heads by default.
    causal: each position sees itself and what comes before.
    position: ``rotary``, ``alibi`` or ``none``; ``learned`` and ``sinusoidal`` are `position_embedding`'s.
    rotary_share: how much of each head turns (GPT-NeoX, Black et al. 2022, turns a quarter).

    Raises ValueError for heads that don't divide D, kv_heads that don't divide heads, or an unknown position.
    """

    def __init__(
        self,
        *,
        in_features: int,
        in_length: int,
        heads: int = 4,
        kv_heads: int | None = None,
        head_features: int | None = None,
        causal: bool = False,
        position: str = "none",
        rotary_share: float = 1.0,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_of("a position", position, POSITIONS)
        kv_heads, self.features = head_sizes(in_features, heads, kv_heads, head_features)
        self.heads, self.kv_heads, self.causal, self.dropout = heads, kv_heads, causal, dropout
        self.qkv = nn.Linear(in_features, (heads + 2 * kv_heads) * self.features, bias=bias)
        self.out = nn.Linear(heads * self.features, in_features, bias=bias)
        turned = int(self.features * rotary_share)
        self.rotary = Rotary(in_length, turned) if position == "rotary" else None
        self.alibi = Alibi(heads, causal) if position == "alibi" else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, L, D); mask (B, L) is false at padding, after the text."""
        parts = split_heads(self.qkv(x), self.features)
        qk, v = parts[:, : -self.kv_heads], parts[:, -self.kv_heads :]
        if self.rotary is not None:
            qk = self.rotary(qk)
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        bias = None if self.alibi is None else self.alibi(q)
        dropout = self.dropout if self.training else 0.0
        out: Tensor = self.out(attend(q, k, v, causal=self.causal, bias=bias, mask=mask, dropout=dropout))
        return out


class CrossAttention(nn.Module):
    """Attention from one sequence to another: (B, L, D), (B, M, D') -> (B, L, D) (Vaswani et al. 2017).

    kv_heads and head_features are as in `Attention`. Raises ValueError as it does.
    """

    def __init__(
        self,
        *,
        in_shapes: tuple[tuple[int, ...], ...],
        heads: int = 4,
        kv_heads: int | None = None,
        head_features: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width, other = in_shapes[0][-1], in_shapes[1][-1]
        kv_heads, self.features = head_sizes(width, heads, kv_heads, head_features)
        self.dropout = dropout
        self.q = nn.Linear(width, heads * self.features, bias=bias)
        self.kv = nn.Linear(other, 2 * kv_heads * self.features, bias=bias)
        self.out = nn.Linear(heads * self.features, width, bias=bias)

    def forward(self, x: Tensor, memory: Tensor, masks: tuple[Tensor | None, ...] = (None, None)) -> Tensor:
        """(B, L, D), (B, M, D') -> (B, L, D); the second mask, (B, M), is false at padding."""
        q, k, v = (split_heads(part, self.features) for part in (self.q(x), *self.kv(memory).chunk(2, dim=-1)))
        out: Tensor = self.out(attend(q, k, v, mask=masks[1], dropout=self.dropout if self.training else 0.0))
        return out


class FeedForward(nn.Module):
    """Two linear maps at every position, `ratio` * D wide between: (B, L, D) -> (B, L, D) (Vaswani et al. 2017).

    activation: ``gelu``, ``relu`` or ``silu``; ``swiglu`` or ``geglu`` have a third map that is a gate (Shazeer 2020).

    Raises ValueError for an unknown activation.
    """

    def __init__(
        self,
        *,
        in_features: int,
        ratio: float = 4.0,
        activation: str = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_of("an activation", activation, [*ACTIVATIONS, *GATED])
        hidden = max(1, round(in_features * ratio))
        self.gated = activation in GATED
        self.up = nn.Linear(in_features, 2 * hidden if self.gated else hidden, bias=bias)
        self.act = {**ACTIVATIONS, **GATED}[activation]()
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, in_features, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if self.gated:
            gate, hidden = self.up(x).chunk(2, dim=-1)
            hidden = self.act(gate) * hidden
        else:
            hidden = self.act(self.up(x))
        out: Tensor = self.down(self.drop(hidden))
        return out


class MixtureOfExperts(nn.Module):
    """Every token goes through the `top` of its `experts` that a router likes most: (B, L, D) -> (B, L, D).

    The outputs are weighed by the router's softmax, which for more than one expert is over these (Shazeer et al. 2017;
    Fedus et al. 2022). No loss balances the experts' load, and none has a limit, so that a token's output does not
    depend on its neighbours.

    Raises ValueError for a `top` that is not 1..experts or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_features: int,
        experts: int = 4,
        top: int = 2,
        ratio: float = 4.0,
        activation: str = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 1 <= top <= experts:
            raise ValueError(f"expected top of 1..{experts} experts, got {top}")
        self.top = top
        self.router = nn.Linear(in_features, experts, bias=False)
        self.experts = nn.ModuleList(
            FeedForward(in_features=in_features, ratio=ratio, activation=activation, bias=bias, dropout=dropout)
            for _ in range(experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        tokens = x.flatten(0, 1)
        weights, chosen = self.router(tokens).softmax(dim=-1).topk(self.top, dim=-1)
        if self.top > 1:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        if tokens.is_meta:  # there are no numbers to choose by, and any experts cost the same
            return sum((expert(tokens) for expert in list(self.experts)[: self.top]), start=tokens * 0).view_as(x)
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == number)
            out = out.index_add(0, token, (weights[token, rank, None] * expert(tokens[token])).type_as(out))
        return out.view_as(x)


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network, each beside a shortcut: (B, L, D) -> (B, L, D).

    order: ``pre`` normalises what goes into each (Xiong et al. 2020), ``post`` what comes out of each sum (Vaswani et
        al. 2017); ``parallel`` is ``pre`` with both parts reading the layer's input (GPT-NeoX, Black et al. 2022).
    experts: more than one make a mixture of experts of which every token takes two.
    The others are those of `Attention` and `FeedForward`, in which they raise ValueError.
    """

    causal = False

    def __init__(
        self,
        *,
        in_features: int,
        in_length: int,
        heads: int = 4,
        kv_heads: int | None = None,
        head_features: int | None = None,
        mlp_ratio: float = 4.0,
        activation: str = "gelu",
        norm: str = "layer_norm",
        order: str = "pre",
        position: str = "none",
        rotary_share: float = 1.0,
        experts: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_of("a norm", norm, NORMS)
        self.order = one_of("an order", order, ORDERS)
        self.norm1, self.norm2 = NORMS[norm](in_features), NORMS[norm](in_features)
        self.attention = Attention(
            in_features=in_features,
            in_length=in_length,
            heads=heads,
            kv_heads=kv_heads,
            head_features=head_features,
            causal=self.causal,
            position=position,
            rotary_share=rotary_share,
            bias=bias,
            dropout=dropout,
        )
        self.mlp = make_mlp(in_features, experts, mlp_ratio, activation, bias, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, L, D); mask (B, L) is false at padding, after the text."""
        if self.order == "post":
            x = self.norm1(x + self.drop(self.attention(x, mask)))
            out: Tensor = self.norm2(x + self.drop(self.mlp(x)))
        else:
            mixed = x + self.drop(self.attention(self.norm1(x), mask))
            out = mixed + self.drop(self.mlp(self.norm2(x if self.order == "parallel" else mixed)))
        return out


class DecoderLayer(EncoderLayer):
    """An encoder layer in which no position sees what comes later: (B, L, D) -> (B, L, D) (Radford et al. 2018)."""

    causal = True


class CrossDecoderLayer(nn.Module):
    """Causal self-attention, cross-attention, feed-forward: (B, L, D), (B, M, D') -> (B, L, D) (Vaswani et al. 2017).

    The parameters are those of `EncoderLayer`; order is ``pre`` or ``post``.
    """

    def __init__(
        self,
        *,
        in_shapes: tuple[tuple[int, ...], ...],
        heads: int = 4,
        mlp_ratio: float = 4.0,
        activation: str = "gelu",
        norm: str = "layer_norm",
        order: str = "pre",
        position: str = "none",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        (length, width), _ = in_shapes
        one_of("a norm", norm, NORMS)
        self.post = one_of("an order", order, ORDERS[:2]) == "post"
        self.norm1, self.norm2, self.norm3 = (NORMS[norm](width) for _ in range(3))
        self.attention = Attention(
            in_features=width, in_length=length, heads=heads, causal=True, position=position, bias=bias, dropout=dropout
        )
        self.cross = CrossAttention(in_shapes=in_shapes, heads=heads, bias=bias, dropout=dropout)
        self.mlp = make_mlp(width, 1, mlp_ratio, activation, bias, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, masks: tuple[Tensor | None, ...] = (None, None)) -> Tensor:
        """(B, L, D), (B, M, D') -> (B, L, D); the second mask, (B, M), is false at padding."""
        if self.post:
            x = self.norm1(x + self.drop(self.attention(x)))
            x = self.norm2(x + self.drop(self.cross(x, memory, masks)))
            out: Tensor = self.norm3(x + self.drop(self.mlp(x)))
        else:
            x = x + self.drop(self.attention(self.norm1(x)))
            x = x + self.drop(self.cross(self.norm2(x), memory, masks))
            out = x + self.drop(self.mlp(self.norm3(x)))
        return out


def make_mlp(width: int, experts: int, ratio: float, activation: str, bias: bool, dropout: float) -> nn.Module:
    """One feed-forward network, or a mixture of `experts` of which every token takes two."""
    if experts == 1:
        return FeedForward(in_features=width, ratio=ratio, activation=activation, bias=bias, dropout=dropout)
    return MixtureOfExperts(
        in_features=width, experts=experts, ratio=ratio, activation=activation, bias=bias, dropout=dropout
    )
