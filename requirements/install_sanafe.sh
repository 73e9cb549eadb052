#!/usr/bin/env bash
# Builds the environment in folder $1 in which tests/peers/test_sanafe.py runs SANA-FE as a program of its own. PYTHON names
# the interpreter to use, as in install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv-sanafe}
source requirements/interpreter.sh

python=$(find_python 10 SANA-FE test-peers)
echo "Building $environment with $("$python" --version) ..."
"$python" -m venv --clear "$environment"
"$environment/bin/python" -m pip install -qq --only-binary :all: \
    --requirement requirements/sanafe.txt --constraint requirements/lock.txt
