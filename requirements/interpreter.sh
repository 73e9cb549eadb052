# Shell functions of the install scripts, which source this file.

# fits INTERPRETER OLDEST: can it be called, and is it Python 3.OLDEST to 3.13?
fits() { "$1" -c "import sys; sys.exit(not (3, $2) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1; }

# find_python OLDEST WHO GOAL: print the interpreter to use: PYTHON, or the first of python3, python3.13, ... that fits.
find_python() {
    local candidate minor candidates=python3
    for ((minor = 13; minor >= $1; minor--)); do candidates+=" python3.$minor"; done
    for candidate in ${PYTHON:-$candidates}; do
        # Version managers put names on PATH that fail when called: only running one tells.
        if fits "$candidate" "$1"; then echo "$candidate"; return; fi
    done
    echo "$2 needs Python 3.$1 to 3.13: install one, or name it: make PYTHON=python3.12${3:+ $3}" >&2
    return 1
}

pip_setting() { "$1" -m pip config list | sed -n "s/^[a-z]*\.$2='\(.*\)'\$/\1/p"; }

# as_pip INTERPRETER: make uv keep to the system's certificates and to the index that pip is configured with.
as_pip() {
    local index
    export UV_SYSTEM_CERTS=true
    index=$(pip_setting "$1" index-url | tail -n 1)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
}
