"""The errors that users are meant to see: one sentence that names the file, the node and the mend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Snn2chipError(Exception):
    """Base of every error that the command line prints without a traceback."""

    exit_code = 2


class UserError(Snn2chipError):
    """Bad usage or bad input: exit code 2."""


class GraphError(UserError):
    """A network breaks a rule of ``docs/semantics.md``: the message names the node."""


class BackendError(UserError):
    """A backend (Lava, onnxruntime, ...) is missing, failed or ran out of time."""


class CheckFailed(Snn2chipError):
    """A check was carried out and did not hold: exit code 1."""

    exit_code = 1


@contextlib.contextmanager
def naming(place: object) -> Iterator[None]:
    """Puts `place`, such as the path of a file, in front of the sentence of an error that does not know it."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{place}: {error}") from None
