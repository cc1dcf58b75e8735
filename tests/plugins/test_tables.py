"""Published tables, and those made here: every row where it belongs, and files that are none told in a sentence."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from nas.cli.main import main
from nas.controller.simulate import regrets, simulate
from nas.controller.table import Row, Rows
from nas.errors import CandidateError, ConfigError, NasError, SpaceError
from nas.model import blueprint
from nas.plugin.build import build_space, build_strategy, build_table
from nas.plugin.manager import create_manager
from nas.space.ports import TaskInfo
from nas.testing import IMAGE
from nas_plugins.tables import hwgpt_s, nas_bench_nlp, own
from nas_plugins.tables.make import Journal, distinct, make, make_setup
from nas_plugins.tables.records import Record, Recorded, Setup, read, write

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "bench"
CELLS, DECODERS, CURVES = "nb201_cifar10.npz", "hwgpt_s.npz", "nbnlp_wikitext2_curves.json.gz"
OWN = ("digits_cnn", "digits_rnn", "digits_transformer")
registry = create_manager().registry


def needs(file: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (PUBLISHED / file).is_file(), reason=f"needs ../shared/data/bench/{file}")


@needs(CELLS)
def test_nas_bench_201_answers_by_the_published_row() -> None:
    table = build_table(registry, f"nas_bench_201:path={PUBLISHED / CELLS}")
    assert table.space.size == len(table.rows) == 15_625
    assert table.best == pytest.approx(94.3733, abs=1e-4)
    ops = "nor_conv_3x3 nor_conv_3x3 nor_conv_1x1 skip_connect nor_conv_3x3 nor_conv_3x3"
    best = table.row(table.space.architecture(_cell(ops)))
    with np.load(PUBLISHED / CELLS, allow_pickle=False) as found:
        text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        (i,) = np.flatnonzero(found["arch_str"].astype(str) == text)
        assert best.curve[0]["val_accuracy"] == pytest.approx(found["val12_c10"][i])
        assert best.curve[1]["val_accuracy"] == pytest.approx(found["val200_c10"][i])
        assert best.judged["test200"] == pytest.approx(found["test200_c10"][i])
        assert best.seconds == pytest.approx(found["cost12_c10_s"][i] * 200 / 12)
        assert best.costs["params"] == round(float(found["params_M_c10"][i]) * 1e6)
        assert best.scores["logsynflow"] == pytest.approx(found["logsynflow_c10"][i])
        assert best.score_seconds["naswot"] == pytest.approx(found["naswot_time_s_c10"][i])


def _cell(ops: str) -> dict[str, str]:
    """Operations in the order of the published string."""
    return dict(zip(("edge01", "edge02", "edge12", "edge03", "edge13", "edge23"), ops.split(), strict=True))


@needs(CELLS)
def test_nas_bench_201_with_the_short_training_alone() -> None:
    table = build_table(registry, f"nas_bench_201:path={PUBLISHED / CELLS},signal=val12")
    row = table.row(table.space.reference)
    assert [epoch["epoch"] for epoch in row.curve] == [12]
    assert table.judge.metric == "test12"
    assert row.seconds < 1000


@needs(CELLS)
def test_no_search_sees_what_only_the_judge_may() -> None:
    table = build_table(registry, f"nas_bench_201:path={PUBLISHED / CELLS}")
    found = simulate(table, ("random", build_strategy(registry, "random")), trials=3, seed=0)
    for trial in found.trials:
        assert not any("test" in name for epoch in (*trial.curve, trial.metrics) for name in epoch)


@pytest.fixture(scope="module")
def decoders() -> Any:
    return build_table(registry, f"hwgpt_s:path={PUBLISHED / DECODERS}")


@needs(DECODERS)
def test_published_decoders_are_answered_exactly(decoders: Any) -> None:
    with np.load(PUBLISHED / DECODERS, allow_pickle=False) as found:
        rows = {name: found[name][:5].tolist() for name in found}
    for i in range(5):
        depth = rows["n_layer"][i]
        decisions = {"n_layer": depth, "embed_dim": rows["embed_dim"][i], "bias": rows["bias"][i]}
        decisions |= {f"layer{n}/heads": rows["n_head"][i][n] for n in range(depth)}
        decisions |= {f"layer{n}/mlp_ratio": rows["mlp_ratio"][i][n] for n in range(depth)}
        row = decoders.row(decoders.space.architecture(decisions))
        assert row.curve[-1]["perplexity"] == pytest.approx(rows["perplexity"][i], rel=1e-7)
        assert row.costs["latency_ms"] == pytest.approx(rows["lat_ms_a100"][i], rel=1e-7)
        assert row.costs["params"] == rows["params"][i]


@needs(DECODERS)
@pytest.mark.parametrize(("device", "least"), [("a100", 0.999), ("h100", 0.999), ("rtx2080", 0.97), ("cpu_meta", 0.96)])
def test_the_surrogate_ranks_rows_that_it_has_not_seen(device: str, least: float) -> None:
    """A fifth held out; noise of the measurement bounds it on the devices that share their machine."""
    table = build_table(registry, f"hwgpt_s:path={PUBLISHED / DECODERS},device={device}")
    held = np.arange(len(table.shapes)) % 5 == 0
    model = hwgpt_s.Additive.fit(table.shapes[~held], table.values[~held])
    said = model.predict(table.shapes[held])
    for column, bound in ((0, 0.999), (1, least), (2, 0.9999), (3, 0.9999)):
        assert spearmanr(said[:, column], table.values[held, column])[0] > bound


@needs(DECODERS)
def test_what_no_row_has_is_answered_by_the_surrogate_and_its_size_is_right(decoders: Any) -> None:
    rng = random.Random(0)
    for _ in range(3):
        made = decoders.space.sample(rng)
        assert hwgpt_s.shape_of(made) not in decoders._numbers
        costs = blueprint(made, hwgpt_s.TASK, registry).costs
        assert decoders.row(made).costs["params"] == pytest.approx(costs.params, rel=2e-3)


@needs(DECODERS)
def test_the_best_known_front_is_better_than_any_the_rows_have(decoders: Any) -> None:
    rows = Rows(decoders.space, decoders.objectives, {i: _published(p) for i, p in enumerate(decoders.values)})
    assert decoders.reference == rows.reference
    assert 1.0 < decoders.best / rows.best < 1.2


def _published(values: Any) -> Row:
    return Row(({"perplexity": values[0], "latency_ms": values[1]},), 1.0)


@needs(CURVES)
def test_nas_bench_nlp_has_a_row_for_each_of_its_265_networks() -> None:
    table = build_table(registry, f"nas_bench_nlp:path={PUBLISHED / CURVES}")
    everyone = list(table.space.enumerate())
    assert len({made.digest for made in everyone}) == len(everyone) == 265
    rows = [table.row(made) for made in everyone]
    assert sum(len(row.curve) == 50 for row in rows) >= 260
    assert table.best == min(row.judged["test_loss"] for row in rows if row.judged["test_loss"] > 0)
    for made, row in list(zip(everyone, rows, strict=True))[::60]:
        assert blueprint(made, nas_bench_nlp.TASK, registry).costs.params == row.costs["params"]


def _npz(folder: Path) -> str:
    np.savez(folder / "other.npz", x=np.zeros(3))
    return str(folder / "other.npz")


def _text(folder: Path) -> str:
    (folder / "text").write_text("no table")
    return str(folder / "text")


def _json(folder: Path) -> str:
    with gzip.open(folder / "other.json.gz", "wt") as out:
        json.dump([{"x": 1}], out)
    return str(folder / "other.json.gz")


@pytest.mark.parametrize("name", ["nas_bench_201", "hwgpt_s", "nas_bench_nlp", "tabulated"])
@pytest.mark.parametrize("wrong", [_npz, _text, _json, lambda folder: str(folder / "nothing")])
def test_a_file_that_is_no_such_table_is_told_with_what_is_expected(name: str, wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build_table(registry, f"{name}:path={wrong(tmp_path)}")
    assert "\n" not in str(caught.value)
    assert "expected " in str(caught.value) or "name " in str(caught.value) or "nas tabulate" in str(caught.value)


@pytest.mark.parametrize("name", ["nas_bench_201", "hwgpt_s", "nas_bench_nlp", "tabulated"])
def test_a_table_without_its_file_says_how_to_name_it(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"table '{name}' \(.+\) needs option 'path'; give '{name}:path=...'"):
        build_table(registry, name)


@pytest.mark.parametrize("name", OWN)
def test_tables_that_come_with_the_package_have_every_network_of_their_space(name: str) -> None:
    table = build_table(registry, name)
    missing = {made.digest for made in table.space.enumerate()} - table.rows.keys()
    assert len(table.rows) >= 300
    assert len(missing) <= 1, "all but the constant, which cannot be trained"
    assert all("flops" in row.costs for row in table.rows.values())


@pytest.mark.parametrize("name", OWN)
def test_tables_that_come_with_the_package_rank_alike_with_another_seed(name: str) -> None:
    """Else there would be nothing to find; and the best must not be what most are."""
    found = read(own.DATA / f"{name}.npz")
    last = np.array([[row.val[seed][-1] for seed in range(found.setup.seeds)] for row in found.records])
    assert last.shape[1] == 2
    assert spearmanr(last[:, 0], last[:, 1])[0] > 0.7
    assert last.mean(axis=1).max() - np.median(last.mean(axis=1)) > 0.03


def test_tables_that_come_with_the_package_are_small() -> None:
    assert sum((own.DATA / f"{name}.npz").stat().st_size for name in OWN) < 300_000


@pytest.mark.parametrize("name", OWN)
def test_a_strategy_is_tried_on_them_in_a_moment(name: str) -> None:
    table = build_table(registry, name)
    found = simulate(table, ("evolution", build_strategy(registry, "evolution")), trials=60, seed=0)
    missing = regrets(found)
    assert len(found.trained) == 60
    assert 0 <= missing[-1] < missing[0]


SMALL = "recurrent_stack:width=8,layers=1"
KEPT = {"cell": ["rnn", "gru"], "pool": ["mean"], "dropout": [0.0], "width": [2, 4]}


def small_setup(**changes: Any) -> Setup:
    told = {"space": SMALL, "only": KEPT, "task": "digit_rows", "recipe": {"epochs": 2}, "seeds": 2, "samples": 3}
    return make_setup(registry, **told | changes)


def quiet(done: int, total: int) -> None:
    pass


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def made_at_once(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return make(small_setup(), tmp_path_factory.mktemp("once") / "small.npz", progress=quiet)


def test_a_table_has_every_epoch_of_both_parts_for_every_seed(made_at_once: Recorded) -> None:
    assert len(made_at_once.records) == 3
    for record in made_at_once.records:
        assert record.has(2)
        for seed in (0, 1):
            assert len(record.val[seed]) == len(record.test[seed]) == 2
            assert record.seconds[seed] > 0
        assert record.val[0] != record.val[1]
        assert record.params > 0
        assert record.scores["params"] == record.params
        assert record.scores.keys() == {entry.name for entry in registry.all("proxy")}


def test_making_a_table_goes_on_where_it_was_stopped(made_at_once: Recorded, tmp_path: Path) -> None:
    out, seen = tmp_path / "small.npz", []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2 and total == 9:
            raise Stopped

    with pytest.raises(Stopped):
        make(small_setup(), out, progress=stop)
    assert not out.exists()
    journal = out.with_suffix(".jsonl")
    journal.write_text(journal.read_text()[:-30])  # the machine died while it wrote the second
    went_on = make(small_setup(), out, progress=stop)
    assert seen == [(1, 9), (2, 9), *((n, 8) for n in range(1, 9))], "2 seeds and the scores of 3 networks"
    assert [_scores(row) for row in went_on.records] == [_scores(row) for row in made_at_once.records]
    again = make(small_setup(), out, progress=stop)
    assert len(seen) == 10, "nothing is left to do"
    assert [_scores(row) for row in again.records] == [_scores(row) for row in made_at_once.records]


def _scores(row: Record) -> Any:
    return row.decisions, row.val, row.test


def test_a_journal_of_another_table_is_not_gone_on_with(tmp_path: Path) -> None:
    Journal(tmp_path / "x.jsonl", small_setup()).add("some", {"refused": "a reason"})
    with pytest.raises(ConfigError, match="is of another table; remove it or give another --out"):
        make(small_setup(seeds=1), tmp_path / "x.npz", progress=quiet)


def test_a_file_says_what_was_written(made_at_once: Recorded, tmp_path: Path) -> None:
    space = made_at_once.setup.build(registry, made_at_once.info)
    write(tmp_path / "x.npz", made_at_once, space)
    back = read(tmp_path / "x.npz")
    assert back.setup == made_at_once.setup
    assert isinstance(back.info, TaskInfo)
    for row, wrote in zip(back.records, made_at_once.records, strict=True):
        assert row.decisions == wrote.decisions
        assert row.val[1] == pytest.approx(wrote.val[1], abs=5e-4)
        assert row.test[0] == pytest.approx(wrote.test[0], abs=5e-4)
        assert row.params == wrote.params


def test_a_search_on_a_made_table_sees_the_mean_of_its_seeds_or_one(made_at_once: Recorded, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    write(file, made_at_once, made_at_once.setup.build(registry, made_at_once.info))
    record = made_at_once.records[0]
    for seen, wanted in (("mean", np.mean([record.val[0], record.val[1]], axis=0)), ("1", record.val[1])):
        table = build_table(registry, f"tabulated:path={file},seen={seen}")
        row = table.row(table.space.architecture(record.decisions))
        assert [epoch["val_accuracy"] for epoch in row.curve] == pytest.approx(list(wanted), abs=5e-4)
        assert row.judged["test_accuracy"] == pytest.approx((record.test[0][-1] + record.test[1][-1]) / 2, abs=5e-4)
    other = next(made for made in table.space.enumerate() if made.digest not in table.rows)
    with pytest.raises(CandidateError, match="no row"):
        table.row(other)
    with pytest.raises(ConfigError, match=r"unknown seed of table 'x\.npz' '2'"):
        build_table(registry, f"tabulated:path={file},seen=2")


def test_a_file_of_a_space_that_has_changed_is_told(made_at_once: Recorded, tmp_path: Path) -> None:
    space = made_at_once.setup.build(registry, made_at_once.info)
    write(tmp_path / "x.npz", made_at_once, space)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        columns = dict(found)
    head = json.loads(str(columns["head"]))
    head["decisions"] = [[label.replace("width", "breadth"), names] for label, names in head["decisions"]]
    np.savez(tmp_path / "x.npz", **columns | {"head": np.array(json.dumps(head))})
    with pytest.raises(SpaceError, match=r"was made of space .* not as it is now: unknown decision 'breadth'"):
        build_table(registry, f"tabulated:path={tmp_path / 'x.npz'}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 0}, "expected seeds to be at least 1, got 0"),
        ({"samples": 0}, "expected samples to be at least 1, got 0"),
        ({"only": {"wide": [1]}}, "unknown decision 'wide'; did you mean 'width'"),
        ({"only": {"width": [3]}}, "unknown option of decision 'width' '3'"),
        ({"recipe": {"epoch": 2}}, "unknown training option 'epoch'; did you mean 'epochs'"),
        ({"task": "digit_row"}, "unknown task 'digit_row'; did you mean 'digit_rows'"),
    ],
)
def test_a_setup_that_makes_no_sense_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(NasError, match=said):
        small_setup(**changes)


def test_a_large_space_needs_a_number_of_samples() -> None:
    space = build_space(registry, "macro_cnn:stages=4", IMAGE)
    with pytest.raises(ConfigError, match="say how many samples to train"):
        list(distinct(space, None))
    drawn = dict(distinct(space, 7))
    assert len(drawn) == 7
    assert all(made.digest == digest for digest, made in drawn.items())


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    out = tmp_path / "small.npz"
    only = [word for label, names in KEPT.items() for word in ("--only", f"{label}={'|'.join(map(str, names))}")]
    told = ["tabulate", "--space", SMALL, "--task", "digit_rows", *only, "--samples", "1", "--epochs", "1"]
    done = CliRunner().invoke(main, [*told, "--seeds", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "2/2 done" in done.output
    assert f"{out}: 1 networks, 0 that cannot be built left out" in done.output
    assert read(out).setup.only == {label: list(names) for label, names in KEPT.items()}
