#!/usr/bin/env bash
# Writes requirements/lock.txt, for every supported Python and platform at once; run by `make lock`.
# The build of torch is chosen at installation, and nothing about this machine may enter the lock: no find-links, no
# index. Used as constraints (-c), so that one file serves people with and without the test tools.
set -euo pipefail
cd "$(dirname "$0")/.."
unset UV_FIND_LINKS UV_TORCH_BACKEND
"$1" -m uv pip compile pyproject.toml --group test --universal --python-version 3.10 --upgrade --quiet \
    --constraint requirements/pins.in --override requirements/overrides.txt \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements/lock.txt
requirements/compile_peers.sh "$1"
requirements/compile_qualia.sh "$1"
