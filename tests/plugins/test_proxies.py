"""Zero-cost proxies: values computed by hand, what must order networks, refusals, and `nas score`."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.nn import functional

from nas.cli.main import main
from nas.errors import CandidateError, UnknownNameError
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas.testing.networks import attentive, convolutional, recurrent
from nas.train.proxy import Batch, Proxy, Scorer, run_proxy, without_dropout
from nas.train.score import open_scorer, score
from nas.train.target import Classes
from nas.train.task import Arrays, ArrayTask, Task, open_task

registry = create_manager().registry
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sum:
    """A target whose loss is the sum of the outputs."""

    def loss(self, output: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        return output.sum()


def proxy(name: str) -> Proxy:
    made: Proxy = registry.get("proxy", name).load()
    return made


def two_layers() -> nn.Module:
    """y = [1 -1] [[1 -2] [3 4]] x."""
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        network[1].weight.copy_(torch.tensor([[1.0, -1.0]]))
    return network


def batch_of(x: list[list[float]], y: list[int] | None = None) -> Batch:
    return Batch((torch.tensor(x),), torch.tensor(y or [0] * len(x)), Sum())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("params", 6),
        ("flops", 2 * 6),
        ("l2_norm", math.sqrt(30) + math.sqrt(2)),
        ("grad_norm", math.sqrt(130) + math.sqrt(10)),  # of [-3 11] and of [[1 2] [-1 -2]]
        ("snip", 3 + 11 + 1 + 4 + 3 + 8),
        ("plain", 2 * -14),  # Euler: the loss, -14, is of degree 2 in the weights
        ("grasp", -140),
        ("fisher", (9 + 121 + 196) / 2),  # h dL/dh of each unit is -3, -11 and -14
        ("synflow", math.log(2 * (3 + 7))),
        ("logsynflow", math.log(4) + math.log(8) + 10 * math.log(2)),
    ],
)
def test_two_linear_layers_by_hand(name: str, value: float) -> None:
    assert proxy(name)(two_layers(), batch_of([[1.0, 2.0]])) == pytest.approx(value, rel=1e-5)


def test_naswot_by_hand() -> None:
    network = nn.Sequential(nn.Identity(), nn.ReLU())
    # how often two of three examples lie on one side: [[2 1 1] [1 2 0] [1 0 2]], of determinant 4
    found = proxy("naswot")(network, batch_of([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]))
    assert found == pytest.approx(math.log(4))


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 16)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x)).sum(1, keepdim=True)


def test_naswot_sees_an_activation_however_it_is_applied() -> None:
    ways: list[Callable[[Tensor], Tensor]] = [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        functional.relu,
        functional.relu_,
        torch.relu,
        Tensor.relu,
        nn.GELU(),
        functional.leaky_relu,
        torch.tanh,
    ]
    batch = batch_of(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).tolist())

    def found(way: Callable[[Tensor], Tensor]) -> float:
        torch.manual_seed(0)
        return proxy("naswot")(Applied(way), batch)

    assert len({round(found(way), 6) for way in ways}) == 1
    with pytest.raises(CandidateError, match="no activation that has two sides"):
        found(lambda x: x)


class Squares(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square() / 2


def test_gradients_by_the_inputs_by_hand() -> None:
    k = 1e-5
    apart, opposite = [[1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], [[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]]
    assert proxy("jacob_cov")(Squares(), batch_of(apart)) == pytest.approx(-2 * (math.log(1 + k) + 1 / (1 + k)))
    assert proxy("jacob_cov")(Squares(), batch_of(opposite)) == pytest.approx(
        -math.log(k) - 1 / k - math.log(2 + k) - 1 / (2 + k), rel=1e-3
    )
    assert proxy("epe")(Squares(), batch_of(apart)) == pytest.approx(-2 * math.log(k), rel=1e-3)
    assert proxy("epe")(Squares(), batch_of(opposite)) == pytest.approx(4 * math.log(1 + k))
    with pytest.raises(CandidateError, match="two examples of some class"):
        proxy("epe")(Squares(), batch_of(apart, [0, 1]))


def test_gradients_by_tokens_are_those_by_their_embeddings() -> None:
    network = nn.Sequential(nn.Embedding(4, 3), Squares())
    tokens = Batch((torch.tensor([[0, 1], [2, 3]]),), torch.zeros(2, dtype=torch.int64), Classes())
    table = network[0].weight.detach()
    same = batch_of(torch.stack([table[:2].flatten(), table[2:].flatten()]).tolist())
    assert proxy("jacob_cov")(network, tokens) == pytest.approx(proxy("jacob_cov")(Squares(), same))


class OneHot(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(functional.one_hot(x, 4).float()).sum(1)
        return out


@pytest.mark.parametrize("name", ["jacob_cov", "synflow", "trainability"])
def test_tokens_that_never_become_numbers_are_refused(name: str) -> None:
    batch = Batch((torch.tensor([[0, 1], [2, 3]]),), torch.tensor([0, 1]), Classes())
    with pytest.raises(CandidateError, match="do not pass through an embedding"):
        proxy(name)(OneHot(), batch)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("zen", recurrent, "no batch normalisation"),
        ("zen", attentive, "no batch normalisation"),
        ("snip", nn.ReLU, "no weights to learn"),
        ("progressivity", lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), "needs 2 features"),
    ],
)
def test_what_does_not_apply_says_why(name: str, make: Callable[[], nn.Module], reason: str) -> None:
    x = {recurrent: torch.randn(4, 6, 4), attentive: torch.randint(0, 16, (4, 6))}.get(make, torch.randn(4, 3, 8, 8))
    with pytest.raises(CandidateError, match=reason):
        proxy(name)(make(), Batch((x,), torch.tensor([0, 1, 0, 1]), Classes()))


def test_the_trunk_of_a_network_is_what_its_blocks_are_stacked_on() -> None:
    from nas_plugins.proxies.trunk import trunk

    network, x = convolutional().eval(), torch.randn(2, 3, 8, 8)
    outputs = [network[0](x)]
    for i in (1, 2):
        outputs.append(network[i](outputs[-1]))
    found = trunk(network, Batch((x,), torch.tensor([0, 1]), Classes()), least=1)
    assert len(found) == 3
    assert all(torch.equal(a, b) for a, b in zip(found, outputs, strict=True))


class Branches(nn.Module):
    """Two branches whose sum is on the trunk; neither branch is."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.other, self.head = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.one(x) + self.other(x))  # type: ignore[no-any-return]


def test_branches_are_not_on_the_trunk_but_their_sum_is() -> None:
    from nas_plugins.proxies.trunk import trunk

    network, x = Branches(), torch.randn(2, 4)
    found = trunk(network, Batch((x,), torch.tensor([0, 1]), Classes()), least=1)
    stem = network.stem(x)
    assert len(found) == 2
    assert torch.equal(found[0], stem)
    assert torch.equal(found[1], network.one(stem) + network.other(stem))


def test_trainability_is_best_where_gradients_keep_their_size() -> None:
    def found(scale: float) -> float:
        torch.manual_seed(0)
        layers = [nn.Linear(4, 4, bias=False) for _ in range(3)]
        for layer in layers:
            nn.init.orthogonal_(layer.weight, scale)
        x = torch.randn(20_000, 4)
        return proxy("trainability")(nn.Sequential(*layers), Batch((x,), torch.zeros(20_000).long(), Classes()))

    assert found(1.0) == pytest.approx(0, abs=0.01)
    assert found(3.0) == pytest.approx(2 - 3 - 1 / 3, abs=0.05)
    assert found(1 / 3) == pytest.approx(2 - 3 - 1 / 3, abs=0.05)


def test_entropy_is_that_of_the_principal_components() -> None:
    from nas_plugins.proxies.trunk import _entropy

    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    assert _entropy(corners) == pytest.approx(math.log(4), rel=1e-4)
    assert _entropy(corners * torch.tensor([1.0, 1.0, 0.0, 0.0])) == pytest.approx(math.log(2), rel=1e-4)


@pytest.fixture(scope="module")
def digits() -> Task:
    return open_task(registry, "digits")


@pytest.fixture(scope="module")
def space(digits: Task) -> Space:
    return build_space(registry, "cell_cnn:channels=4", digits.info)


def reference(digits: Task, spec: str) -> Architecture:
    return build_space(registry, spec, digits.info).reference


@pytest.mark.parametrize("name", ["params", "flops", "synflow", "logsynflow", "naswot", "snip", "l2_norm", "zen"])
def test_wider_is_more(name: str, digits: Task) -> None:
    made = [reference(digits, f"cell_cnn:channels={width}") for width in (4, 8, 16)]
    values = [said.values[name] for said in score(made, digits, [name], registry=registry, batch_size=16)]
    assert values == sorted(values)
    assert len(set(values)) == 3


def test_params_and_flops_are_those_of_the_blueprint(digits: Task, space: Space) -> None:
    scorer = open_scorer(digits, ["params", "flops"], registry, 0, 16, CPU)
    for seed in range(5):
        made = space.sample(random.Random(seed))
        costs = scorer.blueprint(made).costs
        assert scorer.score(made).values == {"params": costs.params, "flops": costs.flops}


def test_nodes_that_lead_nowhere_count_only_as_written(digits: Task, space: Space) -> None:
    dead = {**space.reference.decisions, "edge02": "conv3x3", "edge12": "none", "edge23": "none"}
    made = space.architecture(dead)
    names = ["params", "naswot"]
    (trained,), (written,) = (
        score([made], digits, names, registry=registry, batch_size=16, simplify=simplify) for simplify in (True, False)
    )
    assert trained.values == score([space.reference], digits, names, registry=registry, batch_size=16)[0].values
    assert all(written.values[name] > trained.values[name] for name in names)


def test_scores_depend_on_the_seed_and_on_nothing_else(digits: Task, space: Space) -> None:
    one, other = space.sample(random.Random(0)), space.sample(random.Random(1))
    names = ["naswot", "zen", "snip"]
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = score([one, other], digits, names, registry=registry, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)
    again = score([other, one], digits, names[::-1], registry=registry, batch_size=16)[::-1]
    assert [said.values for said in first] == [said.values for said in again]
    elsewhere = score([one], digits, names, registry=registry, batch_size=16, seed=1)
    assert all(elsewhere[0].values[name] != first[0].values[name] for name in names)


def test_a_bad_candidate_or_proxy_is_no_reason_to_stop(digits: Task, space: Space) -> None:
    def infinite(network: nn.Module, batch: Batch) -> float:
        return math.inf

    def broken(network: nn.Module, batch: Batch) -> float:
        raise RuntimeError("a mistake\nin two lines")

    known = open_scorer(digits, ["params"], registry, 0, 16, CPU)
    scorer = Scorer({"infinite": infinite, "broken": broken, **known.proxies}, known.blueprint, known.batch, 0)
    said = scorer.score(space.reference)
    assert math.isnan(said.values["infinite"])
    assert said.refusals == {"broken": "RuntimeError: a mistake"}
    assert set(said.seconds) == {"infinite", "broken", "params"}
    constant = space.architecture(dict.fromkeys(space.reference.decisions, "none"))
    said = scorer.score(constant)
    assert said.values == {}
    assert set(said.refusals) == {"infinite", "broken", "params"}
    assert "the network computes a constant" in said.refusals["params"]


def test_an_unknown_proxy_gets_the_nearest_name(digits: Task, space: Space) -> None:
    with pytest.raises(UnknownNameError, match="unknown proxy 'naswott'; did you mean 'naswot'"):
        score([space.reference], digits, ["naswott"], registry=registry)


@pytest.mark.parametrize("make", [recurrent, attentive])
def test_dropout_is_off_and_networks_are_whole(make: Callable[[], nn.Module]) -> None:
    network = without_dropout(make())
    assert not any(part.training for part in network.modules() if isinstance(part, nn.Dropout))
    assert run_proxy(proxy("params"), make, batch_of([[0.0]]), seed=0, name="params") == sum(
        p.numel() for p in network.parameters()
    )


def test_inputs_come_in_units_of_their_deviation(digits: Task) -> None:
    batch = open_scorer(digits, [], registry, 0, 256, CPU).batch
    assert len(batch) == 256
    assert float(batch.x[0].mean()) == pytest.approx(0, abs=0.05)
    assert float(batch.x[0].std()) == pytest.approx(1, abs=0.05)


def test_values_come_in_units_of_their_deviation() -> None:
    rng = np.random.default_rng(0)
    arrays = Arrays((rng.normal(3, 2, (200, 4)).astype(np.float32),), rng.normal(100, 5, (200, 2)).astype(np.float32))
    task = ArrayTask(TaskInfo("values", (Port("vector", (4,)),), 2, "value"), arrays, lambda: arrays)
    batch = open_scorer(task, [], registry, 0, 150, CPU).batch
    zero = nn.Linear(4, 2)
    nn.init.zeros_(zero.weight)
    nn.init.zeros_(zero.bias)
    assert batch.loss(zero).item() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "data", "refused"),
    [
        ("recurrent_stack", "digit_rows", {"zen"}),
        ("conv1d", "digit_rows", set()),
        ("encoder", "toy_text", {"zen"}),
        ("two_tower", "digit_views", set()),
        ("seq2seq", "toy_reverse", {"zen", "epe"}),
    ],
)
def test_proxies_apply_to_every_family(spec: str, data: str, refused: set[str]) -> None:
    task = open_task(registry, data)
    names = [entry.name for entry in registry.all("proxy") if entry.name not in ("progressivity", "trainability")]
    made = build_space(registry, spec, task.info).sample(random.Random(0))
    (said,) = score([made], task, names, registry=registry, batch_size=8)
    unsure = {"zen"} if spec in ("conv1d", "two_tower") else set()  # as a norm is drawn or not
    assert set(said.refusals) - unsure == refused
    assert all(map(math.isfinite, said.values.values()))


def command(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["score", *arguments])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


SMALL = (
    "--space",
    "cell_cnn:channels=4",
    "--task",
    "digits",
    "--samples",
    "4",
    "--batch-size",
    "16",
    "--device",
    "cpu",
)


def test_command_prints_scores_ranks_and_seconds_as_json() -> None:
    rows = json.loads(command(*SMALL, "--proxy", "naswot,params,az_nas", "--json"))
    assert len({row["digest"] for row in rows}) == len(rows) == 4
    for row in rows:
        assert set(row["scores"]) == set(row["seconds"]) == {"naswot", "params", "az_nas"}
        assert row["refusals"] == {}
    for name in ("naswot", "params", "az_nas"):
        best = max(rows, key=lambda row: row["scores"][name])
        assert best["ranks"][name] == min(row["ranks"][name] for row in rows)
    again = json.loads(command(*SMALL, "--proxy", "naswot,params,az_nas", "--json"))
    assert [row["scores"] for row in again] == [row["scores"] for row in rows]


def test_command_prints_tables_with_the_reasons_of_refusals() -> None:
    text = command("--space", "mlp", "--task", "digits", "--samples", "3", "--batch-size", "16", "--proxy", "all")
    assert "score (rank)" in text
    assert "ms each" in text
    for entry in registry.all("proxy"):
        assert entry.name in text
    text = command(
        "--space", "recurrent_stack", "--task", "digit_rows", "--samples", "2", "--batch-size", "8", "--proxy", "zen"
    )
    assert "0 of 2" in text
    assert "no batch normalisation" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--proxy", "naswott"], "unknown proxy 'naswott'; did you mean 'naswot'?"),
        (["--proxy", ","], "expected --proxy to name proxies"),
        (["--space", "cel_cnn"], "unknown space 'cel_cnn'; did you mean 'cell_cnn'?"),
        (["--task", "digit"], "unknown task 'digit'; did you mean 'digits'?"),
        (["--samples", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_options(arguments: list[str], expected: str) -> None:
    assert expected in command(*arguments, code=2)
