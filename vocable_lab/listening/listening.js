"use strict";
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
  const lines = [COLUMNS, ...rows].map(row => row.join(",") + "\n");
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
