"""A Chromium that notes what the pages in it ask for, run and break."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


#: The hour of tests/figures.py.
HOUR = "since=2026-03-01T10:00&until=2026-03-01T11:00"
#: Notes every breach of the policy of a page; runs before anything of it.
WATCH = "addEventListener('securitypolicyviolation', e => (window.breaches ||= []).push(e.violatedDirective))"
#: What a section of the page, or a tile of it, says.
TILE = ".tile:has(dt:text-is('{}')) strong"


class Browser:
    """A Chromium, and what the pages in it asked for and ran."""

    def __init__(self, context: "BrowserContext") -> None:
        self.context = context
        self.requests: list[str] = []
        self.ran: list[str] = []
        context.add_init_script(WATCH)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("dialog", self._dismiss)
        context.on("weberror", lambda error: self.ran.append(str(error.error)))

    def _dismiss(self, dialog: Any) -> None:
        self.ran.append(dialog.message)
        dialog.dismiss()

    def open(self, address: str) -> "Page":
        """Return a page that has loaded."""
        page = self.context.new_page()
        page.goto(address, wait_until="load")
        return page

    def breaches(self, page: "Page") -> list[str]:
        """Return the rules of its policy that a page has broken."""
        found: list[str] = page.evaluate("window.breaches || []")
        return found


Open = Callable[..., Browser]
