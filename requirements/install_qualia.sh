#!/usr/bin/env bash
# Builds the environment in folder $1 in which tests/peers/test_qualia.py runs Qualia as a program of its own: .venv's
# versions, and Qualia without what its energy estimate never calls (Lightning's trainer excepted: Qualia imports it).
# SpikingJelly 2 needs Python 3.11 or later; PYTHON names the interpreter to use, as in install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv-qualia}
source requirements/interpreter.sh

python=$(find_python 11 "SpikingJelly 2" test-peers)
PYTHON=$python requirements/install.sh "$environment"
python=$environment/bin/python
as_pip "$python"
"$python" -m uv pip install --quiet --python "$python" --requirement requirements/qualia.in \
    --constraint requirements/lock.txt --constraint requirements/peers.txt --constraint requirements/qualia.txt \
    --override requirements/peers-overrides.txt
