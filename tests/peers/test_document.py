"""docs/third-party-networks.md is what tests/peers/document.py makes of the verdicts."""

from __future__ import annotations

from tests.peers import catalogue, document


def test_every_network_is_in_the_document() -> None:
    assert set(catalogue.documented()) == {entry.key for entry in catalogue.ENTRIES}
    assert {entry.package for entry in catalogue.ENTRIES} == set(document.TITLES)


def test_the_document_shows_the_verdicts() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert text == document.render(catalogue.documented()), "run `python -m tests.peers.document` in .venv-peers"
