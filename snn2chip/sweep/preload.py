"""What worker processes need, imported once in the process that they are forked from (see `schedulers`).

Importing this limits the process to one thread: the setting is read when torch is loaded, and not later.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numba
import sklearn.datasets
import sklearn.model_selection

from snn2chip import engine, frontend
from snn2chip.quantize import post_training
from snn2chip.sweep import evaluate

__all__ = ["engine", "evaluate", "frontend", "numba", "post_training", "sklearn"]
