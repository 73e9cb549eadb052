"""A threshold that no membrane holds is refused, whatever 32 bits would make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip.errors import UserError
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from tests.frontend.netx_spec import write


@pytest.mark.parametrize("mantissa", [2**17 - 1, 2**25, 2**26])
def test_a_threshold_beyond_24_bits_names_layer_and_field(tmp_path: Path, mantissa: int) -> None:
    neuron = {"type": "CUBA", "iDecay": 4096, "vDecay": 2048, "vThMant": mantissa, "refDelay": 1, "gradedSpike": False}
    weight = np.array([[2.0, 4.0], [6.0, 2.0]], np.float32)
    dense = {"type": "dense", "shape": np.array([2]), "inFeatures": 2, "outFeatures": 2, "weight": weight}
    layers = [{**dense, "neuron": neuron}, {**dense, "neuron": {**neuron, "vThMant": 2}}]
    path = write(tmp_path / "a.net", layers)
    with pytest.raises(UserError, match=rf"layer 0 \(dense\) has vThMant = {mantissa}"):
        read_netx(path, ImportOptions(steps=4))
