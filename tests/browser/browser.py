"""A real Chromium, as Debian ships it, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NEEDED = "needs Debian's chromium (apt-get install chromium) and pip's playwright"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a browser; a run without one fails, as somebody asked for it."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(f"chromium is not there: {NEEDED}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail(f"playwright is not there: {NEEDED}")
    with sync_playwright() as playwright:
        # Its sandbox will not start as root, which containers are; pages here are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, url: str, **context: Any) -> Iterator[Any]:
    """Open a page in a window of its own; whatever its console complains of is a failure."""
    window = chromium.new_context(**context)
    page = window.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    yield page
    assert said == []
    window.close()
