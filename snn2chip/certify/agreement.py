"""The certificate that came with an artifact against the one that was made here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from snn2chip.certify.certificate import FORMAT, NOT_RUN, Certificate
from snn2chip.files import canonical_json


def disagreements(stored: Any, made: Certificate) -> list[str]:
    """Sentences about what the stored document (certificate.json, untrusted) says otherwise; none where they agree."""
    here = json.loads(canonical_json(made.to_json()))  # tuples become lists, as in the file
    if stored == here:
        return []
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        return [f"the certificate that came with it has another format than {FORMAT}, so nothing in it was compared"]
    found = list(_differences(stored, here))
    return found or ["its details differ (coverage or counts)"]


def says_more(stored: Any, made: Certificate) -> bool:
    """Whether only programs that are missing here tell the two apart: then the stored certificate is worth keeping."""
    if made.verdict != NOT_RUN or not isinstance(stored, dict) or stored.get("format") != FORMAT:
        return False
    if stored.get("graph_digest") != made.graph_digest:
        return False
    there, here = _statuses(stored), _statuses(made.to_json())
    ran = {key for key, status in here.items() if status != NOT_RUN}
    return ran <= there.keys() and all(there[key] == here[key] for key in ran) and NOT_RUN not in there.values()


def _differences(stored: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for key, what in (("tool_version", "version of snn2chip"), ("graph_digest", "network"), ("inputs", "inputs")):
        if stored.get(key) != here[key]:
            values = f": {stored.get(key)} there, {here[key]} here" if key == "tool_version" else ""
            yield f"it was made with another {what}{values}" if key != "inputs" else "it was made on other inputs"
    there, now = _statuses(stored), _statuses(here)
    for form, program, timing in dict.fromkeys([*there, *now]):
        said, found = (known.get((form, program, timing), "not listed") for known in (there, now))
        if said != found:
            yield f"{form} ({program or 'no program'}, {timing}): {said} there, {found} here"


def _statuses(document: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    results = document.get("results")
    entries = [entry for entry in results if isinstance(entry, dict)] if isinstance(results, list) else []
    return {
        (str(entry.get("form")), str(entry.get("executor")), str(entry.get("timing"))): str(entry.get("status"))
        for entry in entries
    }
