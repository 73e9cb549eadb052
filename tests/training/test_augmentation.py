"""Random changes of images: each against what it says it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from snn2chip.data import digits
from snn2chip.training.augmentation import NONE, Augmentation, augment, crop, flip, mixup
from snn2chip.training.autoaugment import POLICY, Operation, apply, autoaugment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.randint(256, (count, channels, size, size), generator=seeded(7), dtype=torch.uint8)


def test_augmentation_moves_images_a_little_and_keeps_grey_levels() -> None:
    images = torch.from_numpy(digits.load().train.x[:64]).float()
    moved = augment(images, Augmentation(), 16, seeded())
    assert torch.equal(moved, moved.round())
    assert (moved.min().item(), moved.max().item()) == (0, 16)
    assert 0.3 < (moved - images).abs().mean() < 3
    assert torch.equal(augment(images, NONE, 16, torch.Generator()), images)
    assert Augmentation().changes
    assert not NONE.changes


def test_augmentation_shifts_by_pixels() -> None:
    images = torch.zeros(200, 1, 8, 8)
    images[:, :, 4, 4] = 16
    moved = augment(images, Augmentation(0, 0, 0, shift=2), 16, seeded())
    columns = (moved.sum(2).squeeze(1) * torch.arange(8)).sum(1) / moved.sum((1, 2, 3))
    assert columns.min() < 2.5
    assert columns.max() > 5.5
    assert ((columns >= 2) & (columns <= 6)).all()


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    images = pictures(300)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = set()
    for image, moved in zip(padded, crop(images, 2, seeded()), strict=True):
        windows = {(y, x): image[:, y : y + 8, x : x + 8] for y in range(5) for x in range(5)}
        (place,) = [place for place, window in windows.items() if torch.equal(window, moved)]
        places.add(place)
    assert len(places) == 25, "every shift occurs"


def test_half_of_the_images_are_mirrored() -> None:
    images = pictures(400)
    moved = flip(images, seeded())
    mirrored = torch.tensor([not torch.equal(a, b) for a, b in zip(images, moved, strict=True)])
    assert torch.equal(moved[mirrored], images[mirrored].flip(-1))
    assert 160 < mirrored.sum() < 240


def test_mixup_blends_each_image_with_another() -> None:
    images = pictures(50).float()
    blend, other, share = mixup(images, 1.0, seeded())
    assert sorted(other.tolist()) == list(range(50))
    assert torch.allclose(blend, share * images + (1 - share) * images[other])
    shares = [mixup(images[:2], 1.0, seeded(seed))[2] for seed in range(400)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.std(shares) == pytest.approx(12**-0.5, abs=0.03), "Beta(1, 1) is even"


def rgb(values: torch.Tensor) -> Image.Image:
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_the_policy_has_25_pairs_and_its_operations_do_what_the_paper_says() -> None:
    assert len(POLICY) == 25
    assert POLICY[14] == (Operation("Solarize", 0.5, 2), Operation("Invert", 0.0, 3))
    (picture,) = pictures(1, size=32)
    image = rgb(picture)
    assert torch.equal(pixels(apply(image, Operation("Invert", 1, 0), 1)), 255 - picture)
    solarized = torch.where(picture < 128, picture, 255 - picture)
    assert torch.equal(pixels(apply(image, Operation("Solarize", 1, 5), 1)), solarized)
    assert torch.equal(pixels(apply(image, Operation("Posterize", 1, 5), 1)), picture & 0b11111100)
    black = pixels(apply(image, Operation("Brightness", 1, 0), 1))
    assert torch.allclose(black.float(), picture * 0.1, atol=1)
    grey = pixels(apply(image, Operation("Color", 1, 0), 1)).float()
    assert (grey.max(0).values - grey.min(0).values).max() < 30


@pytest.mark.parametrize("sign", [1, -1])
def test_translations_reach_ten_pixels_and_fill_with_the_mean_colour(sign: int) -> None:
    (picture,) = pictures(1, size=32)
    across = pixels(apply(rgb(picture), Operation("TranslateX", 1, 9), sign))
    down = pixels(apply(rgb(picture), Operation("TranslateY", 1, 3), sign))
    if sign > 0:
        assert torch.equal(across[:, :, :23], picture[:, :, 9:])
        assert (across[:, :, 23:] == torch.tensor([125, 123, 114])[:, None, None]).all()
        assert torch.equal(down[:, :29], picture[:, 3:])
    else:
        assert torch.equal(across[:, :, 9:], picture[:, :, :23])
        assert torch.equal(down[:, 3:], picture[:, :29])


def test_every_operation_changes_a_picture_and_keeps_its_shape() -> None:
    (picture,) = pictures(1, size=32)
    picture = picture % 200 + 20  # leaves room to stretch the contrast
    for operation in {operation for pair in POLICY for operation in pair}:
        changed = pixels(apply(rgb(picture), operation, 1))
        assert changed.shape == picture.shape
        unchanged = operation.name == "Sharpness" and operation.magnitude == 5  # the middle of its range
        assert torch.equal(changed, picture) == unchanged, operation


def test_sub_policies_are_drawn_by_the_generator() -> None:
    images = pictures(64, size=32)
    first = autoaugment(images, seeded())
    assert first.dtype == torch.uint8
    assert torch.equal(first, autoaugment(images, seeded()))
    assert not torch.equal(first, autoaugment(images, seeded(1)))
    changed = sum(not torch.equal(a, b) for a, b in zip(images, first, strict=True))
    assert 30 < changed < 64
