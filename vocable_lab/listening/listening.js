"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const find = id => document.getElementById(id);
const LABELS = ["Bad", "Poor", "Fair", "Good", "Excellent"];
const COLUMNS = ["rater", "test", "trial", "stimulus", "scale", "rating", "seconds"];
const isMushra = data.kind === "mushra";
let rater = "", order = [], screen = null, rows = [], players = [], ratings = new Map(), started = 0, stored = true;

const makeElement = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const storageKey = () => `vocable listening test ${data.test} ${rater}`;
const loadRows = () => { try { return JSON.parse(localStorage.getItem(storageKey())) || []; } catch { return []; } };
const storeRows = () => {
  try { localStorage.setItem(storageKey(), JSON.stringify(rows)); } catch { stored = false; }
};

// The order depends on the test and the rater alone, so that a returning rater continues where they stopped.
const makeRandom = text => {
  let state = 2166136261;
  for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
  return below => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return Math.floor(((mixed ^ mixed >>> 14) >>> 0) / 4294967296 * below);
  };
};
const shuffled = (list, random) => {
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = random(last + 1);
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
};

const showSection = id => {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== id;
  scrollTo(0, 0);
};
const allPlayed = () => players.every(player => player.played);

const stop = () => {
  for (const player of players) { player.audio.pause(); player.button.setAttribute("aria-pressed", "false"); }
};
const toggle = player => {
  const playing = players.find(other => !other.audio.paused);
  // Until all sounds were played, each starts at its beginning; later a rater can switch in the middle to compare.
  const from = playing && playing !== player && allPlayed() ? playing.audio.currentTime : 0;
  stop();
  if (playing === player) return;
  player.audio.currentTime = from < player.audio.duration ? from : 0;
  player.button.setAttribute("aria-pressed", "true");
  player.audio.play().catch(() => { stop(); find("hint").textContent = "This browser could not play the sound."; });
};
const addPlayer = (name, label) => {
  const audio = new Audio(data.sounds[name]);
  audio.preload = "auto";
  const button = makeElement("button", {type: "button", className: "play", textContent: label});
  const player = {audio, button, played: false};
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `Play ${label}`);
  button.addEventListener("click", () => toggle(player));
  audio.addEventListener("ended", () => {
    player.played = true;
    button.classList.add("played");
    button.setAttribute("aria-label", `Play ${label} again`);
    button.setAttribute("aria-pressed", "false");
    update();
  });
  players.push(player);
  return button;
};

const update = () => {
  const done = allPlayed();
  for (const input of find("sounds").querySelectorAll("input")) input.disabled = !done;
  const left = screen.stimuli.length - ratings.size;
  find("next").disabled = !done || left > 0;
  const unplayed = players.filter(player => !player.played).length;
  find("hint").textContent = !done ? `Play ${unplayed === 1 ? "one more sound" : `${unplayed} more sounds`} to the end.`
    : left ? (isMushra ? `Rate ${left} more.` : "Choose one.") : "";
};

const makeSlider = (stimulus, label) => {
  const input = makeElement("input", {type: "range", min: 0, max: 100, step: 1, value: 50, disabled: true});
  input.className = "unrated";
  const output = makeElement("output", {textContent: "–"});
  const marks = LABELS.map(name => makeElement("span", {textContent: name}));
  const scale = makeElement("div", {className: "marks"}, ...marks);
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
  return makeElement("div", {className: "rate"}, makeElement("div", {className: "top"}, input, output), scale);
};
const makeChoices = stimulus => {
  const set = makeElement("fieldset", {}, makeElement("legend", {textContent: "Your rating"}));
  for (let value = 5; value > 0; value--) {
    const input = makeElement("input", {type: "radio", name: "rating", value, disabled: true});
    input.addEventListener("change", () => { ratings.set(stimulus.code, value); update(); });
    set.append(makeElement("label", {className: "card choice"}, input, makeElement("b", {textContent: value}), LABELS[value - 1]));
  }
  return set;
};

const showNext = () => {
  stop();
  const finished = new Set(rows.map(row => row[2]));
  screen = order.find(one => !finished.has(one.trial));
  if (!screen) return finish();
  players = [];
  ratings = new Map();
  const [question, advice] = data.questions[screen.scale];
  find("question").textContent = question;
  find("advice").textContent = advice;
  find("progress").max = order.length;
  find("progress").value = finished.size;
  find("count").textContent = `${finished.size + 1} of ${order.length}`;
  const list = [];
  if (screen.reference) {
    list.push(makeElement("div", {className: "card sound reference"}, addPlayer(screen.reference, "Reference"),
      makeElement("span", {className: "about", textContent: "What the others are compared with"})));
  }
  screen.stimuli.forEach((stimulus, index) => {
    const label = isMushra ? String.fromCharCode(65 + index % 26) + (index < 26 ? "" : Math.floor(index / 26)) : "Sample";
    const box = makeElement("div", {className: "card sound"}, addPlayer(stimulus.sound, label));
    box.append(isMushra ? makeSlider(stimulus, label)
      : makeElement("span", {className: "about", textContent: "What you rate"}));
    list.push(box);
    if (!isMushra) list.push(makeChoices(stimulus));
  });
  find("sounds").replaceChildren(...list);
  showSection("screen");
  update();
  find("question").focus({preventScroll: true});
  started = performance.now();
};
const storeScreen = () => {
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  for (const {code} of screen.stimuli)
    rows.push([rater, data.test, screen.trial, code, screen.scale, ratings.get(code), seconds]);
  storeRows();
  showNext();
};

const fileName = () => `ratings-${data.test}-${rater}.csv`;
const finish = () => {
  find("rated").textContent = `All ${order.length} screens are rated.`;
  find("file").textContent = fileName();
  showSection("done");
  find("thanks").focus({preventScroll: true});
};
const saveFile = () => {
  const lines = [COLUMNS, ...rows].map(row => row.join(",") + "\n");
  const address = URL.createObjectURL(new Blob(lines, {type: "text/csv"}));
  makeElement("a", {href: address, download: fileName()}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
};

find("volume").addEventListener("click", () => {
  if (!players.length) {
    const first = data.screens.find(one => one.reference);
    addPlayer(first ? first.reference : data.screens[0].stimuli[0].sound, "clip");
    players[0].audio.addEventListener("ended", () => { find("volume").textContent = "Play it again"; });
    screen = {stimuli: []};
  }
  toggle(players[0]);
});
find("enter").addEventListener("submit", event => {
  event.preventDefault();
  stop();
  rater = find("rater").value.trim();
  const random = makeRandom(`${data.test} ${rater}`);
  order = data.scales.flatMap(scale => shuffled(data.screens.filter(one => one.scale === scale), random))
    .map(one => ({...one, stimuli: shuffled(one.stimuli, random)}));
  rows = loadRows();
  storeRows();
  showNext();
});
find("next").addEventListener("click", storeScreen);
find("save").addEventListener("click", saveFile);
addEventListener("beforeunload", event => { if (!stored && rows.length) event.preventDefault(); });
find("summary").textContent = `${data.screens.length} screens, each with a question and a few short sounds.`;
try { localStorage.getItem("vocable"); find("memory").textContent = "You may stop at any time. On this device and with "
  + "the same id, the page continues where you stopped."; } catch { stored = false; }
showSection("start");
})();
