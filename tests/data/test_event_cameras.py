"""Recordings on disk into kept frames. What needs tonic itself is in tests/peers, where tonic is installed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from snn2chip.data import EVENT, event_cameras, event_digits, frames_folder, to_frames
from snn2chip.data.event_cameras import CIFAR10_DVS, DVS_GESTURE, NMNIST
from snn2chip.data.events import Events
from snn2chip.data.frames_folder import Geometry, Recording
from snn2chip.errors import UserError

SENSOR = (20, 20)


def recordings(streams: list[Events]) -> list[Recording]:
    def recording(number: int, stream: Events) -> Recording:
        return Recording(f"recording {number}", lambda: stream, number % 3)

    return [recording(number, stream) for number, stream in enumerate(streams)]


def test_frames_are_kept_on_disk_and_come_back_mapped(tmp_path: Path) -> None:
    train, test = (part[:6] for part in event_digits.recordings())
    folder = tmp_path / "frames"
    frames_folder.write(folder, Geometry(4, (10, 10), SENSOR), recordings(train), recordings(test))
    read = frames_folder.read(folder, "mine", ("a", "b", "c"), "somewhere")
    assert isinstance(read.train.x, np.memmap)
    for split, streams in ((read.train, train), (read.test, test)):
        assert split.x.shape == (6, 4, 2, 10, 10)
        assert split.y.tolist() == [0, 1, 2, 0, 1, 2]
        for frames, stream in zip(split.x, streams, strict=True):
            assert np.array_equal(frames, to_frames(stream, 4, (10, 10), SENSOR).x)
    assert read.largest == max(read.train.x.max(), read.test.x.max())
    assert any("0 events of the test part were lost" in note for note in read.notes)


def test_lost_counts_are_in_the_notes(tmp_path: Path) -> None:
    flood = np.zeros(1000, EVENT)
    frames_folder.write(tmp_path / "f", Geometry(1, (1, 1), (1, 1)), recordings([flood]), recordings([flood[:10]]))
    notes = frames_folder.read(tmp_path / "f", "mine", ("a",), "").notes
    assert "745 events of the train part were lost where a pixel had more than 255 in one frame" in notes
    assert "0 events of the test part were lost where a pixel had more than 255 in one frame" in notes


def test_a_recording_that_cannot_be_summed_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stray = np.array([(0, 20, 0, 0)], EVENT)
    good = event_digits.recordings()[0][:1]
    with pytest.raises(UserError, match=r"recording 1: an event whose column x is 20, outside 0\.\.19"):
        frames_folder.write(tmp_path / "f", Geometry(1, SENSOR, SENSOR), recordings([*good, stray]), recordings(good))
    assert not list(tmp_path.iterdir())


def test_frames_that_were_changed_are_refused(tmp_path: Path) -> None:
    streams = recordings(event_digits.recordings()[0][:2])
    frames_folder.write(tmp_path / "f", Geometry(1, SENSOR, SENSOR), streams, streams)
    whole = (tmp_path / "f" / "x_test.npy").read_bytes()
    (tmp_path / "f" / "x_test.npy").write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"x_test.npy: its header promises 1600 bytes, and 1599 follow"):
        frames_folder.read(tmp_path / "f", "mine", ("a", "b"), "")
    (tmp_path / "f" / "frames.json").write_text("{}")
    with pytest.raises(UserError, match="it was not written by this version: delete it"):
        frames_folder.read(tmp_path / "f", "mine", ("a", "b"), "")


@pytest.mark.parametrize("camera", [NMNIST, DVS_GESTURE, CIFAR10_DVS], ids=lambda camera: camera.name)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    camera: event_cameras.Camera, tmp_path: Path
) -> None:
    missing = dataclasses.replace(camera, packages=("numpy", "no_such_package"))
    with pytest.raises(UserError, match=r"'no_such_package', which reads it, is not installed: run 'pip install numpy"):
        event_cameras.load(missing, tmp_path, 1)


@pytest.mark.parametrize("camera", [NMNIST, DVS_GESTURE, CIFAR10_DVS], ids=lambda camera: camera.name)
def test_files_that_tonic_would_download_are_named_instead(camera: event_cameras.Camera, tmp_path: Path) -> None:
    present = dataclasses.replace(camera, packages=())
    with pytest.raises(UserError, match=rf"{camera.dataset} is not complete there: .* and 0 were found; let tonic"):
        event_cameras.load(present, tmp_path, 1)
    assert not list(tmp_path.iterdir())


def test_absurd_frames_are_refused(tmp_path: Path) -> None:
    for steps, size in ((0, None), (1, 0), (1, 129), (10**6, None)):
        with pytest.raises(UserError, match=r"choose 1..1000 frames, at most \(128, 128\)"):
            event_cameras.load(DVS_GESTURE, tmp_path, steps, size)


def test_a_data_set_without_a_split_is_cut_nine_to_one_in_each_class() -> None:
    names = [f"cat/{number}.aedat4" for number in range(20)] + [f"dog/{number}.aedat4" for number in range(10)]
    parts = event_cameras._split([Recording(name, list, int(name.startswith("dog"))) for name in names])
    assert [recording.where for recording in parts[1]] == ["cat/18.aedat4", "cat/19.aedat4", "dog/9.aedat4"]
    assert len(parts[0]) == 27


def test_numbers_in_file_names_count_as_numbers() -> None:
    assert sorted(["c_10", "c_9", "b_100", "c_1"], key=event_cameras._natural) == ["b_100", "c_1", "c_9", "c_10"]
