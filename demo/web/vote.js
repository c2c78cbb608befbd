// A participant's page: consent, a practice trial, the trials, thanks.
// A vote is kept by the server before the next trial shows; one that could not be sent yet waits in this browser.
"use strict";

const root = document.getElementById("vote");
const study = new URLSearchParams(location.search).get("study") || "none";
const key = `scsa.study.${study}`;
const NAMES = ["A", "B", "C"];
const GUARD = 250; // ms: a key still held from the last trial is no answer

let info = {};
let trials = [];
let memory = {}; // where the browser keeps nothing, at least until the page is left

function word(name, values = {}) {
  const text = String((info.texts ?? {})[`vote.${name}`] ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, field) => (field in values ? String(values[field]) : whole));
}

function node(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  if (tag === "button") made.type = "button";
  return made;
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? memory;
  } catch {
    return memory;
  }
}

function remember(value) {
  memory = value;
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* private windows keep nothing */ }
}

function forget() {
  memory = {};
  try {
    localStorage.removeItem(key);
  } catch { /* nothing was kept */ }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Refused extends Error {}

async function ask(path, body = undefined) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(`vote/api/${encodeURIComponent(study)}${path}`, options);
  if (answer.status >= 500) throw new Error("unavailable");
  const data = await answer.json();
  if (!answer.ok && !data.texts) throw new Refused(data.error ?? "unavailable");
  return data;
}

// Again and again where the connection or the server is away; a refusal ends it.
async function insist(path, body, say) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const found = await ask(path, body);
      say("");
      return found;
    } catch (error) {
      if (error instanceof Refused) throw error;
      say(word("again"));
      await sleep(Math.min(6000, 400 * 2 ** attempt));
    }
  }
}

function show(...children) {
  root.replaceChildren(...(info.state === "draft" ? [node("div", "banner", word("preview"))] : []), ...children);
}

function message(text, more = "") {
  const card = node("div", "card");
  card.setAttribute("role", "status");
  card.append(node("p", "", text));
  if (more) card.append(node("p", "small", more));
  show(card);
}

function refused(error) {
  const known = ["unknown", "closed", "full"].includes(error.message) ? error.message : "unavailable";
  if (known === "unknown") forget();
  message(word(known));
}

// -- consent ------------------------------------------------------------------------

function consent() {
  const card = node("div", "card");
  card.append(node("h1", "", info.title || word("title")));
  if (info.consent) card.append(node("p", "", info.consent));
  card.append(node("p", "", word("about", { trials: info.trials, minutes: Math.max(1, Math.round(info.trials * 0.2)) })));
  card.append(node("p", "small", word("stored")));
  const status = node("p", "small");
  status.setAttribute("role", "status");
  const agree = node("button", "main", word("agree"));
  agree.addEventListener("click", async () => {
    agree.disabled = true;
    try {
      const started = await insist("/start", {}, (text) => { status.textContent = text; });
      remember({ token: started.token });
      trials = started.trials;
      next();
    } catch (error) {
      refused(error);
    }
  });
  card.append(agree, status);
  show(card);
  agree.focus();
}

// -- pictures -----------------------------------------------------------------------

const loaded = new Map(); // id -> promise of a decoded picture

function picture(id) {
  if (!loaded.has(id)) {
    loaded.set(id, (async () => {
      for (let attempt = 0; ; attempt += 1) {
        const image = new Image();
        image.draggable = false;
        image.src = `vote/picture/${encodeURIComponent(study)}/${encodeURIComponent(id)}${attempt ? `?again=${attempt}` : ""}`;
        try {
          await image.decode();
          return image;
        } catch (error) {
          if (attempt === 4) {
            loaded.delete(id);
            throw error;
          }
          await sleep(400 * 2 ** attempt);
        }
      }
    })());
    loaded.get(id).catch(() => {});
  }
  return loaded.get(id);
}

function preload(from) {
  for (const trial of trials.filter((t) => !t.answered && t.number > from).slice(0, 2)) {
    for (const id of [...trial.options, trial.content, trial.style]) picture(id);
  }
}

// -- the clock: from both pictures painted, while the page can be seen ---------------

const clock = { started: 0, hidden: 0, since: null };

function startClock() {
  clock.started = performance.now();
  clock.hidden = 0;
  clock.since = document.hidden ? clock.started : null;
}

function elapsed() {
  const away = clock.hidden + (clock.since === null ? 0 : performance.now() - clock.since);
  return Math.round(performance.now() - clock.started - away);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clock.since ??= performance.now();
  } else if (clock.since !== null) {
    clock.hidden += performance.now() - clock.since;
    clock.since = null;
  }
});

const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

// -- a trial ------------------------------------------------------------------------

let answer = null; // what a key or a tap does now; null: nothing is asked

function next() {
  const trial = trials.find((t) => !t.answered);
  if (trial) ask_(trial).catch(() => message(word("no_pictures")));
  else message(info.end, word("done"));
}

async function ask_(trial) {
  const box = node("div", "trial busy");
  box.setAttribute("aria-busy", "true");
  const top = node("div", "top");
  const total = trials.length - 1;
  const count = trial.number === 0 ? node("span", "count practice", word("practice")) : node("span", "count", word("progress", { n: trial.number, total }));
  const bar = node("div", "bar");
  const fill = node("i");
  fill.style.width = `${(100 * Math.max(0, trial.number - 1)) / total}%`;
  bar.append(fill);
  top.append(count, bar);

  const question = node("div", "ask");
  const sources = node("div", "sources");
  for (const kind of ["content", "style"]) sources.append(source(kind, trial[kind]));
  const asked = node("h1", "", info.question);
  asked.tabIndex = -1;
  question.append(asked, sources);

  const status = node("p", "status");
  status.setAttribute("role", "status");
  const choices = node("div", "choices");
  const foot = node("div", "foot");
  const images = trial.options.map(() => null);
  const buttons = trial.options.map((id, k) => {
    const button = node("button", "choice");
    button.disabled = true;
    button.setAttribute("aria-label", word("choose", { name: NAMES[k] }));
    button.append(node("b", "", NAMES[k]));
    choices.append(button);
    return button;
  });
  const picks = trial.options.map((id, k) => {
    const pick = node("button", "pick", NAMES[k]);
    pick.setAttribute("aria-label", word("choose", { name: NAMES[k] }));
    return pick;
  });
  const same = info.ties ? node("button", "same", word("same")) : null;
  const flip = trial.options.length === 2 ? node("button", "flip", word("flip")) : null;
  const row = picks.length === 2 ? [picks[0], flip, same, picks[1]] : [...picks, same];
  foot.append(status, ...row.filter(Boolean));
  const hint = [word(trial.options.length === 2 ? "keys_two" : "keys_three"), info.ties ? word("keys_same") : ""].filter(Boolean).join(" · ");
  foot.append(node("p", "hint", hint));
  box.append(top, question, choices, foot);
  show(box);

  const all = [...buttons, ...picks, same].filter(Boolean);
  for (const button of all) button.disabled = true;
  (await Promise.all(trial.options.map(picture))).forEach((image, k) => {
    images[k] = image;
    image.alt = word("picture", { name: NAMES[k] });
    buttons[k].prepend(image);
  });
  await painted();
  if (!box.isConnected) return;
  box.classList.remove("busy");
  box.removeAttribute("aria-busy");
  for (const button of all) button.disabled = false;
  asked.focus({ preventScroll: true }); // a screen reader reads the question; the keys work from here
  startClock();
  preload(trial.number);

  answer = async (choice) => {
    if (performance.now() - clock.started < GUARD) return;
    answer = null;
    const vote = { number: trial.number, choice, ms: elapsed() };
    for (const button of all) button.disabled = true;
    if (choice >= 0) buttons[choice].classList.add("picked");
    remember({ ...recall(), pending: vote });
    try {
      await send(vote, (text) => { status.textContent = text; });
      trial.answered = true;
      for (const id of trial.options) loaded.delete(id);
      next();
    } catch (error) {
      refused(error);
    }
  };
  buttons.forEach((button, k) => button.addEventListener("click", () => answer?.(k)));
  picks.forEach((button, k) => button.addEventListener("click", () => answer?.(k)));
  same?.addEventListener("click", () => answer?.(-1));
  if (flip) holdToFlip(flip, buttons, images);
}

async function send(vote, say) {
  await insist("/vote", { token: recall().token, ...vote }, say);
  const { token } = recall();
  remember({ token });
}

// While held, each place shows the other picture, at the same size: small differences jump out.
function holdToFlip(button, places, images) {
  const set = (swapped) => places.forEach((place, k) => {
    const from = swapped ? 1 - k : k;
    place.prepend(images[from]);
    place.querySelector("b").textContent = NAMES[from];
  });
  const down = (event) => { event.preventDefault(); set(true); };
  const up = () => set(false);
  button.addEventListener("pointerdown", down);
  for (const kind of ["pointerup", "pointercancel", "pointerleave", "blur", "keyup"]) button.addEventListener(kind, up);
  button.addEventListener("keydown", (event) => { if ([" ", "Enter"].includes(event.key)) down(event); });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

function source(kind, id) {
  const button = node("button", "source");
  button.setAttribute("aria-label", word("enlarge", { name: word(kind) }));
  picture(id).then((image) => {
    const small = image.cloneNode();
    small.alt = "";
    button.prepend(small);
    button.addEventListener("click", () => enlarge(kind, image));
  }).catch(() => {});
  button.append(node("span", "", word(kind)));
  return button;
}

function enlarge(kind, image) {
  const dialog = node("dialog");
  const large = image.cloneNode();
  large.alt = word(kind);
  const close = node("button", "", word("close"));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target !== close) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(large, close);
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (!answer || event.repeat || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const last = (trials[0]?.options.length ?? 2) - 1;
  const keys = { 1: 0, a: 0, 2: 1, b: 1, ArrowLeft: 0, ArrowRight: last, ...(last === 2 ? { 3: 2, c: 2 } : {}), ...(info.ties ? { 0: -1 } : {}) };
  const choice = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (choice === undefined) return;
  event.preventDefault();
  answer(choice);
});

// -- opening ------------------------------------------------------------------------

async function open() {
  let lang = navigator.language;
  try {
    lang = localStorage.getItem("scsa.lang") || lang;
  } catch { /* the browser's language, then */ }
  const zh = lang.toLowerCase().startsWith("zh");
  document.documentElement.lang = zh ? "zh-CN" : "en";
  for (let attempt = 0; ; attempt += 1) {
    try {
      info = await ask(`?lang=${zh ? "zh" : "en"}`);
      break;
    } catch {
      if (attempt === 1) message("Trying again … / 正在重试 …");
      await sleep(Math.min(6000, 500 * 2 ** attempt));
    }
  }
  document.title = info.title || word("title");
  if (info.state === "unknown") {
    message(word("unknown"));
    return;
  }
  const kept = recall();
  if (kept.token) {
    try {
      if (kept.pending && info.state !== "closed") await send(kept.pending, (text) => { if (text) message(text); }).catch(() => {});
      const found = await insist("/resume", { token: recall().token }, (text) => { if (text) message(text); });
      trials = found.trials;
      if (info.state !== "closed" || found.finished) {
        next();
        return;
      }
    } catch {
      forget(); // a study deleted, or published after a preview
    }
  }
  if (info.state === "closed") message(word("closed"));
  else if (info.full) message(word("full"));
  else consent();
}

open();
