"""Passes from graph to graph, and from graph to what lives on cores. Each is proven by tests to keep the meaning."""

from __future__ import annotations

from snn2chip.lowering.populations import Network, Population, Projection, Role, to_populations
from snn2chip.lowering.unary import UnaryLowering, to_unary

__all__ = ["Network", "Population", "Projection", "Role", "UnaryLowering", "to_populations", "to_unary"]
