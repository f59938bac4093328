"""Style and script of the report card; the page can be read without the script."""

STYLE = """
:root { --hue0: #0072b2; --hue1: #c25400; --hue2: #007f5c; --hue3: #a8447f; --hue4: #8a5d00; --other: #6b6773;
  --alarm: #a4161a; --alarm-back: #fdecea; }
@media (prefers-color-scheme: dark) {
  :root { --hue0: #5db7f0; --hue1: #ff9152; --hue2: #3fcb9e; --hue3: #ea9fcc; --hue4: #f0bf4a; --other: #a9a4b3;
    --alarm: #ff9b93; --alarm-back: #3a1a1d; } }
html { scroll-padding-top: 1rem; } main { max-width: 80rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1.4rem 0 0; }
nav a { font-size: .85rem; padding: .25rem .7rem; border: 1px solid var(--line); border-radius: 99px; color: inherit;
  text-decoration: none; background: var(--card); } nav a:hover { border-color: var(--accent); }
.alarm { background: var(--alarm-back); border: 2px solid var(--alarm); border-radius: 14px; padding: .9rem 1.1rem;
  margin: 1.5rem 0 0; } .alarm h2 { color: var(--alarm); margin: 0 0 .4rem; }
.alarm ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.tiles { background: var(--card); grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.tiles div { box-shadow: 0 0 0 1px var(--line); } .about { margin: 1.75rem 0 0; overflow-wrap: anywhere; }
.about + .tiles { margin-top: .6rem; } .tiles dd.range { font-size: .8rem; font-weight: 400; letter-spacing: 0;
  color: var(--soft); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.key { list-style: none; padding: 0; margin: 0 0 .8rem; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem;
  font-size: .9rem; } .key svg { vertical-align: -.15rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
.plots figure + figure { margin: 0; } .plot { padding: .8rem .7rem .4rem; }
.plot svg { width: 100%; height: auto; display: block; overflow: visible; }
.plot figcaption { margin: 0 0 .2rem .2rem; } .plot figcaption span { font-size: .82rem; }
.plot text { font: 11px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot .mid { text-anchor: middle; } .plot .end { text-anchor: end; }
.grid { stroke: var(--line); fill: none; } .anchors path { stroke: var(--soft); stroke-dasharray: 1 3; fill: none; }
.plot text.anchor { font-style: italic; }
.hue0 { --hue: var(--hue0); } .hue1 { --hue: var(--hue1); } .hue2 { --hue: var(--hue2); } .hue3 { --hue: var(--hue3); }
.hue4 { --hue: var(--hue4); } .other { --hue: var(--other); }
.line { fill: none; stroke: var(--hue); stroke-width: 2; } .other .line { stroke-width: 1.2; stroke-dasharray: 4 3; }
.bars { fill: none; stroke: var(--hue); stroke-width: 1.2; opacity: .75; }
.mark { fill: var(--hue); stroke: var(--hue); stroke-width: 1.6; stroke-linejoin: round; }
.other .mark { fill: var(--card); } .plot text.name { fill: var(--hue); font-weight: 600; }
.plot text.other { font-weight: 400; }

.wide { position: relative; } .wide table { font-size: .88rem; }
.wide th, .wide td { vertical-align: top; padding: .5rem .7rem; white-space: nowrap; }
.wide small { display: block; font-weight: 400; font-size: .76rem; color: var(--soft); }
.wide tbody th { position: sticky; left: 0; background: var(--card); z-index: 1; white-space: normal; min-width: 7.5rem;
  max-width: 15rem; overflow-wrap: anywhere; }
.wide thead th { vertical-align: bottom; line-height: 1.3; } .wide thead th:first-child { position: sticky; left: 0;
  background: var(--card); z-index: 1; }
.wide td.said { white-space: normal; min-width: 8rem; } .said { font-style: italic; }
.best { color: var(--accent); } .best::before { content: "★ "; font-size: .7em; vertical-align: .15em; }
.none { color: var(--soft); } .anchor th, .anchor td { color: var(--soft); }
.matrix td[style] { background: color-mix(in srgb, var(--hue0) calc(var(--heat) * 42%), transparent); }
.matrix td[style] small { color: inherit; opacity: .8; }
.sortable button { all: unset; cursor: pointer; display: inline-block; } .sortable button:hover { color: var(--ink); }
.sortable button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.sortable [aria-sort] { color: var(--accent) !important; font-weight: 600; }
.sortable button .way::after { content: "▾"; opacity: 0; } .sortable button:hover .way::after { opacity: .5; }
.sortable [aria-sort=ascending] .way::after { content: "▴"; } .sortable [aria-sort] button .way::after { opacity: 1; }
.hint { display: none; } .js .hint { display: inline; }
.use th, .use td { white-space: normal; } .use .wide tbody th { min-width: 0; }

details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; padding: .3rem 0; overflow-wrap: anywhere; }
details > .wide, details > .facts, details > pre { margin-top: .4rem; }
.choice label { font-size: .9rem; color: var(--soft); }
.choice select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .35rem .6rem; margin-left: .4rem; max-width: 100%; }
.chosen > summary { display: none; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1rem; overflow-x: auto;
  font-size: .8rem; margin: 0; } code { font-size: .88em; overflow-wrap: anywhere; }
.plain { padding-left: 1.2rem; overflow-wrap: anywhere; } .plain li { margin: .2rem 0; }

.sample + .sample { margin-top: 2.2rem; } .facts-line { font-size: .9rem; color: var(--soft); overflow-wrap: anywhere; }
.facts-line b { font-weight: 500; color: var(--ink); } q { font-style: italic; }
.three { grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); } .three figure + figure { margin: 0; }
.three figure { display: grid; grid-template-rows: 1fr auto auto; }
.others { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); gap: .5rem 1rem;
  margin-top: .7rem; } .heard p { margin: 0; font-size: .85rem; overflow-wrap: anywhere; }
.heard span { color: var(--soft); } .heard audio { margin-top: .15rem; }
.clips { padding-left: 1.6rem; } .clips > li { padding: .7rem 0; border-top: 1px solid var(--line); }
.clip { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 1.5rem; }
.clips > li::marker { color: var(--soft); font-size: .85rem; } .clips .facts-line, .clips .others { margin: 0 0 .3rem; }
.pictures img { max-width: 100%; height: auto; border-radius: 6px; background: #fff; }
.pictures figure + figure { margin-top: 1rem; }
@media (max-width: 40rem) {
  .tiles { grid-template-columns: repeat(2, 1fr); } .wide table { font-size: .8rem; }
  .wide th, .wide td { padding: .45rem .5rem; } .wide tbody th { min-width: 6.2rem; max-width: 8.5rem; }
  .use th:nth-child(2), .use td:nth-child(2), .use th:nth-child(4), .use td:nth-child(4) { display: none; }
  .bar { display: block; width: 100%; min-width: 5rem; margin: .4rem 0 .2rem; } .clips { padding-left: 1.2rem; } }
"""

SCRIPT = """"use strict";
document.documentElement.classList.add("js");
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const words = head.dataset.kind === "text";
    button.addEventListener("click", () => {
      const turned = { ascending: "descending", descending: "ascending" }[head.getAttribute("aria-sort")];
      const order = turned || head.dataset.first || "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [here, there] = [a, b].map((row) => row.cells[at].dataset.v || "");
        if (here === "" || there === "") return (here === "") - (there === "");
        return sign * (words ? here.localeCompare(there, "en", { numeric: true }) : here - there);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
for (const choice of document.querySelectorAll(".choice")) {
  const panels = [...choice.children];
  const label = document.createElement("label"), select = document.createElement("select");
  label.append(choice.dataset.label, " ", select);
  panels.forEach((panel) => {
    panel.classList.add("chosen");
    select.add(new Option(panel.querySelector("summary").textContent));
  });
  const show = () => panels.forEach((panel, at) => {
    panel.hidden = at !== select.selectedIndex;
    panel.open = !panel.hidden;
  });
  select.addEventListener("change", show);
  show();
  choice.prepend(label);
}
for (const again of document.querySelectorAll(".again")) {
  const player = again.querySelector("audio");
  player.src = document.getElementById(player.dataset.same).src;
  player.hidden = false;
  again.querySelector("a").hidden = true;
}
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
"""
