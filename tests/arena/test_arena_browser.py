"""The page of an arena in Chromium: what a rater is told of the votes is true, wherever the page was put."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_vdb.arena.server import server
from pytest_vdb.serving import address_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server, which takes no votes."""

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def running(served: ThreadingHTTPServer) -> Iterator[str]:
    with served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"{address_of(served)}?rater=anna"
        served.shutdown()
        thread.join()


@pytest.fixture
def page():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page()
        shown.set_default_timeout(10_000)
        yield shown
        browser.close()


def votes_on_all(page, address: str) -> str:
    """What stands at the end."""
    page.goto(address)
    end = page.locator("#end")
    while not end.is_visible():
        page.locator("[data-choice=left]:enabled, #end:visible").first.wait_for()
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(50)
    return end.inner_text()


def test_votes_that_no_server_took_are_to_be_saved_and_arrive_when_one_is_there(page, place):
    with running(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place / "page")))) as plain:
        assert "Please save your votes" in votes_on_all(page, plain)
        port = plain.partition("127.0.0.1:")[2].partition("/")[0]
    ours, desk = server(place, "127.0.0.1", int(port))  # what a browser keeps it keeps by the address
    with running(ours) as address:
        assert "Your votes have been sent" in votes_on_all(page, address)
        assert desk.votes == 8
