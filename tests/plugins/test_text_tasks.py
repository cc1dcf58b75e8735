from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import ConfigError, NasError, TaskError
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.train.task import IGNORE, Task, check_task, open_task, usual_objective
from nas_plugins.text_tasks.tokens import END, MASK, PADDING, SPECIAL, START, UNKNOWN, Vocabulary, pieces
from nas_plugins.text_tasks.toys import PRAISE, SMALL, TENS, toy_language, toy_reverse, toy_text

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sets"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return create_manager().registry


def table(*rows: str) -> str:
    return "\n".join(row.replace(" | ", "\t") for row in rows) + "\n"


QUESTIONS = table(
    "train | where | In which town is it ?",
    "train | who | Who is it ?",
    "dev | where | Where is the town ?",
    "train | who | It is who ?",
    "test | who | Who is the unheard-of one ?",
)


def opened(registry: Registry, file: Path, content: str, options: str = "") -> Task:
    file.write_bytes(gzip.compress(content.encode()) if file.name.endswith(".gz") else content.encode())
    return open_task(registry, f"{file}{options}")


def read(task: Task, numbers: np.ndarray) -> list[str]:
    return [task.facts["tokens"][n] for n in numbers if n != PADDING]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't panic!", ["don't", "panic", "!"]),
        ("  two\twords \n", ["two", "words"]),
        ("naïve Ünïcode, 12.5 %", ["naïve", "ünïcode", ",", "12", ".", "5", "%"]),
        ("<unk> a_b", ["<", "unk", ">", "a", "_", "b"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert pieces(text, "words") == expected
    assert pieces(text, "characters") == list(text)


def test_a_vocabulary_goes_by_frequency_then_by_name() -> None:
    known = Vocabulary.of([["b", "c", "a"], ["c", "b"], ["c"]], "words", len(SPECIAL) + 2)
    assert known.tokens[len(SPECIAL) :] == ("c", "b")
    assert known.encode(["b", "a", "c"]) == [6, UNKNOWN, 5]
    assert known.encode(["<pad>", "<mask>"]) == [UNKNOWN, UNKNOWN], "text cannot say a special token"
    assert known.padded([[5, 6], [7]], 3).tolist() == [[5, 6, 0], [7, 0, 0]]
    assert known.padded([[5, 6, 7, 8], []], 3, fill=9).tolist() == [[5, 6, 7], [9, 9, 9]]


@pytest.mark.parametrize("name", ["q.tsv", "q.tsv.gz"])
def test_texts_with_classes(registry: Registry, tmp_path: Path, name: str) -> None:
    task = opened(registry, tmp_path / name, QUESTIONS)
    train, test = task.train_arrays(), task.test_arrays()
    assert (len(train), len(test)) == (4, 1)
    assert (task.info.name, task.info.target, task.info.outputs) == ("q", "class", 2)
    assert task.facts["classes"] == ["where", "who"]
    assert train.y.tolist() == [0, 1, 0, 1]
    assert task.info.vocabulary == len(task.facts["tokens"])
    assert read(task, train.x[0][0]) == ["in", "which", "town", "is", "it", "?"]
    assert train.x[0].shape[1] == task.info.input.shape[0] == 6
    assert "unheard" not in task.facts["tokens"], "the test part adds nothing to the vocabulary"
    assert read(task, test.x[0][0]) == ["who", "is", "the", "<unknown>", "<unknown>", "<unknown>"]
    assert task.info.padding == PADDING
    assert (train.x[0][1] == PADDING).tolist() == [False] * 4 + [True] * 2


def test_numbers_with_fractions_are_values(registry: Registry, tmp_path: Path) -> None:
    rows = [f"{i} | {i / 4 - 1} | {'good ' * i}day" for i in range(10)]
    task = opened(registry, tmp_path / "t.tsv", table(*rows))
    assert (task.info.target, task.info.outputs, usual_objective(task)) == ("value", 1, "val_r2")
    values = np.concatenate([task.train_arrays().y, task.test_arrays().y])
    assert sorted(values.tolist()) == [i / 4 - 1 for i in range(10)]
    assert (len(task.train_arrays()), len(task.test_arrays())) == (8, 2)


def test_whole_numbers_are_classes_unless_values_are_asked_for(registry: Registry, tmp_path: Path) -> None:
    rows = table(*(f"{i} | {i % 3} | text {i}" for i in range(12)))
    assert opened(registry, tmp_path / "t.tsv", rows).info.outputs == 3
    assert opened(registry, tmp_path / "t.tsv", rows, ":target=value").info.target == "value"


@pytest.mark.parametrize("first", ["Label | Text", "class | sentence", "score | text"])
def test_a_first_line_may_name_the_columns(registry: Registry, tmp_path: Path, first: str) -> None:
    rows = table(first, *(f"{'yn'[i % 2]} | text {i}" for i in range(10)))
    task = opened(registry, tmp_path / "t.tsv", rows)
    assert task.facts["classes"] == ["n", "y"]
    assert len(task.train_arrays()) + len(task.test_arrays()) == 10


def test_columns_may_be_said(registry: Registry, tmp_path: Path) -> None:
    rows = table(*(f"text {i} | {'yn'[i % 2]}" for i in range(10)))
    file = tmp_path / "t.tsv"
    file.write_text(rows)
    task = open_task(registry, f"text:path={file},columns=text/label")
    assert task.facts["classes"] == ["n", "y"]


def test_characters_length_and_size(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path / "q.tsv", QUESTIONS, ":level=characters,length=4,vocabulary=9")
    assert task.info.input.shape == (4,)
    assert task.info.vocabulary == 9
    assert "".join(read(task, task.train_arrays().x[0][3])).replace("<unknown>", "*") in ("** i", "It i", "*t i")


def named(place: Path, facts: dict[str, Any]) -> str:
    """A folder that looks like an exported network's."""
    place.mkdir()
    (place / "weights.safetensors").write_bytes(b"")
    (place / "architecture.json").write_text(json.dumps({"metadata": {"facts": facts}}))
    return str(place)


def test_a_vocabulary_comes_from_an_exported_network(registry: Registry, tmp_path: Path) -> None:
    place = named(tmp_path / "best", {"tokens": [*SPECIAL, "who", "which"], "level": "words"})
    task = opened(registry, tmp_path / "q.tsv", QUESTIONS, f":vocabulary_from={place}")
    assert task.info.vocabulary == 7
    assert read(task, task.train_arrays().x[0][1])[0] == "who"
    with pytest.raises(ConfigError, match=r"trained on characters, .* has words: give the option level=words"):
        opened(registry, tmp_path / "q.tsv", QUESTIONS, f":vocabulary_from={place},level=characters")
    with pytest.raises(ConfigError, match=r"found no weights\.safetensors"):
        opened(registry, tmp_path / "q.tsv", QUESTIONS, f":vocabulary_from={tmp_path}/nowhere")
    other = named(tmp_path / "images", {})
    with pytest.raises(ConfigError, match="images is not of a text"):
        opened(registry, tmp_path / "q.tsv", QUESTIONS, f":vocabulary_from={other}")


@pytest.mark.parametrize(
    ("content", "options", "kind", "said"),
    [
        ("", "", TaskError, "expected some text, got none"),
        (" \n\n", "", TaskError, "expected some text, got none"),
        (table("label | text"), "", TaskError, "expected rows under the names of the columns, got none"),
        (table("split | text", "train | a"), "", TaskError, "no task reads what is in this file; .* text: texts with"),
        (table("a | b | c | d"), "", TaskError, "expected tab-separated columns label, text, .* got 4 columns"),
        (table("train | a | b", "train | a"), "", TaskError, "line 2: expected 3 columns as in the first, got 2"),
        (table("train | a | x", "test | a | x"), "", TaskError, "labels: expected at least 2 classes, got a"),
        (table("train | a | x", "train | b | x"), "", TaskError, "split: expected rows to train on and to test on"),
        (
            table("split | label | text", "train | a | x", "tset | b | x"),
            "",
            TaskError,
            "split: expected train, dev, .* got 'tset'",
        ),
        (table("train | a | x", "test | b | x"), "", TaskError, "every class to train on, got none of class b"),
        (table("train | a | ", "train | b | ", "test | a | x"), "", TaskError, "expected texts with words in them"),
        (QUESTIONS, ":target=value", TaskError, "row 1: expected a finite number as label, got 'where'"),
        (
            table("i | 1 | x", "j | 1 | y", "k | 1 | z"),
            ":target=value",
            TaskError,
            r"expected different values, got 1\.0 in every row",
        ),
        (table("i | 1.5 | x", "j | nan | y"), ":target=value", TaskError, "row 2: expected a finite number .* 'nan'"),
        (QUESTIONS, ":target=number", ConfigError, "'target' of task 'text': expected auto, class or value"),
        (QUESTIONS, ":level=bytes", ConfigError, "'level' of task 'text': expected words or characters, got 'bytes'"),
        (QUESTIONS, ":vocabulary=5", ConfigError, "more than the 5 special tokens, got 5"),
        (QUESTIONS, ":length=-1", ConfigError, "expected a length of at least 1, got -1"),
        (QUESTIONS, ":columns=label/text", TaskError, "got columns label, text for 3"),
    ],
)
def test_tables_that_do_not_fit(
    registry: Registry, tmp_path: Path, content: str, options: str, kind: type[NasError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        opened(registry, tmp_path / "mine.tsv", content, options)
    assert kind is ConfigError or "mine.tsv" in str(caught.value)


@pytest.mark.parametrize("content", [b"caf\xe9 \t x", b"\x1f\x8bno gzip", gzip.compress(b"train\ta\tb", mtime=0)[:-9]])
def test_a_file_that_is_no_text(registry: Registry, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.tsv"
    file.write_bytes(content)
    with pytest.raises(TaskError, match=r"mine\.tsv: expected (UTF-8 )?text"):
        open_task(registry, str(file))


STORY = "the cat sat on the mat. the dog sat on the log! " * 20


@pytest.mark.parametrize("name", ["story.txt", "story.txt.gz"])
def test_the_next_character_of_a_text(registry: Registry, tmp_path: Path, name: str) -> None:
    task = opened(registry, tmp_path / name, STORY, ":length=10")
    x, y = task.train_arrays().x[0], task.train_arrays().y
    assert (task.info.target, usual_objective(task)) == ("token", "val_bpc")
    assert task.info.outputs == task.info.vocabulary == len(set(STORY)) + len(SPECIAL)
    assert x.shape == y.shape == (86, 10)
    assert np.array_equal(x[:, 1:], y[:, :-1])
    assert np.array_equal(x[1:, 0], y[:-1, -1])
    assert "".join(read(task, x[:5].ravel())) == STORY[:50]
    assert "".join(read(task, task.test_arrays().x[0][0])) == STORY[len(STORY) * 9 // 10 :][:10]


def test_the_next_word_of_a_text(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path / "story.txt", STORY, ":level=words,length=7,limit=140")
    assert usual_objective(task) == "val_perplexity"
    assert read(task, task.train_arrays().x[0][0]) == ["the", "cat", "sat", "on", "the", "mat", "."]
    assert task.train_arrays().y.size + task.test_arrays().y.size <= 140
    letters = dict(zip(task.facts["tokens"], task.characters, strict=True))
    assert (letters["cat"], letters["."], letters["<unknown>"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("content", "options", "kind", "said"),
    [
        ("", "", TaskError, "expected some text, got none"),
        ("short", "", TaskError, "for at least 3 windows of 64 characters, got 5; give a smaller length"),
        (STORY, ":limit=30,length=20", TaskError, "for at least 3 windows of 20 characters, got 30"),
        (STORY, ":length=1", ConfigError, "expected windows of at least 2 tokens, got length 1"),
        (STORY, ":level=lines", ConfigError, "expected words or characters, got 'lines'"),
    ],
)
def test_texts_that_do_not_fit(
    registry: Registry, tmp_path: Path, content: str, options: str, kind: type[NasError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        opened(registry, tmp_path / "mine.txt", content, options)


def test_some_tokens_are_hidden_and_asked_for(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    file.write_text(STORY * 10)
    task = open_task(registry, f"masked:path={file},level=characters,length=20")
    plain = open_task(registry, f"language:path={file},length=20")
    for ours, theirs in ((task.train_arrays(), plain.train_arrays()), (task.test_arrays(), plain.test_arrays())):
        asked = ours.y != IGNORE
        assert asked.any(axis=1).all()
        assert np.array_equal(ours.y[asked], theirs.x[0][asked])
        assert np.array_equal(ours.x[0][~asked], theirs.x[0][~asked])
    asked, x = task.train_arrays().y != IGNORE, task.train_arrays().x[0]
    assert 0.15 < asked.mean() < 0.22
    assert 0.7 < (x[asked] == MASK).mean() < 0.9
    assert 0.05 < (x[asked] == task.train_arrays().y[asked]).mean() < 0.2
    assert (usual_objective(task), task.characters) == ("val_loss", ())


def test_which_tokens_are_hidden_is_drawn_anew_for_what_is_trained_on(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    file.write_text(STORY * 10)
    task = open_task(registry, f"masked:path={file},level=characters,length=20")
    tokens = torch.from_numpy(open_task(registry, f"language:path={file},length=20").train_arrays().x[0])
    assert task.redraw is not None
    train, draws = task.train_arrays(), torch.Generator().manual_seed(0)
    seen = []
    for _ in range(2):
        x, y = task.redraw(torch.from_numpy(train.x[0]), torch.from_numpy(train.y), draws)
        asked = y != IGNORE
        assert asked.any(dim=1).all()
        assert torch.equal(torch.where(asked, y, x), tokens)
        assert 0.15 < asked.float().mean() < 0.22
        assert 0.7 < (x[asked] == MASK).float().mean() < 0.9
        assert 0.05 < (x[asked] == y[asked]).float().mean() < 0.2
        seen.append(asked)
    assert not torch.equal(*seen)


WORDS = table(*(f"{a} {b} | {b} {a}" for a, b in zip("abcdefghij", "klmnopqrst", strict=True)))


def test_pairs_are_told_one_token_after_the_other(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path / "words.tsv", WORDS)
    assert [str(port) for port in task.info.inputs] == ["tokens (L=2)", "tokens (L=3)"]
    assert (task.info.target, task.info.outputs) == ("token", task.info.vocabulary)
    train = task.train_arrays()
    assert (len(train), len(task.test_arrays())) == (8, 2)
    assert (train.x[1][:, 0] == START).all()
    assert (train.y[:, 2] == END).all()
    assert np.array_equal(train.x[1][:, 1:], train.y[:, :2])
    assert np.array_equal(train.x[0], train.y[:, 1::-1])


def test_padding_is_not_asked_for(registry: Registry, tmp_path: Path) -> None:
    rows = table("split | source | target", "train | a b c | a", "train | a | b a c", "test | b | b")
    task = opened(registry, tmp_path / "words.tsv", rows, ":target_length=5")
    one, three = task.train_arrays().y
    assert one.tolist() == [*task.train_arrays().x[1][0, 1:2], END, IGNORE, IGNORE, IGNORE]
    assert three.tolist() == [*task.train_arrays().x[1][1, 1:4], END, IGNORE]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (
            table("source | target", "a | b", "a | "),
            "",
            "a source and a target in every row, got an empty one",
        ),
        (table("a | b", "a | b | c"), "", "line 2: expected 2 columns as in the first, got 3"),
    ],
)
def test_pairs_that_do_not_fit(registry: Registry, tmp_path: Path, content: str, options: str, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        opened(registry, tmp_path / "mine.tsv", content, options)


@pytest.mark.parametrize("make", [toy_text, toy_language, toy_reverse])
def test_made_texts_are_whole_and_the_same_every_time(make: Any) -> None:
    task = make()
    check_task(task)
    assert make().fingerprint == task.fingerprint
    seen = {x.tobytes() for x in task.train_arrays().x[0]}
    fresh = [x.tobytes() not in seen for x in task.test_arrays().x[0]]
    assert np.mean(fresh) > 0.5, "the test asks for more than memory"


def verdict(words: list[str]) -> int:
    """What a review of `toy_text` says, from its words alone."""
    total, weight, sign, strong = 0, 1, 1, 1
    for word in words:
        if word in ("but", "and", ","):
            weight = 2 if word == "but" else 1
        elif word == "not":
            sign = -1
        elif word == "very":
            strong = 2
        elif word in PRAISE or word in ("bad", "awful", "dull", "poor", "dreadful"):
            total += (1 if word in PRAISE else -1) * sign * strong * weight
            sign, strong = 1, 1
    return int(np.sign(total)) + 1


def test_the_verdict_of_a_review_is_what_its_words_say() -> None:
    task = toy_text(examples=200)
    part = task.test_arrays()
    assert [verdict(read(task, x)) for x in part.x[0]] == part.y.tolist()
    assert set(part.y.tolist()) == {0, 1, 2}


def number(words: str) -> int:
    return sum((*SMALL, *TENS).index(w) if w in SMALL else 10 * TENS.index(w) + 20 for w in words.split())


def test_sums_are_right() -> None:
    task = toy_language()
    text = "".join(read(task, task.train_arrays().x[0].ravel()))
    checks = {
        r"plus (.*) is (.*)": lambda a, b, c: a + b == c,
        r"minus (.*) is (.*)": lambda a, b, c: a - b == c,
        r"is less than (.*)": lambda a, b: a < b,
        r"is more than (.*)": lambda a, b: a > b,
        r"is as much as (.*)": lambda a, b: a == b,
    }
    found = dict.fromkeys(checks, 0)
    for sentence in text.split(".")[:-1]:
        (kind, said) = next((k, m) for k in checks if (m := re.fullmatch(f"(.*) {k}", sentence.strip())))
        assert checks[kind](*map(number, said.groups())), sentence
        found[kind] += 1
    assert min(found.values()) > 0


def test_letters_are_reversed() -> None:
    task = toy_reverse(examples=50)
    for source, before in zip(*task.train_arrays().x, strict=True):
        assert read(task, source) == read(task, before)[:0:-1]


@shared
@pytest.mark.parametrize(
    ("name", "target", "outputs", "sizes"),
    [
        ("trec.tsv.gz", "class", 6, (5452, 500)),
        ("sst2.tsv.gz", "class", 2, (6920 + 872, 1821)),
        ("vader_tweets.tsv.gz", "value", 1, (3360, 840)),
    ],
)
def test_published_tables(registry: Registry, name: str, target: str, outputs: int, sizes: tuple[int, int]) -> None:
    task = open_task(registry, str(SHARED / name))
    assert (task.info.target, task.info.outputs) == (target, outputs)
    assert (len(task.train_arrays()), len(task.test_arrays())) == sizes


@shared
def test_shakespeare(registry: Registry) -> None:
    task = open_task(registry, str(SHARED / "tinyshakespeare.txt.gz"))
    assert task.info.outputs == 65 + len(SPECIAL)
    assert "".join(read(task, task.train_arrays().x[0][0])).startswith("First Citizen:\nBefore we proceed")
