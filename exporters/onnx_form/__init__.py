"""The ONNX form: ``model.onnx``, an integer graph that stock onnxruntime runs (``docs/onnx.md``)."""

from __future__ import annotations

from snn2chip.exporters.onnx_form.execute import OnnxRuntime, run_file
from snn2chip.exporters.onnx_form.form import OnnxExporter

__all__ = ["OnnxExporter", "OnnxRuntime", "run_file"]
