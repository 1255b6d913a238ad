"""A served case, and the system's Chromium to look at it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 60


@dataclass(kw_only=True)
class Served:
    """A case that ``volstrat review`` serves."""

    link: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(re.findall(r":(\d+)/", self.link)[0])

    @property
    def token(self) -> str:
        """Of the one-time link."""
        return self.link.split("token=")[1]

    def next_link(self) -> str:
        """Read on until another link is printed."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
        msg = "no further link"
        raise AssertionError(msg)


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a sample subject where it may be written."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(ROOT / "sample_data" / name, tmp_path / name))

    return copied


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Return a function that serves a case with some options; all are ended afterwards."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    running: list[subprocess.Popen[str]] = []

    def started(case: Path, *options: str) -> Served:
        process = subprocess.Popen(
            [sys.executable, "-m", "volstrat", "review", str(case), "--no-browser", *options],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        running.append(process)
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.search(r"http://\S+", told)
        assert found is not None, told + process.stderr.read()
        return Served(link=found[0], process=process)

    yield started
    for process in running:
        process.terminate()
        process.wait(timeout=_SECONDS)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        process.stderr.close()


# Counts what the page has asked and not yet read the answer of, but for the state, asked for again and again.
_COUNTING = """(() => {
  const ask = window.fetch.bind(window);
  window.underWay = 0;
  window.fetch = (url, ...how) => {
    if (/^\\/(state|reload)/.test(url)) return ask(url, ...how);
    let open = true;
    const done = () => { if (open) window.underWay -= 1; open = false; };
    window.underWay += 1;
    return ask(url, ...how).then((answer) => {
      if (!answer.ok) done();
      for (const way of ["json", "blob"]) {
        const read = answer[way].bind(answer);
        answer[way] = () => read().finally(done);
      }
      return answer;
    }, (error) => { done(); throw error; });
  };
})()"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return one person's browser: cookies and settings of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    context.set_default_timeout(20_000)
    # Who reads is asked before the first mark: here a reader without a name.
    context.add_init_script("if (!localStorage.getItem('nameless')) localStorage.setItem('nameless', 'true')")
    context.add_init_script(_COUNTING)
    yield context
    context.close()


def settled(page: Page) -> None:
    """Wait until every pane shows the picture that it asks for, and nothing is being saved."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('canvas')]"
        ".every(({ dataset: d }) => d.shown && d.shown === d.wanted && d.outlined !== 'false')"
        " && window.underWay === 0 && !document.querySelector('#banners').textContent.includes('Reading the')"
        " && document.querySelectorAll('#lesions tbody tr').length > 0"
        " && !document.querySelector('#saved').textContent.startsWith('saving')",
        timeout=1000 * _SECONDS,
    )


@pytest.fixture
def opened(context: BrowserContext) -> Callable[..., Page]:
    """Return a function that opens a served case; what the page complains of fails the test."""

    def page_of(served: Served, *, pictures: bool = True) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: served.said.append(str(error)))
        page.on("console", lambda told: served.said.append(told.text) if told.type == "error" else None)
        page.goto(served.link)
        if pictures:
            settled(page)
        assert served.said == []
        return page

    return page_of
