"""The target forms, one module or folder each. A new form is its module and one line in `FORMS`."""

from __future__ import annotations

import importlib
from typing import cast

from snn2chip.exporters.base import Exporter, Registered

FORMS: dict[str, Registered] = {
    "nir": Registered("snn2chip.exporters.nir_form", "NirExporter"),
    "onnx": Registered("snn2chip.exporters.onnx_form", "OnnxExporter"),
    "lava": Registered("snn2chip.exporters.lava.exporter", "LavaExporter"),
}


def standard_forms() -> tuple[str, ...]:
    """The names of the forms that every export writes."""
    return tuple(name for name, registered in FORMS.items() if registered.standard)


def exporter(name: str) -> Exporter:
    """The exporter of a form; KeyError for an unknown name."""
    registered = FORMS[name]
    return cast(Exporter, getattr(importlib.import_module(registered.module), registered.attribute)())
