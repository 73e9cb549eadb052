"""Headless Chromium. A machine without it fails these tests instead of skipping them: `make test` installs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def console(browser: webdriver.Chrome) -> list[dict[str, Any]]:
    """What the console holds since it was last asked for."""
    entries: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has no types here
    return entries


@contextmanager
def chromium(home: Path) -> Iterator[webdriver.Chrome]:
    """A browser whose settings live in `home`, with its console recorded from the least severe entry on."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    driver = shutil.which("chromedriver")
    assert program, "no Chromium on PATH: run tests/install_browser.sh"
    assert driver, "no chromedriver on PATH: run tests/install_browser.sh"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={home / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env={"HOME": str(home), "PATH": str(Path(driver).parent)})
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()
