"""An artifact, certified again: here, and against what the certificate that came with it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snn2chip import artifact, files
from snn2chip.certify.agreement import disagreements, says_more
from snn2chip.certify.certificate import Certificate
from snn2chip.certify.forms import Report, certify


@dataclass(frozen=True)
class Verification:
    """What came of verifying an artifact.

    Attributes:
        name: of the network, as the artifact has it.
        certificate: what was found here.
        disagreements: what the certificate that came with the artifact says otherwise, in sentences.
        kept: whether that certificate was kept although another one was made here, because programs are missing here.
    """

    name: str
    certificate: Certificate
    disagreements: tuple[str, ...]
    kept: bool


def verify(folder: str | Path, report: Report) -> Verification:
    """Check every digest, run every form again, and put the new certificate in the place of one that says otherwise.

    A certificate that says more is kept: where all that ran here agrees with it, and the rest could not be run here.
    Raises: UserError naming a changed file.
    """
    read = artifact.read(folder)
    stored = files.read_json(read.folder / artifact.CERTIFICATE)
    made = certify(read.graph, read.folder, read.samples, report)
    found = disagreements(stored, made)
    kept = says_more(stored, made)
    if not kept:
        artifact.replace_certificate(read, files.canonical_json(made.to_json()))
    return Verification(read.description.name, made, tuple(found), kept)
