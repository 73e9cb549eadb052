#!/usr/bin/env bash
# Writes requirements/peers.txt, what .venv-peers holds beyond .venv, for every Python that SpikingJelly 2 supports; run
# by `make lock` after lock.txt, whose versions it keeps.
set -euo pipefail
cd "$(dirname "$0")/.."
unset UV_FIND_LINKS UV_TORCH_BACKEND
"$1" -m uv pip compile requirements/peers.in --universal --python-version 3.11 --upgrade --quiet \
    --constraint requirements/lock.txt --override requirements/peers-overrides.txt \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links |
    awk -F== 'NR == FNR { locked[$1] = 1; next } !($1 in locked) && !/never/' requirements/lock.txt - \
    > requirements/peers.txt
