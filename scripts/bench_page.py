"""Measure what the page costs on a whole-body case: processor time a mark, first picture, slices.

    python scripts/bench_page.py [60 300 2500] [--marks N]

Makes its own cases (CT 512 x 512 x 700, PET 200 x 200 x 350, so many lesions, none marked), serves each with
``volstrat review``, and marks from the keyboard in the system's Chromium, one mark at a time, until all that
it causes is done. Processor time is the server's, of all of that: table, verdict, pictures of the next
lesion, and what the verdict hangs on, which follows after a pause. The first picture, and the lesions, count
from the program's start; a mark's paint from the key press to the frame that shows it saved. Prints a table,
and how busy the machine was.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from playwright.sync_api import sync_playwright

from bench_phantoms import CT_SHAPE, CT_SPACING_MM, PET_SHAPE, PET_SPACING_MM, draw, lesions, pet_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Page

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
TYPES = {np.dtype(np.uint16): (512, 16), np.dtype(np.int16): (4, 16), np.dtype(np.float32): (16, 32)}
_VOXELS_A_LESION = 1000
FILLED = "() => document.querySelectorAll('#lesions tbody tr').length > 0"
READ = "() => !document.querySelector('#banners').textContent.includes('Reading the images')"
PRESS = """async () => {
  const box = document.getElementById('rows-box'), told = (id) => document.getElementById(id).textContent;
  const frame = () => new Promise(requestAnimationFrame), was = told('progress'), begun = performance.now();
  box.dispatchEvent(new KeyboardEvent('keydown', { key: '1', bubbles: true }));
  while (told('progress') === was || !told('saved').startsWith('saved')) await frame();
  await frame();
  return performance.now() - begun;
}"""
FOLLOWED = "() => document.querySelector('#changes').textContent !== '...'"
SLICES = """async () => {
  const canvas = document.querySelector('#axial'), times = [];
  canvas.focus();
  for (let n = 0; n < 40; n += 1) {
    const before = canvas.dataset.painted, begun = performance.now();
    canvas.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp', bubbles: true }));
    while (canvas.dataset.painted === before && performance.now() - begun < 3000) await new Promise((r) => setTimeout(r, 1));
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b)[37];
}"""  # noqa: E501


def write(path: Path, values: NDArray[np.generic], spacing: tuple[float, float, float]) -> None:
    """Write a volume as .nii.gz, its field centred on the scanner's origin."""
    code, bits = TYPES[values.dtype]
    origin = [-(n - 1) / 2 * step for n, step in zip(values.shape, spacing, strict=True)]
    header = struct.pack(
        "<i 36x 8h 14x h h 2x 8f 3f 3x b 24x 80s 24x 2h 24x 12f 16x 4s 4x",
        348, *(3, *values.shape, 1, 1, 1, 1), *(code, bits), *(1.0, *spacing, 0.0, 0.0, 0.0, 0.0),
        *(352.0, 1.0, 0.0), 2, b"phantom, no patient", *(0, 1), *(spacing[0], 0.0, 0.0, origin[0]),
        *(0.0, spacing[1], 0.0, origin[1]), *(0.0, 0.0, spacing[2], origin[2]), b"n+1\0",
    )  # fmt: skip
    path.write_bytes(gzip.compress(header + values.tobytes(order="F"), 1, mtime=0))


def make(folder: Path, count: int) -> None:
    """Write a whole-body case of so many lesions."""
    folder.mkdir()
    bodies = lesions(seed=1, count=count, voxels=max(183_500, _VOXELS_A_LESION * count))
    write(folder / "tumour.nii.gz", draw(bodies, CT_SHAPE, CT_SPACING_MM).astype(np.uint16), CT_SPACING_MM)
    rng = np.random.default_rng(0)
    avid = pet_mask(bodies)
    suv = avid * np.float32(8) + rng.uniform(0.5, 2.5, PET_SHAPE).astype(np.float32)
    write(folder / "fdg_avid.nii.gz", avid.astype(np.uint16), PET_SPACING_MM)
    write(folder / "suv.nii.gz", suv, PET_SPACING_MM)
    x = np.arange(CT_SHAPE[0]) - (CT_SHAPE[0] - 1) / 2
    body = (x[:, None] / 195) ** 2 + (x[None, :] / 143) ** 2 < 1
    noise = rng.normal(40, 12, (*CT_SHAPE[:2], 8)).astype(np.int16)
    ct = np.empty(CT_SHAPE, dtype=np.int16, order="F")
    for k in range(CT_SHAPE[2]):
        ct[..., k] = np.where(body, noise[..., k % 8], -1000)
    write(folder / "ct.nii.gz", ct, CT_SPACING_MM)


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used, seconds."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measured(page: Page, pid: int, link: str, begun: float, marks: int) -> list[float]:
    """Return a row of the table.

    Seconds until the first picture and until the lesions are there; of a mark the processor time and the
    median of the paint, of a slice the 95th percentile, ms.
    """
    page.goto(link)
    page.wait_for_function("() => performance.getEntriesByName('first-picture').length", timeout=120_000)
    ready = [time.perf_counter() - begun]
    page.wait_for_function(FILLED, timeout=600_000)
    ready.append(time.perf_counter() - begun)
    for done in (READ, FOLLOWED):
        page.wait_for_function(done, timeout=600_000)
    page.wait_for_timeout(3000)
    before, paints = processor_s(pid), []
    for _ in range(marks):
        paints.append(page.evaluate(PRESS))
        page.wait_for_function(FOLLOWED, timeout=60_000)
        page.wait_for_timeout(500)  # pictures
    used = (processor_s(pid) - before) / marks
    return [*ready, 1000 * used, statistics.median(paints), page.evaluate(SLICES)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[60, 300, 2500])
    parser.add_argument("--marks", type=int, default=30)
    options = parser.parse_args()
    print(
        "| lesions | first picture s | lesions s | processor ms a mark | key to paint ms | slice ms | load |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for count in options.counts:
            case = Path(folder, f"case{count}")
            make(case, count)
            begun = time.perf_counter()
            served = subprocess.Popen(
                [sys.executable, "-m", "volstrat", "review", str(case), "--no-browser", "--reader", "R"],
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                assert served.stderr is not None
                found = re.search(r"http://\S+", served.stderr.readline())
                assert found is not None
                page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                row = measured(page, served.pid, found[0], begun, options.marks)
                page.context.close()
                ready, rest = ([f"{x:.1f}" for x in row[:2]], [f"{x:.0f}" for x in row[2:]])
                cells = [f"{count}", *ready, *rest, f"{os.getloadavg()[0]:.1f}"]
                print(f"| {' | '.join(cells)} |", flush=True)
            finally:
                served.terminate()
                served.wait()


if __name__ == "__main__":
    main()
