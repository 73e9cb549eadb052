"""Data sets: images and event streams, from files that are on disk already or come with the package."""

from __future__ import annotations

from snn2chip.data.dataset import Dataset, Split, hold_out
from snn2chip.data.events import EVENT, Frames, to_frames
from snn2chip.data.registry import SOURCES, load, shipped_test_part

__all__ = ["EVENT", "SOURCES", "Dataset", "Frames", "Split", "hold_out", "load", "shipped_test_part", "to_frames"]
