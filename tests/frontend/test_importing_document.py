"""``docs/importing.md``: its examples are carried out, in order, in one folder."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from snn2chip import cli

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "importing.md"


def test_every_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    kinds = set()
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        kinds.add(kind)
        if text.startswith("# mine.py"):
            Path("mine.py").write_text(text)
        elif kind == "python":
            exec(compile(text, str(PAGE), "exec"), {"__name__": "example"})  # noqa: S102  # our own document
        else:
            for line in text.splitlines():
                assert cli.main(shlex.split(line)[1:]) == 0, line
    assert kinds == {"python", "sh"}
    assert Path("build/net-loihi2/certificate.json").exists()
