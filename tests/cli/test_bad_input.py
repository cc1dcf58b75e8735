"""What a user sees who gets something wrong: one line that says what is expected, before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nas.cli.main import main


def said(*arguments: str, code: int = 2) -> str:
    """Everything that the command prints."""
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--space", "cel_cnn"], "unknown space 'cel_cnn'; did you mean 'cell_cnn'? known: "),
        (["--space", "cell_cnn:chanels=8"], "did you mean 'channels'? known: cells, channels"),
        (["--space", "cell_cnn:cells=-1"], "expected times to be integers >= 0, got -1"),
        (["--task", "digit"], "unknown task 'digit'; did you mean 'digits'?"),
        (["--task", "nowhere.npz"], "task file nowhere.npz does not exist"),
        (["--strategy", "evolutoin"], "unknown strategy 'evolutoin'; did you mean 'evolution'?"),
        (["--strategy", "evolution:popul=3"], "did you mean 'population'?"),
        (["--objective", "accuracy"], "unknown objective 'accuracy'; did you mean 'val_accuracy'?"),
        (["--scheduler", "asa"], "unknown scheduler 'asa'; did you mean 'asha'?"),
        (["--scheduler", "asha", "--runner", "local"], "expected runner 'ray' for scheduler 'asha', got 'local'"),
        (["--scheduler", "asha:grace_period=9", "--epochs", "4"], "expected grace_period within 1 and 4 epochs, got 9"),
        (["--scheduler", "hyperband:reduction_factor=1"], "expected reduction_factor above 1, got 1"),
        (["--scheduler", "median_stopping:grace=2"], "did you mean 'grace_period'?"),
        (["--recipe", "learning_rate=1"], "unknown training option 'learning_rate'"),
        (["--objective", "params", "--objective", "params"], "expected each objective once, got params, params"),
        (["--limit", "param<=1e6"], "unknown quantity of a limit 'param'; did you mean 'params'? known: flops,"),
        (["--limit", "params<1e6"], "expected a limit like 'params<=1e6' or 'flops<=50M', got 'params<1e6'"),
        (["--limit", "params<=10"], "meets it; the smallest params "),
        (["--limit", "latency_ms<=0"], "meets it; the smallest latency_ms "),
        (["--limit", "memory_mb<=0.1"], "meets it; the smallest memory_mb "),
        (["--strategy", "optuna:tp"], "unknown sampler of Optuna 'tp'; did you mean 'tpe'?"),
        (["--strategy", "optuna:CmaEsSampler"], "sampler CmaEsSampler of Optuna takes numbers only, but decision"),
        (["--strategy", "optuna:gp", "--space", "mobilenet"], "sampler GPSampler of Optuna takes decisions that are"),
        (["--strategy", "grid:largest=100"], "strategy 'grid': expected a space of at most 100 architectures, got"),
        (["--search-recipe", "epochs"], "unknown training option to search for 'epochs'; "),
        (["--search-recipe", "lr,optimizer"], "expected values of lr to try, since optimizer is searched for, too"),
        (["--recipe", "0.1"], "expected 'key=value,key=value', got '0.1'"),
        (["--epochs", "0"], "training option 'epochs': expected greater than or equal to 1, got 0"),
        (["--trials", "0"], "option 'trials': input should be greater than or equal to 1, got 0"),
        (
            ["--gpus-per-trial", "1.5"],
            "'gpus_per_trial': expected a part of one GPU, a whole number or auto, got '1.5'",
        ),
        (
            ["--gpus-per-trial", "2", "--processes-per-trial", "3"],
            "expected a GPU for each process of a trial, gpus_per_trial is 2, got 3",
        ),
        (["--gpus-per-trial", "2", "--cpus-per-trial", "1"], "expected a core for each of the 2 processes of a trial"),
        (
            ["--processes-per-trial", "2", "--recipe", "batch_size=3"],
            "'batch_size': expected 4 at least for 2 processes",
        ),
        (["--time", "soon"], "expected a time like 90s, 30m, 1h30m or 2d"),
        (["--plugin", "nowhere.py"], "nowhere.py does not exist"),
        (["nowhere.toml"], "the file nowhere.toml does not exist"),
    ],
)
def test_wrong_options(folder: Path, arguments: list[str], expected: str) -> None:
    text = said("search", *arguments)
    assert text.startswith("error: ")
    assert expected in text
    assert not list(folder.iterdir()), "nothing is left behind"


def test_a_misspelt_option_in_a_file(folder: Path) -> None:
    (folder / "mine.toml").write_text("trails = 5\n")
    assert "unknown option 'trails'; did you mean 'trials'?" in said("search", "mine.toml")


GOOD = {
    "x_train": np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8),
    "y_train": np.arange(40) % 4,
    "x_test": np.zeros((8, 8, 8), np.uint8),
    "y_test": np.arange(8) % 4,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"y_test": None}, "y_test"),
        ({"x_test": np.zeros((8, 9, 9), np.uint8)}, "(1, 9, 9)"),
        ({"x_train": GOOD["x_train"].astype(np.float32) * np.nan}, "NaN"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(8, int)}, "class"),
        ({"y_test": np.arange(8)}, "0..3"),
        ({"y_train": np.arange(39) % 4}, "39"),
    ],
)
def test_wrong_data(folder: Path, changes: dict[str, np.ndarray | None], expected: str) -> None:
    arrays = {name: array for name, array in {**GOOD, **changes}.items() if array is not None}
    np.savez(folder / "mine.npz", **arrays)  # type: ignore[arg-type]
    text = said("search", "--task", "mine.npz", "--out", "run")
    assert text.startswith("error: ")
    assert expected in text
    assert not (folder / "run").exists()


def test_a_broken_plugin_is_named_and_the_rest_works(folder: Path) -> None:
    (folder / "broken.py").write_text("import nowhere_at_all\n")
    text = said("spaces", "--plugin", "broken.py", code=0)
    assert "broken.py does not work and is left out: ModuleNotFoundError: No module named 'nowhere_at_all'" in text
    assert "cell_cnn" in text


def test_a_name_that_is_taken_names_both_owners(folder: Path) -> None:
    (folder / "twice.py").write_text(
        "import nas\n@nas.hookimpl\ndef nas_register(registry):\n    registry.space('cell_cnn', lambda b, task: None)\n"
    )
    text = said("spaces", "--plugin", "twice.py")
    assert "space 'cell_cnn' of plugin" in text
    assert "is taken by plugin 'cell_cnn'" in text


def test_a_space_without_a_valid_candidate(folder: Path) -> None:
    (folder / "dead.py").write_text(
        "import nas\n"
        "def dead(b, task):\n"
        "    '''Never sees its input.'''\n"
        "    n = nas.choice('n', *range(1, 200))\n"
        "    return nas.chain(stem=b.conv(channels=n), gone=b.zero(), head=b.classifier(classes=task.classes))\n"
        "@nas.hookimpl\ndef nas_register(registry):\n    registry.space('dead', dead)\n"
    )
    text = said("search", "--plugin", "dead.py", "--space", "dead", "--runner", "local", "--out", "run")
    assert "computes a constant" in text


def attention(folder: Path, width: str, heads: str) -> list[str]:
    """The command that searches a space of one attention layer of its own."""
    (folder / "own.py").write_text(
        "from nas import chain, choice, hookimpl\n"
        "def own(b, task):\n"
        "    '''One layer.'''\n"
        f"    words = b.embedding(vocabulary=task.vocabulary, features={width})\n"
        f"    layer = b.encoder_layer(heads={heads})\n"
        "    return chain(embed=words, layer=layer, head=b.sequence_head(outputs=task.outputs))\n"
        "@hookimpl\ndef nas_register(registry):\n    registry.space('own', own)\n"
    )
    return ["search", "--plugin", "own.py", "--space", "own", "--task", "toy_text", "--runner", "local", "--out", "run"]


def test_heads_that_divide_no_width(folder: Path) -> None:
    text = said(*attention(folder, "choice('width', 32, 64)", "choice('heads', 4, 5)"))
    assert text.startswith("error: space 'own' for task 'toy_text': layer: block encoder_layer(heads=5) cannot take")
    assert "no architecture with heads=5 can be built" in text
    assert len(text.splitlines()) == 1
    assert not (folder / "run").exists()


def test_heads_that_do_not_divide_every_width(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = attention(folder, "choice('width', 30, 32)", "choice('heads', 4, 5)")
    text = said(*command, "--trials", "1", "--epochs", "1", "--no-cache", "--quiet", code=0)
    (warning,) = caplog.messages
    assert warning.startswith("warning: space 'own' for task 'toy_text': layer: block encoder_layer")
    assert "a search refuses such candidates one by one" in warning
    assert "1 complete" in text


@pytest.mark.parametrize("command", ["show", "resume"])
def test_a_folder_without_a_search(folder: Path, command: str) -> None:
    assert "holds no search" in said(command, "nowhere")


def test_export_needs_a_search(folder: Path) -> None:
    assert "holds no search" in said("export", "nowhere", "--to", "out")
