"""A headless Chromium of the system, driven by Playwright: for measuring, for pictures, and for tests."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.nodes import ServiceMissing

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

#: It looks for nothing on the network of its own accord, and needs no graphics and no sandbox of a desktop.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: What systems call it.
NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(**options: Any) -> Iterator["BrowserContext"]:
    """Yield a browser with a profile of its own, which is gone afterwards.

    Args:
        **options: of Playwright's `launch_persistent_context`, such as the size of the window.

    Raises:
        ServiceMissing: Chromium or Playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for checking and measuring alone
    except ImportError as error:
        raise ServiceMissing("Playwright is not installed: requirements-dev.txt") from error
    path = _path()
    with (
        tempfile.TemporaryDirectory(prefix="sluice-chromium-", ignore_cleanup_errors=True) as profile,
        sync_playwright() as playwright,
    ):
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, headless=True, args=[*FLAGS], **options
        )
        try:
            yield context
        finally:
            context.close()


def _path() -> str:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise ServiceMissing("chromium is not installed: apt-get install chromium")
    return path
