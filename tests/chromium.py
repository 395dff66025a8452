"""A real browser for the tests and the pictures: Debian's or Ubuntu's chromium, by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")

# The projector draws with WebGL, which SwiftShader gives to a machine without a screen.
FLAGS = (
    "--no-sandbox", "--use-angle=swiftshader", "--enable-webgl", "--ignore-gpu-blocklist",
    "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

LOCAL = {"localhost", "127.0.0.1", "::1"}


def find() -> str | None:
    """Returns the path of the browser, or None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def opened(path: str, width: int = 1400, height: int = 900) -> Iterator[tuple[Page, list[str]]]:
    """Yields a page, and the list to which every request that would leave this machine is added.

    Such requests are refused.

    Args:
        path: of the browser.
        width: of the page, in pixels.
        height: of the page, in pixels.
    """
    from playwright.sync_api import Route, sync_playwright

    strangers: list[str] = []

    def watch(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname not in LOCAL:
            strangers.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": height})
        page.route("**/*", watch)
        yield page, strangers
        browser.close()
