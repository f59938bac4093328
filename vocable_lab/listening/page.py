"""The page of a listening test: sounds, questions and the script that plays, asks and writes the ratings file."""

import json
from collections.abc import Mapping
from typing import Any

from vocable.audio import Audio
from vocable.evaluate.page import data_uri, flac, shell
from vocable_lab.listening.key import REFERENCE, Key

QUESTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "mushra": {
        "quality": (
            "How good does each sound, compared with the reference?",
            "Listen for noise, distortion, muffled or unnatural sound. At least one of them is the reference itself: "
            "rate that one 100.",
        ),
        "prosody": (
            "How close is the way each is spoken to the reference?",
            "Listen for melody, rhythm, stress and pauses. Pass over the voice and the sound quality. At least one of "
            "them is the reference itself: rate that one 100.",
        ),
        "speaker": (
            "How close is the voice of each to the person in the reference?",
            "Listen for who speaks. Pass over the way it is spoken and the sound quality. At least one of them is the "
            "reference itself: rate that one 100.",
        ),
    },
    "mos": {
        "quality": (
            "How good is the quality of this speech?",
            "Judge what you hear as a whole: noise, distortion, how natural it sounds.",
        ),
        "prosody": (
            "How well does the way it is spoken match the reference?",
            "Listen for melody, rhythm, stress and pauses. Pass over the voice and the sound quality.",
        ),
        "speaker": (
            "How well does the voice match the person in the reference?",
            "Listen for who speaks. Pass over the way it is spoken and the sound quality.",
        ),
    },
}


def render(key: Key, sounds: Mapping[tuple[str, str], Audio]) -> str:
    """The page as HTML; nothing in it names a clip or a system.

    Args:
        key: All codes.
        sounds: By clip and system.
    """
    names: dict[tuple[str, str], str] = {}  # a sound goes by its first code, so it lies in the page once
    clips: dict[str, str] = {}
    screens: dict[str, dict[str, Any]] = {}
    told: dict[str, Audio] = {}
    for code, stimulus in key.stimuli.items():
        place = stimulus.clip, stimulus.system
        name = names.setdefault(place, code)
        told[name] = sounds[place]
        reference = None
        if key.kind == "mushra" or stimulus.scale != "quality":
            reference = clips.setdefault(stimulus.clip, f"r{code}")
            told[reference] = sounds[stimulus.clip, REFERENCE]
        screen = screens.setdefault(
            stimulus.trial,
            {"trial": stimulus.trial, "scale": stimulus.scale, "reference": reference, "stimuli": []},
        )
        screen["stimuli"].append({"code": code, "sound": name})
    content = {
        "test": key.test,
        "kind": key.kind,
        "scales": key.scales,
        "questions": {scale: QUESTIONS[key.kind][scale] for scale in key.scales},
        "screens": [screens[trial] for trial in sorted(screens)],
        "sounds": {name: data_uri("audio/flac", flac(told[name])) for name in sorted(told)},
    }
    block = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    body = f'{_BODY}\n<script type="application/json" id=data>{block}</script>'
    return shell("Listening test", body, style=_STYLE, script=_SCRIPT)


_BODY = """<header><p class=eyebrow>Listening test</p></header>
<noscript><p class=card>This page needs JavaScript to play the clips and take your ratings; it loads nothing from the
network.</p></noscript>
<section id=start hidden>
<h1>Listen, then rate</h1>
<p class=lead id=summary></p>
<ol class="card rules">
<li>Sit somewhere quiet and use headphones.</li>
<li>Play a clip and set the volume so that it is comfortable; then leave it.
<button type=button id=volume class=quiet>Play a clip</button></li>
<li>On each screen play every sound to its end. Then rate; you may play them again as often as you like.</li>
<li>At the end, save the ratings file and send it back.</li>
</ol>
<form id=enter class=card>
<label for=rater>Your rater id</label>
<p class=small id=rater-help>As you were given it, or any name: letters, digits, dot, dash or underscore.</p>
<div class=entry><input id=rater autocomplete=off autocapitalize=none spellcheck=false maxlength=40 required
pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" aria-describedby=rater-help><button class=go>Start</button></div>
<p class=small id=memory></p>
</form>
</section>
<section id=screen hidden aria-labelledby=question>
<div class=way><progress id=progress aria-label="Screens done"></progress><span id=count></span></div>
<h1 id=question tabindex=-1></h1>
<p class=lead id=advice></p>
<div id=sounds></div>
<div class=foot><p id=hint class=small role=status></p><button type=button id=next class=go>Next</button></div>
</section>
<section id=done hidden>
<h1 id=thanks tabindex=-1>Thank you</h1>
<p class=lead id=rated></p>
<p><button type=button id=save class=go>Save the ratings file</button></p>
<p class=small>Send the file <span id=file></span> back to whoever gave you this page.</p>
</section>"""

_STYLE = """
main { max-width: 46rem; padding-bottom: 4rem; }
[hidden] { display: none !important; }
.lead { margin-bottom: 1.5rem; }
.rules { padding-left: 2.2rem; margin: 0 0 1rem; } .rules li { margin: .45rem 0; padding-left: .2rem; }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .45rem 1.1rem; border-radius: 10px;
  border: 1px solid var(--line); background: var(--card); color: var(--ink); cursor: pointer;
  touch-action: manipulation; }
button:hover:not(:disabled) { border-color: var(--accent); }
.go { background: var(--accent); border-color: var(--accent); color: var(--card); padding: .45rem 1.6rem; }
.quiet { min-height: 2.2rem; padding: .2rem .8rem; font-size: .9rem; display: block; margin: .45rem 0 .2rem; }
button:disabled { opacity: .45; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; } h1:focus { outline: none; }
label[for=rater] { font-weight: 600; }
.entry { display: flex; flex-wrap: wrap; gap: .6rem; }
.entry input { flex: 1 1 12rem; min-width: 0; font: inherit; padding: .5rem .75rem; border-radius: 10px;
  border: 1px solid var(--soft); background: var(--page); color: var(--ink); }
#memory:empty { display: none; } #memory { margin: .7rem 0 0; }
.way { display: flex; align-items: center; gap: .9rem; margin: 0 0 1.6rem; font-size: .85rem; color: var(--soft);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
progress { flex: 1; min-width: 0; height: .45rem; appearance: none; border: 0; border-radius: 4px; overflow: hidden;
  background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }
#screen h1 { font-size: clamp(1.35rem, 4vw, 1.8rem); }
.sound { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .3rem 1.1rem; align-items: center;
  margin: 0 0 .75rem; }
.sound.reference { border-color: var(--accent); margin-bottom: 1.4rem; }
.play { min-width: 8.2rem; text-align: left; padding: .45rem .8rem; }
.play::before { content: "▶"; display: inline-block; width: 1.5rem; color: var(--accent); font-size: .85em; }
.play[aria-pressed=true] { border-color: var(--accent); } .play[aria-pressed=true]::before { content: "■"; }
.play.heard::after { content: "✓"; color: var(--soft); float: right; margin-left: .6rem; font-weight: 400; }
.about { color: var(--soft); font-size: .9rem; }
.rate { min-width: 0; } .rate .top { display: flex; align-items: center; gap: .9rem; }
input[type=range] { flex: 1; min-width: 0; width: 100%; height: 2.75rem; margin: 0; accent-color: var(--accent);
  touch-action: pan-y; cursor: pointer; }
input.unrated { accent-color: var(--soft); }
input[type=range]:disabled, .choice input:disabled { cursor: default; opacity: .45; }
output { min-width: 2.4rem; text-align: right; font-weight: 650; font-variant-numeric: tabular-nums; }
.marks { display: grid; grid-template-columns: repeat(5, 1fr); margin-right: 3.3rem; font-size: .72rem;
  color: var(--soft); text-align: center; border-top: 1px solid var(--line); padding-top: .15rem; }
.marks span + span { border-left: 1px solid var(--line); } .marks .here { color: var(--accent); font-weight: 650; }
fieldset { border: 0; margin: 1.2rem 0 0; padding: 0; display: grid; gap: .5rem; } legend { padding: 0 0 .6rem;
  font-weight: 600; }
.choice { display: flex; align-items: center; gap: .8rem; min-height: 3rem; padding: .5rem 1rem; cursor: pointer; }
.choice input { width: 1.2rem; height: 1.2rem; margin: 0; accent-color: var(--accent); }
.choice b { font-variant-numeric: tabular-nums; } .choice:has(:checked) { border-color: var(--accent); }
.choice:has(:disabled) { color: var(--soft); cursor: default; }
.foot { display: flex; align-items: center; justify-content: space-between; gap: 1rem; margin-top: 1.5rem; }
.foot p { margin: 0; } .foot button { flex: none; }
#file { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 34rem) { .sound { grid-template-columns: minmax(0, 1fr); }
  .marks { font-size: .64rem; } .marks .here { font-weight: 400; } }
"""

_SCRIPT = """"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const LABELS = ["Bad", "Poor", "Fair", "Good", "Excellent"];
const COLUMNS = ["rater", "test", "trial", "stimulus", "scale", "rating", "seconds"];
const rated = data.kind === "mushra";
let rater = "", order = [], screen = null, rows = [], players = [], ratings = new Map(), began = 0, stored = true;

const make = (tag, properties, ...inside) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
};

const place = () => `vocable listening test ${data.test} ${rater}`;
const recall = () => { try { return JSON.parse(localStorage.getItem(place())) || []; } catch { return []; } };
const remember = () => {
  try { localStorage.setItem(place(), JSON.stringify(rows)); } catch { stored = false; }
};

// Order follows from test and rater, so that a rater who comes back goes on where she stopped.
const drawing = text => {
  let state = 2166136261;
  for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
  return below => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return Math.floor(((mixed ^ mixed >>> 14) >>> 0) / 4294967296 * below);
  };
};
const shuffled = (list, draw) => {
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = draw(last + 1);
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
};

const show = id => {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== id;
  scrollTo(0, 0);
};
const allHeard = () => players.every(player => player.heard);

const stop = () => {
  for (const player of players) { player.audio.pause(); player.button.setAttribute("aria-pressed", "false"); }
};
const toggle = player => {
  const playing = players.find(other => !other.audio.paused);
  // Until all are heard each starts at its beginning; later one can change over in the middle to compare.
  const from = playing && playing !== player && allHeard() ? playing.audio.currentTime : 0;
  stop();
  if (playing === player) return;
  player.audio.currentTime = from < player.audio.duration ? from : 0;
  player.button.setAttribute("aria-pressed", "true");
  player.audio.play().catch(() => { stop(); at("hint").textContent = "This browser could not play the sound."; });
};
const addPlayer = (name, label) => {
  const audio = new Audio(data.sounds[name]);
  audio.preload = "auto";
  const button = make("button", {type: "button", className: "play", textContent: label});
  const player = {audio, button, heard: false};
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `Play ${label}`);
  button.addEventListener("click", () => toggle(player));
  audio.addEventListener("ended", () => {
    player.heard = true;
    button.classList.add("heard");
    button.setAttribute("aria-label", `Play ${label} again`);
    button.setAttribute("aria-pressed", "false");
    update();
  });
  players.push(player);
  return button;
};

const update = () => {
  const heard = allHeard();
  for (const input of at("sounds").querySelectorAll("input")) input.disabled = !heard;
  const left = screen.stimuli.length - ratings.size;
  at("next").disabled = !heard || left > 0;
  const unheard = players.filter(player => !player.heard).length;
  at("hint").textContent = !heard ? `Play ${unheard === 1 ? "one more sound" : `${unheard} more sounds`} to the end.`
    : left ? (rated ? `Rate ${left} more.` : "Choose one.") : "";
};

const slider = (stimulus, label) => {
  const input = make("input", {type: "range", min: 0, max: 100, step: 1, value: 50, disabled: true});
  input.className = "unrated";
  const output = make("output", {textContent: "–"});
  const marks = LABELS.map(name => make("span", {textContent: name}));
  const scale = make("div", {className: "marks"}, ...marks);
  scale.setAttribute("aria-hidden", "true");
  input.setAttribute("aria-label", `Rating of ${label}, from 0, bad, to 100, excellent`);
  input.setAttribute("aria-valuetext", "not rated");
  const change = () => {
    const band = Math.min(4, Math.floor(input.value / 20));
    input.classList.remove("unrated");
    ratings.set(stimulus.code, Number(input.value));
    output.textContent = input.value;
    input.setAttribute("aria-valuetext", `${input.value}, ${LABELS[band]}`);
    marks.forEach((mark, index) => mark.classList.toggle("here", index === band));
    update();
  };
  input.addEventListener("input", change);
  input.addEventListener("click", change);  // a click on the middle moves nothing, yet means 50
  return make("div", {className: "rate"}, make("div", {className: "top"}, input, output), scale);
};
const choices = stimulus => {
  const set = make("fieldset", {}, make("legend", {textContent: "Your rating"}));
  for (let value = 5; value > 0; value--) {
    const input = make("input", {type: "radio", name: "rating", value, disabled: true});
    input.addEventListener("change", () => { ratings.set(stimulus.code, value); update(); });
    set.append(make("label", {className: "card choice"}, input, make("b", {textContent: value}), LABELS[value - 1]));
  }
  return set;
};

const next = () => {
  stop();
  const finished = new Set(rows.map(row => row[2]));
  screen = order.find(one => !finished.has(one.trial));
  if (!screen) return finish();
  players = [];
  ratings = new Map();
  const [question, advice] = data.questions[screen.scale];
  at("question").textContent = question;
  at("advice").textContent = advice;
  at("progress").max = order.length;
  at("progress").value = finished.size;
  at("count").textContent = `${finished.size + 1} of ${order.length}`;
  const list = [];
  if (screen.reference) {
    list.push(make("div", {className: "card sound reference"}, addPlayer(screen.reference, "Reference"),
      make("span", {className: "about", textContent: "What the others are compared with"})));
  }
  screen.stimuli.forEach((stimulus, index) => {
    const label = rated ? String.fromCharCode(65 + index % 26) + (index < 26 ? "" : Math.floor(index / 26)) : "Sample";
    const box = make("div", {className: "card sound"}, addPlayer(stimulus.sound, label));
    box.append(rated ? slider(stimulus, label)
      : make("span", {className: "about", textContent: "What you rate"}));
    list.push(box);
    if (!rated) list.push(choices(stimulus));
  });
  at("sounds").replaceChildren(...list);
  show("screen");
  update();
  at("question").focus({preventScroll: true});
  began = performance.now();
};
const keep = () => {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  for (const {code} of screen.stimuli)
    rows.push([rater, data.test, screen.trial, code, screen.scale, ratings.get(code), seconds]);
  remember();
  next();
};

const fileName = () => `ratings-${data.test}-${rater}.csv`;
const finish = () => {
  at("rated").textContent = `All ${order.length} screens are rated.`;
  at("file").textContent = fileName();
  show("done");
  at("thanks").focus({preventScroll: true});
};
const save = () => {
  const lines = [COLUMNS, ...rows].map(row => row.join(",") + "\\n");
  const address = URL.createObjectURL(new Blob(lines, {type: "text/csv"}));
  make("a", {href: address, download: fileName()}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
};

at("volume").addEventListener("click", () => {
  if (!players.length) {
    const first = data.screens.find(one => one.reference);
    addPlayer(first ? first.reference : data.screens[0].stimuli[0].sound, "clip");
    players[0].audio.addEventListener("ended", () => { at("volume").textContent = "Play it again"; });
    screen = {stimuli: []};
  }
  toggle(players[0]);
});
at("enter").addEventListener("submit", event => {
  event.preventDefault();
  stop();
  rater = at("rater").value.trim();
  const draw = drawing(`${data.test} ${rater}`);
  order = data.scales.flatMap(scale => shuffled(data.screens.filter(one => one.scale === scale), draw))
    .map(one => ({...one, stimuli: shuffled(one.stimuli, draw)}));
  rows = recall();
  remember();
  next();
});
at("next").addEventListener("click", keep);
at("save").addEventListener("click", save);
addEventListener("beforeunload", event => { if (!stored && rows.length) event.preventDefault(); });
at("summary").textContent = `${data.screens.length} screens, each with a question and a few short sounds.`;
try { localStorage.getItem("vocable"); at("memory").textContent = "You may stop at any time: on this device and with "
  + "the same id, the page goes on where you stopped."; } catch { stored = false; }
show("start");
})();
"""
