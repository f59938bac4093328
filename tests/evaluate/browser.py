"""A report in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened(browser: Any, path: Path) -> Iterator[Any]:
    """The page at a path; whatever the browser complains of, or asks for elsewhere, fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog") or dialog.dismiss())
    page.on(
        "request",
        lambda request: None if request.url.startswith(("data:", path.as_uri())) else complaints.append(request.url),
    )
    page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective))")
    page.goto(path.as_uri())
    yield page
    page.close()
    assert complaints == []
