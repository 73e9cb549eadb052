"""What a run writes beside its checkpoint, one entry an epoch: JSON lines always, CSV and TensorBoard on request."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from snn2chip.errors import UserError
from snn2chip.training.loop import Epoch

KINDS = ("csv", "tensorboard")


class Log(Protocol):
    """A log that starts with the epochs before an interruption, and grows."""

    def start(self, history: Sequence[Epoch]) -> None: ...

    def add(self, record: Epoch) -> None: ...


class JsonLines:
    """``<out>.log.jsonl``: one JSON object an epoch."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".log.jsonl")

    def start(self, history: Sequence[Epoch]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(map(_line, history)), encoding="utf-8")

    def add(self, record: Epoch) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(_line(record))


class Csv:
    """``<out>.log.csv``: a header, and one row an epoch."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".log.csv")
        self._started = False

    def start(self, history: Sequence[Epoch]) -> None:
        self._started = bool(history)
        rows = _rows([record.as_dict() for record in history], header=True) if history else ""
        self.path.write_text(rows, encoding="utf-8")

    def add(self, record: Epoch) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(_rows([record.as_dict()], header=not self._started))
        self._started = True


class TensorBoard:
    """``<out>.tensorboard/``: one scalar a field, over epochs."""

    def __init__(self, out: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError("log 'tensorboard': the package is not installed: run 'pip install tensorboard'")
        self.path = out.with_name(out.name + ".tensorboard")

    def start(self, history: Sequence[Epoch]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted run wrote beyond its last state is hidden: those epochs come again.
        self._writer: Any = SummaryWriter(str(self.path), purge_step=len(history))

    def add(self, record: Epoch) -> None:
        for name, value in record.as_dict().items():
            if name != "epoch":
                self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()


def open_logs(out: Path, kinds: Sequence[str]) -> list[Log]:
    """The logs of a run; UserError for a kind that is not known, or whose package is missing."""
    makers: dict[str, Any] = {"csv": Csv, "tensorboard": TensorBoard}
    if unknown := [kind for kind in kinds if kind not in makers]:
        raise UserError(f"--log {unknown[0]!r} is unknown: give {' or '.join(KINDS)}")
    return [JsonLines(out), *(makers[kind](out) for kind in dict.fromkeys(kinds))]


def _line(record: Epoch) -> str:
    return json.dumps(record.as_dict()) + "\n"


def _rows(records: Sequence[dict[str, Any]], header: bool) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(records[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()
