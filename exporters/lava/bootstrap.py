"""First lines of the worker, in Lava's Python: reach this project's packages, and nothing else of its environment.

Called as ``python -I bootstrap.py PACKAGES MODULE [ARGUMENT ...]``: PACKAGES is a JSON object from package name to
folder (parents first), MODULE is then imported and its ``main(arguments)`` is called. Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path


def reach(packages: dict[str, str]) -> None:
    """Imports each package from its folder.

    A path entry would not do: it would show the other packages beside them, which belong to another Python.
    """
    for name, folder in packages.items():
        file = Path(folder) / "__init__.py"
        spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[folder])
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


if __name__ == "__main__":
    reach(json.loads(sys.argv[1]))
    importlib.import_module(sys.argv[2]).main(sys.argv[3:])
