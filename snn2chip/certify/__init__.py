"""The certificate: every form is executed and compared, tensor by tensor, with the interpreter.

``docs/certificate.md`` says what it states and what it does not.
"""

from __future__ import annotations

from snn2chip.certify.certificate import (
    DIFFERENT,
    EXACT,
    FORMAT,
    NOT_RUN,
    NOT_SEEN,
    REFUSED,
    Cause,
    Certificate,
    Coverage,
    Divergence,
    FormResult,
    InputSet,
    LayerResult,
    Presynaptic,
    ProbeCoverage,
)
from snn2chip.certify.compare import first_divergence
from snn2chip.certify.forms import certify, reference
from snn2chip.certify.inputs import search_inputs
from snn2chip.certify.networks import Difference, difference
from snn2chip.certify.verification import Verification, verify

__all__ = [
    "DIFFERENT",
    "EXACT",
    "FORMAT",
    "NOT_RUN",
    "NOT_SEEN",
    "REFUSED",
    "Cause",
    "Certificate",
    "Coverage",
    "Difference",
    "Divergence",
    "FormResult",
    "InputSet",
    "LayerResult",
    "Presynaptic",
    "ProbeCoverage",
    "Verification",
    "certify",
    "difference",
    "first_divergence",
    "reference",
    "search_inputs",
    "verify",
]
