"""Runs a module that NIRTorch made as its users do: step by step, its state handed back to it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from snn2chip import interpreter
from snn2chip.graph import Array, Graph


def step_by_step(module: nn.Module, graph: Graph, inputs: Array) -> Array:
    """What `module` gives at each step, ``[B, T, classes]``."""
    frames = torch.from_numpy(interpreter.as_frames(graph, inputs).astype(np.float32))
    state, outputs = None, []
    with torch.no_grad():
        for frame in frames.unbind(1):
            logits, state = module(frame if frame.ndim == 4 else frame[..., None, None], state)
            outputs.append(logits.flatten(1))
    found: Array = torch.stack(outputs, dim=1).numpy()
    return found
