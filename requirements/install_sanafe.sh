#!/usr/bin/env bash
# Builds the environment in folder $1 in which tests/peers/test_sanafe.py runs SANA-FE as a program of its own. PYTHON names
# the interpreter to use, as in install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv-sanafe}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "SANA-FE needs Python 3.10 to 3.13: install one, or name it: make PYTHON=python3.12 test-peers" >&2
    return 1
}

python=$(find_python)
echo "Building $environment with $("$python" --version) ..."
"$python" -m venv --clear "$environment"
"$environment/bin/python" -m pip install -qq --only-binary :all: \
    --requirement requirements/sanafe.txt --constraint requirements/lock.txt
