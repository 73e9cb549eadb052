"""The ONNX forms: ``model.onnx``, an integer graph that stock onnxruntime runs, and its kin (``docs/onnx.md``)."""

from __future__ import annotations

from snn2chip.exporters.onnx_form.execute import OnnxRuntime, run_file
from snn2chip.exporters.onnx_form.form import OnnxExporter, OnnxFloat, OnnxFrames, OnnxQLinear, OnnxStep

__all__ = ["OnnxExporter", "OnnxFloat", "OnnxFrames", "OnnxQLinear", "OnnxRuntime", "OnnxStep", "run_file"]
