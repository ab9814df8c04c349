"""The page's style sheet, for light and dark mode."""

from __future__ import annotations

LIGHT = """
  --paper: #fcfcfb; --ink: #0b0b0b; --soft: #52514e; --faint: #72706a; --grid: #e6e5df; --line: #b9b8b0;
  --heat: #104281; --deep: #ffffff; --panel: #f3f2ee;
  --c1: #2a78d6; --c2: #eb6834; --c3: #1baf7a; --c4: #c98a00; --c5: #d9609a;
  --c6: #008300; --c7: #4a3aa7; --c8: #e34948;
  --yes: #006b2e; --partly: #8a5a00; --no: #b3261e;"""
DARK = """
  --paper: #1a1a19; --ink: #ffffff; --soft: #c3c2b7; --faint: #9a988f; --grid: #2f2f2d; --line: #55544f;
  --heat: #9ec5f4; --deep: #0b0b0b; --panel: #242422;
  --c1: #3987e5; --c2: #d95926; --c3: #199e70; --c4: #c98500; --c5: #d55181;
  --c6: #3a9a3a; --c7: #9085e9; --c8: #e66767;
  --yes: #5ec98a; --partly: #e0ad45; --no: #f2867f;"""
SERIES = "\n".join(f".c{i} {{ --c: var(--c{i}); }}" for i in range(1, 9))
SHADES = "\n".join(f".s{i} rect {{ fill-opacity: {0.06 + 0.94 * i / 9:.2f}; }}" for i in range(10))

STYLE = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.55 system-ui, sans-serif; }}
main {{ max-width: 46rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; }}
h2 {{ font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem; }}
h3 {{ font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 1rem 0 .2rem; }}
p {{ margin: .4rem 0; overflow-wrap: break-word; }}
h1, h2, h3, li, td, figcaption, summary {{ overflow-wrap: anywhere; }}
a {{ color: inherit; }}
blockquote {{ margin: 1.2rem 0; padding-left: 1rem; border-left: 3px solid var(--line); color: var(--soft); }}
section {{ margin-top: 3rem; }}
.short {{ margin-top: 1.5rem; background: var(--panel); padding: 1rem 1.2rem; border-radius: 6px; }}
.claim p {{ font-style: italic; }}
nav ol {{ padding-left: 1.6rem; }}
.verdict {{ font-weight: 600; }}
nav .verdict {{ font-size: .85rem; font-weight: 500; }}
.yes {{ color: var(--yes); }} .partly {{ color: var(--partly); }} .no {{ color: var(--no); }}
.paper {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; line-height: 1.4; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }}
th, td {{ border-bottom: 1px solid var(--grid); }}
th {{ color: var(--soft); font-weight: 600; vertical-align: bottom; }}
td:first-child {{ min-width: 7rem; }}
td.number {{ white-space: nowrap; }}
.note, footer, details {{ font-size: .85rem; color: var(--soft); }}
summary {{ cursor: pointer; }}
footer {{ margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; }}
figure {{ margin: 1.8rem 0 0; }}
figcaption {{ font-weight: 600; margin-bottom: .4rem; }}
.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0; padding: 0; }}
.legend {{ font-size: .85rem; }}
.key {{ display: inline-block; width: 1.3rem; border-top: 3px solid var(--c); }}
.key {{ margin-right: .4rem; vertical-align: middle; }}
.key.dashed {{ border-top-style: dashed; }}
svg {{ display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }}
text {{ fill: var(--ink); }}
.tick {{ fill: var(--soft); font-variant-numeric: tabular-nums; }}
.grid {{ stroke: var(--grid); }} .axis {{ stroke: var(--line); }} .whisker {{ stroke: var(--ink); stroke-width: 1.5; }}
.curve {{ fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }}
.curve.dashed {{ stroke-dasharray: 6 4; }}
.bar {{ fill: var(--c); }}
.dot {{ fill: var(--c); stroke: var(--paper); stroke-width: 1.5; }}
.c0 {{ --c: var(--faint); }}
{SERIES}
.cell rect {{ fill: var(--heat); }}
.cell .tick {{ fill: var(--ink); }}
{SHADES}
.s7 .tick, .s8 .tick, .s9 .tick {{ fill: var(--deep); }}
.never rect {{ fill: var(--panel); stroke: var(--line); stroke-dasharray: 3 3; }}
.empty rect {{ fill: none; }}
@media (prefers-color-scheme: dark) {{ .s5 .tick, .s6 .tick {{ fill: var(--deep); }} }}
.beside {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .4rem 1.2rem; }}
.beside > div {{ min-width: 0; max-width: 32rem; }}
@media (max-width: 40rem) {{
  svg {{ font-size: 15px; }} svg.small {{ font-size: 13px; }} .ends {{ display: none; }}
  table {{ font-size: .75rem; }} th, td {{ padding-right: .5rem; }} td:first-child {{ min-width: 0; }}
}}
@media print {{ section {{ break-inside: avoid; }} }}
"""

DIAGNOSIS = (
    STYLE
    + """
main { max-width: 58rem; }
header { border-left: 6px solid var(--line); padding-left: 1rem; }
header h1 { margin: .2rem 0 .4rem; font-size: 1.6rem; overflow-wrap: anywhere; }
header.sick { border-color: var(--no); } header.suspect { border-color: var(--partly); }
header.well { border-color: var(--yes); }
.kicker { color: var(--soft); font-size: .85rem; margin: 0; }
section { margin-top: 2rem; }
.finding { background: var(--panel); border-radius: 6px; padding: .7rem 1rem; margin: .6rem 0; }
.finding h3 { font-size: 1rem; letter-spacing: 0; text-transform: none; color: var(--ink); margin: 0 0 .3rem; }
.badge { font-size: .75rem; border: 1px solid var(--line); border-radius: 4px; padding: 0 .4rem; color: var(--soft); }
.cause .badge { color: var(--no); border-color: var(--no); }
.suspect .badge { color: var(--partly); border-color: var(--partly); }
pre { overflow-x: auto; background: var(--panel); padding: .6rem .8rem; border-radius: 6px; font-size: .85rem; }
.finding pre { margin: .3rem 0; padding: .2rem .6rem; border-left: 3px solid var(--line); border-radius: 0; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
pre code { overflow-wrap: normal; }
.diff span { display: block; min-height: 1.3em; line-height: 1.4; }
.diff .added { color: var(--yes); } .diff .removed { color: var(--no); } .diff .place { color: var(--c1); }
.gallery { display: flex; flex-wrap: wrap; gap: .8rem; }
.gallery img { image-rendering: pixelated; border: 1px solid var(--line); }
.gallery .note { margin: 0; max-width: 96px; line-height: 1.25; }
.token { display: inline-block; background: var(--panel); border-radius: 3px; padding: 0 .3rem; margin: 1px 2px 1px 0; }
.token { font-family: ui-monospace, monospace; min-width: .6rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.tokens th { white-space: nowrap; vertical-align: top; font-weight: 400; }
.tokens tbody tr:not(:last-child) > * { border-bottom: 0; }
footer h2 { font-size: 1rem; }
:focus-visible { outline: 2px solid var(--c1); }
@media (max-width: 40rem) { .tokens th { white-space: normal; width: 5rem; } }
@media (max-width: 40rem) { pre, pre code { white-space: pre-wrap; overflow-wrap: anywhere; } }
@media print { .paper { overflow: visible; } pre { white-space: pre-wrap; } }
"""
)
"""For the page of a diagnosis."""
