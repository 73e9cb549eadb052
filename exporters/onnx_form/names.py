"""The names that ``model.onnx`` and its readers agree on (``docs/onnx.md``)."""

from __future__ import annotations

MODEL_FILE = "model.onnx"

#: Tensors that users address.
INPUT, FRAMES, LOGITS = "x", "frames", "logits"

#: Domain of the model-local functions, and their names: with a carried potential, and for a single step.
DOMAIN = "ai.snn2chip"
NEURON, NEURON_FROM_REST = "MultiLevelIF", "MultiLevelIFFromRest"
LIF_FROM_REST, INTEGRATOR = "LIFFromRest", "LeakyIntegrator"
#: Ends the names of functions whose leak is rounded that way.
TOWARD_ZERO = "TowardZero"

#: Keys of the file's properties.
VERSION = "snn2chip.version"
DIGEST = "snn2chip.graph_digest"
STEPS = "snn2chip.steps"
LEVELS = "snn2chip.levels"
LARGEST = "snn2chip.largest_input"
#: Which form the file is, such as ``onnx-step``; absent from files before it was introduced.
FORM = "snn2chip.form"
#: The network as JSON, but for its weights, from which the file is read back.
GRAPH = "snn2chip.graph"
#: Of single-step files: what to feed at the next step, JSON, ``{input: output}``.
STATES = "snn2chip.states"
