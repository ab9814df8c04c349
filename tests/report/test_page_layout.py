"""The page in a browser: at 1400 and at 400 pixels nothing is cut, and no two texts of a drawing overlap.

Long: `make net` runs it, where a Chromium is installed.
"""

from __future__ import annotations

import json
import math
import re
from html import unescape
from pathlib import Path

import pytest

from tests.report.browser import ABSENT, CHROMIUM, framed, opened
from tests.sample_reports import ALL
from unstuck.diagnosis.looks import Column, Entering, Layer, Looks, Picture, Row, Tokens
from unstuck.report.html.page import render
from unstuck.tape.site import Site

pytestmark = [pytest.mark.net, pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)]

MEASURE = """
<script>
const cut = [], overlapping = [], scrolled = [];
const said = e => (e.textContent || e.tagName).trim().slice(0, 40);
for (const e of document.querySelectorAll("main *"))
  if (e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".paper, pre")) cut.push(said(e));
for (const e of document.querySelectorAll(".paper, pre"))
  if (!e.closest("details") && e.scrollWidth > e.clientWidth + 1) scrolled.push(said(e));
for (const svg of document.querySelectorAll("svg")) {
  const box = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter(t => t.getBoundingClientRect().width);
  const boxes = texts.map(t => t.getBoundingClientRect());
  boxes.forEach((b, i) => {
    if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1) cut.push(said(texts[i]));
    for (let j = 0; j < i; j++) {
      const c = boxes[j];
      const across = Math.min(b.right, c.right) - Math.max(b.left, c.left);
      const down = Math.min(b.bottom, c.bottom) - Math.max(b.top, c.top);
      if (across > 1 && down > 3) overlapping.push(said(texts[i]) + " / " + said(texts[j]));
    }
  });
}
const measured = {width: innerWidth, page: document.documentElement.scrollWidth, cut, overlapping, scrolled};
parent.document.getElementById("measured").textContent = JSON.stringify(measured);
</script>
"""


def looks() -> Looks:
    """A tape with much to draw: many features of wide ranges, long names, pictures, spikes in the loss."""
    columns = tuple(_column(f"feature {n}", 10.0 ** (3 * n - 6)) for n in range(6))
    picture = Picture(tuple(tuple((16 * (x + y) % 256,) for x in range(16)) for y in range(16)), -1.0, 25512.5)
    rows = tuple(Row(tuple(1234.5678 * i - k for k in range(8)), (float(i),), (0.1, -12.25, 1e-7)) for i in range(8))
    site = Site("package/training/a_long_name_of_a_module.py", 1234)
    entering = Entering(
        "input 0", "pictures", (64, 3, 16, 16), "float32", site, 0.0, 768, columns, (picture,) * 8, rows
    )
    row = Tokens(("word",) * 27 + ("averylongtokenwithoutanyspace",), tuple("abcdefgh␣⏎") * 2, ("0.25",) * 8, 4071)
    ids = Entering("input 1", "identities", (64, 4099), "int64", site, 0.0, 50257, tokens=(row,) * 8, named="stoi")
    layers = tuple(_layer(site, n) for n in range(14))
    losses = tuple(float(n) for n in range(200)), tuple(5e4 if n == 3 else 0.1 + math.exp(-n / 40) for n in range(200))
    rates = tuple(
        (f"AdamW, group {g}", losses[0], tuple(1e-3 * 0.5**g * (1 - n / 300) for n in range(200))) for g in (1, 2)
    )
    return Looks((entering, ids), layers, losses, rates, (0.1, 0.5))


def _column(name: str, unit: float) -> Column:
    edges = tuple(unit * (n - 12) / 6 for n in range(25))
    return Column(
        name, 0.0, unit, edges[0], edges[-1], edges, tuple(1e4 * math.exp(-((n - 12) ** 2) / 30) for n in range(24))
    )


def _layer(site: Site, n: int) -> Layer:
    slope = (10.0**-n, 0.0) if n % 2 else (math.nan, math.nan)
    return Layer(site, "scaled_dot_product_attention" if n % 3 else "linear", (64, 128), 10.0**n, 0.0, ("w",), slope)


def measured(page: str, folder: Path, width: int) -> dict[str, object]:
    """What the browser measures in a frame of that width.

    The page's own policy would forbid the script, so the frame holds a copy without it.
    """
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</main>", f"</main>{MEASURE}")
    printed = opened(framed(free, width, 900), folder, "--window-size=1500,1000", "--dump-dom")
    found = re.search(r'<pre id="measured">(.*?)</pre>', printed, re.DOTALL)
    assert found is not None, printed[-500:]
    return json.loads(unescape(found.group(1)))


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", ALL)
def test_nothing_is_cut_and_nothing_overlaps(name: str, width: int, tmp_path: Path) -> None:
    seen = measured(render(ALL[name], looks(), target="train.py"), tmp_path, width)
    assert seen["width"] == width
    assert seen["page"] <= width and not seen["cut"], seen  # type: ignore[operator]
    assert not seen["overlapping"], seen["overlapping"]
    assert not seen["scrolled"], seen["scrolled"]
