"""The stock form: every weighted sum on the Conv, Dense and Sparse processes that Lava itself ships.

A second opinion on the arithmetic of small networks (``docs/lava-stock.md``): no weight passes through a kernel of this
project. Lava ships no multi-level neuron, so what has no weights runs in `snn2chip.exporters.lava.taps.Cells`.
"""
