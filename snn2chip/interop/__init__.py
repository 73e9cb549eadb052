"""Node maps with which other libraries run our NIR files exactly, and what they make of them without.

Each module needs its library and is imported by name:

* ``snn2chip.interop.nirtorch`` - NIRTorch and plain torch
* ``snn2chip.interop.norse``, ``.sinabs``, ``.snntorch``, ``.spikingjelly`` - the neurons of these, wired by NIRTorch

All of them have a `NODE_MAP` for `nirtorch.nir_to_torch`, and `load`, which opens a file in one call. `consumers`
measures what each library makes of a file, as it comes and with its map (``docs/nir-consumers.md``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(package: str) -> Iterator[None]:
    """Around the import of a library; ImportError, in one sentence, where it cannot be imported."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{package} is needed and cannot be imported ({error}): pip install --upgrade {package}"
        ) from error
