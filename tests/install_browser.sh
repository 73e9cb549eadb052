#!/usr/bin/env bash
# The browser tests need chromium and chromedriver: installs them where that is possible, else says what is missing.
set -euo pipefail
has() { command -v "$1" >/dev/null 2>&1; }

if has chromedriver && { has chromium || has chromium-browser || has google-chrome; }; then exit 0; fi
if [ "$(id -u)" = 0 ] && has apt-get; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    echo "Installing chromium and chromium-driver for the browser tests ..."
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver; } >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
    exit 0
fi
echo "The browser tests need Chromium and its driver. Debian: sudo apt-get install chromium chromium-driver;" \
    "elsewhere: put chromium (or google-chrome) and chromedriver on PATH." >&2
exit 1
