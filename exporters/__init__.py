"""The target forms, one module or folder each. A new form is its module and one line in `FORMS`."""

from __future__ import annotations

import importlib
from typing import cast

from snn2chip.exporters.base import Exporter, Registered

FORMS: dict[str, Registered] = {
    "nir": Registered("snn2chip.exporters.nir_form", "NirExporter"),
    "nir-compact": Registered("snn2chip.exporters.nir_form", "CompactExporter", standard=False),
    "nir-snntorch": Registered("snn2chip.exporters.nir_form", "SnnTorchExporter", standard=False),
    "nir-composed": Registered("snn2chip.exporters.nir_form", "ComposedExporter", standard=False),
    "nir-unrolled": Registered("snn2chip.exporters.nir_form", "UnrolledExporter", standard=False),
    "onnx": Registered("snn2chip.exporters.onnx_form", "OnnxExporter"),
    "onnx-frames": Registered("snn2chip.exporters.onnx_form", "OnnxFrames", standard=False),
    "onnx-step": Registered("snn2chip.exporters.onnx_form", "OnnxStep", standard=False),
    "onnx-float": Registered("snn2chip.exporters.onnx_form", "OnnxFloat", standard=False),
    "onnx-qlinear": Registered("snn2chip.exporters.onnx_form", "OnnxQLinear", standard=False),
    "lava": Registered("snn2chip.exporters.lava.exporter", "LavaExporter"),
    "lava-stock": Registered("snn2chip.exporters.lava.stock.exporter", "StockExporter", standard=False),
    "netx": Registered("snn2chip.exporters.lava.netx.exporter", "NetxExporter", standard=False),
}


def standard_forms() -> tuple[str, ...]:
    """The names of the forms that every export writes."""
    return tuple(name for name, registered in FORMS.items() if registered.standard)


def exporter(name: str) -> Exporter:
    """The exporter of a form; KeyError for an unknown name."""
    registered = FORMS[name]
    return cast(Exporter, getattr(importlib.import_module(registered.module), registered.attribute)())
