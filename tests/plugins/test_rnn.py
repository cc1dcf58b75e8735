"""Recurrent blocks compute what PyTorch's own layers and their papers say."""

from __future__ import annotations

import inspect
import time

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.model import count_flops
from nas_plugins.rnn import cells, layers, sequences, vectors

B, L, D, H = 3, 9, 5, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("ours", [layers.Rnn, layers.Lstm, layers.Gru])
def test_layers_equal_pytorchs(ours: type[layers.Recurrent], depth: int, bidirectional: bool) -> None:
    theirs = {layers.Rnn: nn.RNN, layers.Lstm: nn.LSTM, layers.Gru: nn.GRU}[ours]
    wanted = theirs(D, H, depth, batch_first=True, bidirectional=bidirectional)
    block = ours(in_features=D, hidden=H, layers=depth, bidirectional=bidirectional)
    block.layer.load_state_dict(wanted.state_dict())
    x = random(B, L, D)
    torch.testing.assert_close(block(x), wanted(x)[0])


@pytest.mark.parametrize("depth", [1, 2])
def test_dropout_stands_between_layers_only(depth: int) -> None:
    for block in (layers.Lstm, layers.MinGru):
        module = block(in_features=D, hidden=H, layers=depth, dropout=0.9)
        x = random(B, L, D)
        assert torch.equal(module(x), module.eval()(x)) == (depth == 1)


def min_gru_step_by_step(layer: layers.MinGruLayer, x: Tensor) -> Tensor:
    h, steps = x.new_zeros(len(x), layer.gate.out_features), []
    for now in x.unbind(1):
        z, new = torch.sigmoid(layer.gate(now)), layer.state(now)
        h = (1 - z) * h + z * torch.where(new >= 0, new + 0.5, torch.sigmoid(new))
        steps.append(h)
    return torch.stack(steps, dim=1)


@pytest.mark.parametrize("length", [1, 9, 1000])
def test_min_gru_scans_as_step_by_step(length: int) -> None:
    layer = layers.MinGru(in_features=D, hidden=H).there[0]
    assert isinstance(layer, layers.MinGruLayer)
    x = random(B, length, D)
    torch.testing.assert_close(layer(x), min_gru_step_by_step(layer, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_min_gru_scans_in_float32_at_least(dtype: torch.dtype) -> None:
    block = layers.MinGru(in_features=D, hidden=H)
    x = random(B, 1000, D)
    wanted = block(x)
    found = block.to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), wanted, rtol=0.03, atol=0.03)


def test_min_gru_of_extreme_inputs_has_finite_gradients() -> None:
    block = layers.MinGru(in_features=D, hidden=H)
    x = (1000 * random(B, L, D)).requires_grad_()
    block(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_min_gru_stacks_both_directions() -> None:
    block = layers.MinGru(in_features=D, hidden=H, layers=2, bidirectional=True)
    x = random(B, L, D)
    wanted = x
    for there, back in zip(block.there, block.back, strict=True):
        wanted = torch.cat([there(wanted), back(wanted.flip(1)).flip(1)], dim=-1)
    assert wanted.shape == (B, L, 2 * H)
    torch.testing.assert_close(block(x), wanted)


@pytest.mark.parametrize("block", [layers.Rnn, layers.Lstm, layers.Gru, layers.MinGru, layers.TemporalConv])
def test_a_step_sees_only_the_past(block: type[nn.Module]) -> None:
    module = block(in_features=D).eval()
    x = random(B, L, D)
    changed = torch.cat([x[:, :6], random(B, L - 6, D, seed=1)], dim=1)
    torch.testing.assert_close(module(x)[:, :6], module(changed)[:, :6])
    assert not torch.allclose(module(x)[:, 6:], module(changed)[:, 6:])


@pytest.mark.parametrize("features", [D, H])
def test_temporal_conv_is_two_dilated_convolutions_beside_a_shortcut(features: int) -> None:
    block = layers.TemporalConv(in_features=D, features=features, kernel=3, dilation=2)
    x = random(B, L, D)
    rows = x.transpose(1, 2)
    out = rows
    for conv in (block.conv1, block.conv2):
        out = F.relu(F.conv1d(F.pad(out, (4, 0)), conv.weight, conv.bias, dilation=2))
    torch.testing.assert_close(block(x), F.relu(out + block.shortcut(rows)).transpose(1, 2))


def test_last_step_takes_each_direction_where_it_has_seen_everything() -> None:
    gru = layers.Gru(in_features=D, hidden=H, bidirectional=True)
    x = random(B, L, D)
    _, last = gru.layer(x)
    wanted = torch.cat([last[0], last[1]], dim=-1)
    torch.testing.assert_close(sequences.LastStep(bidirectional=True)(gru(x)), wanted)
    torch.testing.assert_close(sequences.LastStep()(x), x[:, -1])


def test_attention_pool_weighs_the_steps() -> None:
    pool = sequences.AttentionPool(in_features=D, hidden=H)
    x = random(B, L, D)
    scores = torch.tanh(x @ pool.score[0].weight.T + pool.score[0].bias) @ pool.score[2].weight[0]
    torch.testing.assert_close(pool(x), torch.einsum("bl,bld->bd", scores.softmax(dim=1), x))
    with torch.no_grad():
        pool.score[2].weight.zero_()
    torch.testing.assert_close(pool(x), sequences.MeanOverTime()(x))


def test_max_over_time_and_rows_of_an_image() -> None:
    x, image = random(B, L, D), random(B, 3, 4, 5)
    assert torch.equal(sequences.MaxOverTime()(x), x.max(dim=1).values)
    rows = sequences.ImageToSequence()(image)
    assert rows.shape == (B, 4, 15)
    assert torch.equal(rows[1, 2], image[1, :, 2].flatten())


def test_embedding_has_small_weights_and_silent_padding() -> None:
    block = sequences.Embedding(vocabulary=1000, features=50, padding=7, std=0.02)
    assert 0.019 < block.weight.std().item() < 0.021
    tokens = torch.tensor([[7, 1, 7]])
    assert not block(tokens)[0, 0].any()
    assert torch.equal(block(tokens), F.embedding(tokens, block.weight))
    noisy = sequences.Embedding(dropout=0.5)
    assert not torch.equal(noisy(tokens), noisy.eval()(tokens))


def test_vocabulary_head_alone_and_tied() -> None:
    embedding = sequences.Embedding(vocabulary=11, features=D)
    own = sequences.VocabularyHead(in_features=D, vocabulary=11)
    tied = sequences.VocabularyHead(in_features=D, vocabulary=11, tied_to=embedding)
    x, embedded = random(B, L, D), embedding(torch.zeros(B, L, dtype=torch.int64))
    torch.testing.assert_close(own(x), F.linear(x, own.weight, own.bias))
    torch.testing.assert_close(tied(x, embedded), F.linear(x, embedding.weight))
    assert list(tied.state_dict()) == ["bias"]
    assert not list(sequences.VocabularyHead(in_features=D, vocabulary=11, tied_to=embedding, bias=False).parameters())
    with pytest.raises(ValueError, match=r"expected an embedding of 12 tokens in 5 features, got \(11, 5\)"):
        sequences.VocabularyHead(in_features=D, vocabulary=12, tied_to=embedding)


def test_recurrence_without_a_cell_is_elmans() -> None:
    block = cells.Recurrence(in_features=D, hidden=H)
    wanted = nn.RNN(D, H, batch_first=True)
    wanted.load_state_dict({f"{name}_l0": value for name, value in block.cell.state_dict().items()})
    x = random(B, L, D)
    torch.testing.assert_close(block(x), wanted(x)[0])


class Swap(nn.Module):
    """A cell of two states that change places, the second plus x."""

    def forward(self, x: Tensor, h0: Tensor, h1: Tensor) -> Tensor:
        return torch.cat([h1 + x, h0], dim=-1)


def test_recurrence_carries_every_state_and_gives_the_first() -> None:
    x = random(B, L, D)
    h0 = h1 = torch.zeros(B, D)
    wanted = []
    for now in x.unbind(1):
        h0, h1 = h1 + now, h0
        wanted.append(h0)
    torch.testing.assert_close(cells.Recurrence(in_features=D, cell=Swap(), states=2)(x), torch.stack(wanted, dim=1))


def test_recurrence_refuses_a_cell_of_other_states() -> None:
    with pytest.raises(ValueError, match="expected 1 states of 5 features side by side from the cell, got 10"):
        cells.Recurrence(in_features=D, cell=lambda x, h0: torch.cat([x, h0], dim=-1))(random(B, L, D))  # type: ignore[arg-type]


def test_blocks_of_cells() -> None:
    a, c, d = random(B, H), random(B, H, seed=1), random(B, H, seed=2)
    x = random(B, D)
    linear = cells.CellLinear(in_shapes=((D,), (H,)), graph_features=H)
    by_hand = x @ linear.weights[0] + a @ linear.weights[1] + linear.bias
    torch.testing.assert_close(linear(x, a), by_hand)
    assert max(p.abs().max().item() for p in linear.parameters()) <= H**-0.5
    torch.testing.assert_close(cells.Blend()(a, c, d), a * c + (1 - a) * d)
    torch.testing.assert_close(cells.Product()(a, c, d), a * c * d)
    assert torch.equal(cells.Pack()(a, x), torch.cat([a, x], dim=-1))
    assert cells.Pack()(a) is a


def test_blocks_of_vectors() -> None:
    x, image = random(B, D), random(B, 3, 4, 5)
    linear = vectors.Linear(in_features=D, features=H, bias=False)
    torch.testing.assert_close(linear(x), x @ linear.weight.T)
    assert torch.equal(vectors.Flatten()(image), image.flatten(1))
    assert torch.equal(vectors.LeakyReLU(slope=0.3)(x), F.leaky_relu(x, 0.3))
    dropped = vectors.Dropout(rate=0.5)(torch.ones(1000))
    assert set(dropped.tolist()) == {0.0, 2.0}
    torch.testing.assert_close(vectors.BatchNormVector(in_features=D)(x).mean(dim=0), torch.zeros(D), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", list(vectors.ACTIVATIONS))
def test_activations_by_name(kind: str) -> None:
    x = random(B, D)
    assert torch.equal(vectors.Activation(kind=kind)(x), getattr(F, kind)(x))


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected an activation among relu, leaky_relu, .*, got 'rely'"):
        vectors.Activation(kind="rely")


def test_hidden_defaults_to_what_comes_in() -> None:
    for block in (layers.Rnn, layers.Lstm, layers.Gru, layers.MinGru, layers.TemporalConv, cells.Recurrence):
        assert "in_features" in inspect.signature(block).parameters
        assert block(in_features=D)(random(B, L, D)).shape == (B, L, D)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("block", [layers.Rnn, layers.Lstm, layers.Gru, cells.Recurrence])
def test_on_the_meta_device_operations_of_all_steps_are_counted_at_once(
    block: type[nn.Module], bidirectional: bool
) -> None:
    said = {"in_features": D, "hidden": H} | ({} if block is cells.Recurrence else {"bidirectional": bidirectional})
    gates = {layers.Lstm: 4, layers.Gru: 3}.get(block, 1)
    ways = 2 if said.get("bidirectional") else 1
    with torch.device("meta"):
        module = block(**said)
        assert module(torch.empty(B, L, D)).shape == (B, L, ways * H)
        assert count_flops(module, [torch.empty(B, L, D)]) == 2 * B * L * ways * gates * H * (D + H)
    seconds = []
    for length in (10, 10_000):
        x = torch.empty(1, length, D, device="meta")
        begin = time.perf_counter()
        module(x)
        seconds.append(time.perf_counter() - begin)
    assert seconds[1] < 20 * seconds[0]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("ours", [layers.Rnn, layers.Lstm, layers.Gru])
def test_both_ways_over_texts_are_those_over_packed_ones(ours: type[layers.Recurrent], depth: int) -> None:
    block = ours(in_features=D, hidden=H, layers=depth, bidirectional=True)
    x, ends = random(3, 7, D), torch.tensor([7, 4, 1])
    mask = torch.arange(7) < ends[:, None]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, ends, batch_first=True)
    theirs, _ = torch.nn.utils.rnn.pad_packed_sequence(block.layer(packed)[0], batch_first=True)
    assert torch.allclose(block(x, mask)[mask], theirs[mask], atol=1e-6)
