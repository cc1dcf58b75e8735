"""Every kind of task through a worker: trained, resumed, judged; and weights that others start from."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nas.errors import ConfigError
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.graph import chain, graph
from nas.space.space import Space
from nas.train.inherit import inherit, read_start
from nas.train.recipe import Recipe
from nas.train.start import check_start, exported_facts, exported_folder
from nas.train.task import ArrayTask, Task, open_task
from nas.train.winner import evaluate_test, load_trained
from nas.train.worker import Setting, Worker

CLASS = {"loss", "accuracy"}
TOKEN = {"loss", "accuracy", "perplexity"}
VALUE = {"loss", "mae", "r2", "pearson", "spearman"}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose value is the number of a word, and arrays of two inputs whose sum is the value."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 8, 120)
    rows = [f"{i}\t{1000 + c / 2}\t{'good ' * c}{'bad ' * (8 - c)}" for i, c in enumerate(counts)]
    (folder / "values.tsv").write_text("\n".join(rows))
    made = {}
    for part, n in (("train", 120), ("test", 40)):
        picture, facts = rng.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8), 1000 + 100 * rng.normal(size=(n, 3))
        made |= {f"x_{part}_picture": picture, f"x_{part}_facts": facts}
        made[f"y_{part}"] = 5000 + 10 * facts.sum(axis=1) + picture.mean(axis=(1, 2, 3))
    np.savez(folder / "two.npz", **made)
    return folder


def network(registry: Registry, task: Task) -> Architecture:
    """A small network for the shapes of a task."""
    b, info = registry.blocks, task.info
    kinds = [port.kind for port in info.inputs]
    if kinds == ["image", "vector"]:
        nodes: dict[str, Any] = {
            "flat": (b.flatten(), "picture"),
            "both": (b.concat_fusion(), ("flat", "facts")),
            "head": (b.linear(features=info.outputs), "both"),
        }
        return Space(graph(["picture", "facts"], nodes, "head")).bound(kinds, "two").reference
    words = b.embedding(vocabulary=max(info.vocabulary, 1), features=8)
    if kinds == ["tokens", "tokens"]:
        nodes = {
            "from": (words, "source"),
            "to": (words, "target"),
            "read": (b.cross_decoder_layer(heads=2), ("to", "from")),
            "head": (b.vocabulary_head(vocabulary=info.outputs), "read"),
        }
        return Space(graph(["source", "target"], nodes, "head")).bound(kinds, "pairs").reference
    parts = {"embed": words} if kinds == ["tokens"] else {}
    parts["layer"] = b.gru(hidden=12)
    if info.target == "token":
        return Space(chain(**parts, head=b.vocabulary_head(vocabulary=info.outputs))).bound(kinds, "each").reference
    head = {"pool": b.mean_over_time(), "head": b.linear(features=info.outputs)}
    return Space(chain(**parts, **head)).bound(kinds, "one").reference


def worker_config(run: Path, task: str, **recipe: Any) -> dict[str, Any]:
    said = {"epochs": 2, "lr": 0.02, **recipe}
    return {
        "plugins": [],
        "task": task,
        "recipe": said,
        "seed": 1,
        "run": str(run),
        "threads": 1,
        "device": "cpu",
    }


def job(architecture: Architecture, resume: bool = False) -> dict[str, Any]:
    return {"number": 0, "architecture": architecture.to_dict(), "seed": 1, "resume": resume}


@pytest.mark.parametrize(
    ("text", "names", "epochs"),
    [
        ("digit_rows", CLASS, 2),
        ("toy_text:examples=200", CLASS, 2),
        ("toy_language:sentences=60,length=16", TOKEN | {"bpc"}, 3),
        ("toy_reverse:examples=200,longest=4", TOKEN, 3),
        pytest.param("values.tsv", VALUE, 12, marks=pytest.mark.slow),
        ("two.npz", VALUE, 12),
    ],
)
def test_every_kind_of_task_is_learned_resumed_and_judged(
    registry: Registry, files: Path, tmp_path: Path, text: str, names: set[str], epochs: int
) -> None:
    text = str(files / text) if "." in text else text
    task = open_task(registry, text)
    made, config = network(registry, task), worker_config(tmp_path, text, epochs=epochs)
    list(islice(Worker(config).trial(job(made)), 1))
    curve = list(Worker(config).trial(job(made, resume=True)))
    assert [metrics["epoch"] for metrics in curve] == list(range(1, epochs + 1))
    assert {name for name in curve[-1] if name.startswith("val_")} == {f"val_{name}" for name in names}
    assert curve[-1]["val_loss"] < curve[0]["val_loss"]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in curve)
    found = evaluate_test(load_trained(config, made, 0), task)
    assert set(found) == {f"test_{name}" for name in names}
    if names == VALUE:
        assert found["test_r2"] > 0.8


def test_a_regression_takes_and_gives_what_the_data_have(registry: Registry, files: Path, tmp_path: Path) -> None:
    text = str(files / "two.npz")
    task = open_task(registry, text)
    made, config = network(registry, task), worker_config(tmp_path, text)
    worker = Worker(config)
    list(worker.trial(job(made)))
    trained = load_trained(config, made, 0)
    buffers = dict(trained.named_buffers())
    train = Setting.open(config).parts[0]
    assert buffers["output_mean"].item() == pytest.approx(train.y.mean(), rel=1e-5)
    assert buffers["output_std"].item() == pytest.approx(train.y.std(), rel=1e-5)
    assert torch.allclose(buffers["input1_mean"], torch.from_numpy(train.x[1].mean(axis=0)), rtol=1e-4)
    x, y = worker.validation.batch(torch.arange(5))
    with torch.no_grad():
        assert (trained(*x)[:, 0] - y).abs().max() < 6 * train.y.std()


def test_a_task_suits_the_recipe_and_the_user_has_the_last_word(registry: Registry) -> None:
    language, rows = open_task(registry, "toy_language:sentences=60"), open_task(registry, "digits")
    assert Recipe.parse({}, rows.info) == Recipe.parse({})
    suited = Recipe.parse({}, language.info)
    assert (suited.optimizer, suited.label_smoothing) == ("adamw", 0)
    assert suited.lr == Recipe.parse({"optimizer": "adamw"}).lr
    assert Recipe.parse({"optimizer": "sgd", "label_smoothing": 0.2}, language.info).optimizer == "sgd"
    assert Recipe.parse(suited.model_dump(mode="json")) == suited, "a stored recipe needs no task"


def exported(folder: Path, network: torch.nn.Module, facts: str = "{}") -> Path:
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "architecture.json").write_text(f'{{"metadata": {{"facts": {facts}}}}}')
    return folder


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting.open(worker_config(tmp_path / "run", "toy_text:examples=200"))


def test_weights_of_the_same_names_and_shapes_are_taken_and_the_head_is_fresh(
    registry: Registry, setting: Setting, tmp_path: Path
) -> None:
    plan = setting.blueprint(network(registry, setting.task))
    before, after = plan.build(), plan.build()
    fresh = {name: tensor.clone() for name, tensor in after.state_dict().items()}
    count = inherit(after, plan, read_start(str(exported(tmp_path / "run" / "best", before).parent)))
    for name, tensor in after.state_dict().items():
        source = fresh[name] if name.startswith("head.") else before.state_dict()[name]
        assert torch.equal(tensor, source), name
    assert count == sum(p.numel() for name, p in after.named_parameters() if not name.startswith("head."))


def test_other_shapes_and_names_stay_as_they_are(registry: Registry, setting: Setting, tmp_path: Path) -> None:
    plan = setting.blueprint(network(registry, setting.task))
    made = plan.build()
    fresh = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    wide = torch.nn.Module()
    wide.embed = torch.nn.Embedding(setting.task.info.vocabulary, 9)
    wide.other = torch.nn.Linear(2, 2)
    assert inherit(made, plan, read_start(str(exported(tmp_path / "best", wide)))) == 0
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in made.state_dict().items())


def test_a_trial_says_how_many_weights_it_began_with(registry: Registry, tmp_path: Path) -> None:
    text = "toy_text:examples=200"
    task = open_task(registry, text)
    made = network(registry, task)
    first = worker_config(tmp_path / "one", text)
    *_, last = Worker(first).trial(job(made))
    assert "inherited" not in last
    start = exported(tmp_path / "one" / "best", load_trained(first, made, 0))
    *_, again = Worker(worker_config(tmp_path / "two", text, init=str(start))).trial(job(made))
    assert 0 < again["inherited"] < again["params"]
    assert again["train_loss"] < last["train_loss"]


def test_where_weights_to_start_from_are_found(tmp_path: Path) -> None:
    best = exported(tmp_path / "run" / "best", torch.nn.Linear(2, 2), '{"tokens": ["a"]}')
    assert exported_folder(tmp_path / "run") == exported_folder(best) == best
    assert exported_facts(best) == {"tokens": ["a"]}
    with pytest.raises(ConfigError, match=r"found no weights\.safetensors in .*nowhere"):
        exported_folder(tmp_path / "nowhere")
    (best / "architecture.json").write_text("[")
    with pytest.raises(ConfigError, match="to tell what the network was trained on"):
        exported_facts(best)
    (best / "weights.safetensors").write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"'init': .*weights\.safetensors cannot be read"):
        read_start(str(best))


def test_weights_for_other_tokens_are_refused(registry: Registry, array_task: ArrayTask, tmp_path: Path) -> None:
    task = open_task(registry, "toy_text:examples=200")
    best = exported(tmp_path / "best", torch.nn.Linear(2, 2), '{"tokens": ["a"]}')
    recipe = Recipe.parse({"init": str(best)})
    with pytest.raises(ConfigError, match=r"tokens of .*best are not those of task 'toy_text'; .*vocabulary_from="):
        check_start(recipe, task)
    plain = exported(tmp_path / "plain", torch.nn.Linear(2, 2))
    check_start(Recipe.parse({"init": str(plain)}), array_task)
    check_start(Recipe.parse({}), task)


def test_the_place_to_start_from_means_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Recipe.parse({"init": "run"}).init == str(tmp_path.resolve() / "run")
