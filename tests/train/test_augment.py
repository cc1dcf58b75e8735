from __future__ import annotations

import pytest
import torch

from nas.errors import ConfigError
from nas.space.ports import Port, TaskInfo
from nas.train.augment import TABLE, augmentations, crop, cutout, flip
from nas.train.recipe import AUGMENTATIONS, Recipe

IMAGES = TaskInfo("images", (Port("image", (2, 16, 12)),), 2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(number: int = 64) -> torch.Tensor:
    return torch.rand(number, 2, 16, 12, generator=generator(9)) + 1


def test_every_name_a_recipe_may_list_does_something() -> None:
    assert set(TABLE) == set(AUGMENTATIONS)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_they_keep_the_shape_follow_their_generator_and_leave_the_data_alone(name: str) -> None:
    x = images()
    before = x.clone()
    first, again, other = (TABLE[name](x, generator(seed)) for seed in (1, 1, 2))
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x, before)


def test_crop_moves_each_image_by_up_to_an_eighth_and_brings_zeros_in() -> None:
    x = images(200)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    windows = {(dy, dx): padded[:, :, dy : dy + 16, dx : dx + 12] for dy in range(5) for dx in range(5)}
    moved = crop(x, generator())
    seen = set()
    for i in range(len(x)):
        places = [place for place, window in windows.items() if torch.equal(window[i], moved[i])]
        assert len(places) == 1
        seen.add(places[0])
    assert seen == set(windows)


def test_flip_mirrors_about_half() -> None:
    x = images(200)
    made = flip(x, generator())
    mirrored = [torch.equal(made[i], x[i].flip(-1)) for i in range(len(x))]
    assert all(m or torch.equal(made[i], x[i]) for i, m in enumerate(mirrored))
    assert 60 < sum(mirrored) < 140


def test_cutout_blanks_one_rectangle_of_at_most_half_the_size() -> None:
    made = cutout(images(), generator())
    for image in made:
        rows, columns = torch.nonzero(image[0] == 0).T
        assert torch.equal(image[0] == 0, image[1] == 0)
        assert 0 < len(set(rows.tolist())) <= 8
        assert 0 < len(set(columns.tolist())) <= 6
        assert len(rows) == len(set(rows.tolist())) * len(set(columns.tolist()))


def test_the_recipe_chooses_and_auto_is_the_tasks_own() -> None:
    assert augmentations(Recipe.parse({}), IMAGES, ("flip",)) == [flip]
    assert augmentations(Recipe.parse({"augment": "none"}), IMAGES, ("flip",)) == []
    assert augmentations(Recipe.parse({"augment": ["crop", "cutout"]}), IMAGES, ("flip",)) == [crop, cutout]


def test_only_images_can_be_cropped() -> None:
    words = TaskInfo("words", (Port("tokens", (7,)),), 2)
    assert augmentations(Recipe.parse({}), words, ()) == []
    with pytest.raises(ConfigError, match=r"'augment': crop need images, task 'words' has tokens \(L=7\)"):
        augmentations(Recipe.parse({"augment": ["crop"]}), words, ())
