// The host's results. The secret stands behind the # of the address and goes to the server in a header only.
"use strict";

const root = document.getElementById("results");
const study = new URLSearchParams(location.search).get("study") || "none";
const secret = location.hash.slice(1);
const NAMES = ["A", "B", "C"];
let texts = {};
let shown = "";

function word(name, values = {}) {
  const text = String(texts[name.includes(".") ? name : `results.${name}`] ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, field) => (field in values ? String(values[field]) : whole));
}

function node(tag, className = "", text = null, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  if (tag === "button") made.type = "button";
  made.append(...children);
  return made;
}

const percent = (x, digits = 1) => (100 * x).toFixed(digits);

async function ask(path = "") {
  const answer = await fetch(`results/api/${encodeURIComponent(study)}${path}`, {
    method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${secret}` }, body: "{}",
  });
  if (answer.status === 404) throw new Error("lost");
  if (!answer.ok) throw new Error("away");
  return answer;
}

function panel(title, ...children) {
  const made = node("section", "panel");
  made.append(node("h2", "", title), ...children);
  return made;
}

// -- preference ---------------------------------------------------------------------

function preference(data, kind, found) {
  const box = node("div");
  box.append(node("p", "soft", word(kind)));
  if (!found || found.share === null) {
    box.append(node("p", "", "–"));
    return box;
  }
  const [low, high] = found.headline;
  box.append(node("p", "figure", `${percent(found.share)} %`));
  const track = node("div", "track");
  const band = node("i");
  band.style.left = `${100 * low}%`;
  band.style.width = `${100 * (high - low)}%`;
  const mark = node("b");
  mark.style.left = `${100 * found.share}%`;
  const chance = node("s");
  chance.style.left = `${100 * found.chance}%`;
  track.append(band, chance, mark);
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", word("share", { share: percent(found.share), low: percent(low), high: percent(high) }));
  box.append(track, node("p", "", word("share", { share: percent(found.share), low: percent(low), high: percent(high) })));
  const counts = [word("counts", { k: found.wins, n: found.decisive, ties: found.ties })];
  if (found.ties > 0 && found.half !== null) counts.push(word("half", { share: percent(found.half) }));
  box.append(node("p", "soft", counts.join("; ")));
  const ways = [["by_wilson", found.wilson], ["by_participants", found.by_participant], ["by_pairs", found.by_pair]];
  const said = ways.filter(([, v]) => v).map(([name, v]) => `${word(name)} ${percent(v[0])}–${percent(v[1])} %`);
  if (found.design_effect !== null) said.push(word("effect", { x: found.design_effect.toFixed(2) }));
  box.append(node("p", "soft", `${word("widest", { name: word(`by_${found.headline_by}`) })}. ${said.join("; ")}`));
  return box;
}

function preferences(data, names) {
  const made = panel(word("preference"));
  const all = data.all.preferences;
  if (all.length === 0) made.append(node("p", "", word("none")));
  all.forEach((everybody) => {
    // The winner is named first.
    const turned = everybody.second !== null && (everybody.share ?? 0.5) < 0.5;
    const view = (p) => (p && turned ? flipped(p) : p);
    const [first, second] = turned ? [everybody.second, everybody.first] : [everybody.first, everybody.second];
    const title = second === null ? word("best", { a: names[first] }) : word("over", { a: names[first], b: names[second] });
    const kept = data.kept.preferences.find((p) => p.first === everybody.first && p.second === everybody.second);
    made.append(node("h3", "", title), node("div", "two", null, preference(data, "kept", view(kept)), preference(data, "all", view(everybody))));
  });
  return made;
}

function flipped(p) {
  const turn = (interval) => interval && [1 - interval[1], 1 - interval[0]];
  const out = { ...p, wins: p.decisive - p.wins, share: p.share === null ? null : 1 - p.share, half: p.half === null ? null : 1 - p.half };
  for (const name of ["wilson", "by_participant", "by_pair", "headline", "half_wilson"]) out[name] = turn(p[name]);
  return out;
}

// -- tables -------------------------------------------------------------------------

function table(head, rows) {
  const made = node("table");
  const line = node("tr");
  for (const text of head) line.append(node("th", "", text));
  made.append(node("thead", "", null, line));
  const body = node("tbody");
  for (const cells of rows) {
    const row = node("tr");
    for (const cell of cells) row.append(cell instanceof Node ? cell : node("td", "", String(cell)));
    body.append(row);
  }
  made.append(body);
  return node("div", "wrap", null, made);
}

function scores(data, names) {
  const found = data.kept.scores;
  if (!data.kept.votes) return node("span");
  const rows = found.values.map(({ arm, score, interval }) => [
    names[arm], score.toFixed(2), interval ? `${interval[0].toFixed(2)} … ${interval[1].toFixed(2)}` : "–",
  ]);
  const made = panel(word("scores"), table([word("method"), word("scores"), "95 %"], rows));
  if (found.left_out.length) made.append(node("p", "soft", word("left_out", { names: found.left_out.map((k) => names[k]).join(", ") })));
  made.append(node("p", "soft", `${word("kept")}. ${word("scores_note", { pseudo: data.pseudo_votes })}`));
  return made;
}

function pairs(data, names) {
  if (!data.kept.votes) return node("span");
  const rows = data.kept.pairs.map((row) => {
    const pictures = node("td", "pictures");
    for (const role of ["content", "style", ...row.arms.map(String)]) {
      const id = (data.thumbnails[row.pair] ?? {})[role];
      if (!id) continue;
      const image = node("img");
      image.src = `vote/picture/${encodeURIComponent(study)}/${encodeURIComponent(id)}`;
      image.alt = role in names ? names[role] : "";
      image.title = image.alt;
      image.loading = "lazy";
      pictures.append(image);
    }
    const votes = row.arms.map((arm) => `${names[arm]} ${row.votes[arm]}`).join(" · ");
    const { k, n, interval } = row.first;
    const rate = n ? `${percent(k / n, 0)} % (${percent(interval.low ?? interval[0], 0)}–${percent(interval.high ?? interval[1], 0)})` : "–";
    return [pictures, data.study.pairs[row.pair], votes, row.ties, rate, (row.median_ms / 1000).toFixed(1)];
  });
  const first = data.study.arms[0]?.name ?? "";
  return panel(word("pairs"), node("p", "soft", word("kept")),
    table(["", word("pair"), word("column_votes"), word("ties"), `${first} · 95 %`, word("seconds")], rows));
}

function quality(data) {
  const { kept, exclusions } = data;
  const lines = [];
  if (kept.consistency.n) lines.push(word("consistency", { k: kept.consistency.k, n: kept.consistency.n }));
  kept.positions.forEach(({ k, n, interval }, position) => {
    if (n) lines.push(word("left", { name: NAMES[position], share: percent(k / n), low: percent(interval[0]), high: percent(interval[1]) }));
  });
  if (kept.agreement !== null) lines.push(word("alpha", { x: kept.agreement.toFixed(3) }));
  if (kept.times) {
    const seconds = (ms) => (ms / 1000).toFixed(1);
    lines.push(word("times", { median: seconds(kept.times.median), p10: seconds(kept.times.p10), p90: seconds(kept.times.p90) }));
  }
  const made = panel(word("checks"), ...lines.map((line) => node("p", "", line)));
  made.append(node("h3", "", word("rules")));
  for (const [rule, n] of Object.entries(exclusions.people)) made.append(node("p", "", word(`rule_${rule}`, { n })));
  return made;
}

// -- acting -------------------------------------------------------------------------

function button(text, act, className = "") {
  const made = node("button", className, text);
  made.addEventListener("click", act);
  return made;
}

async function save(kind) {
  const blob = await (await ask(`/${kind}`)).blob();
  const link = node("a");
  link.href = URL.createObjectURL(blob);
  link.download = `study-${study}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function remove() {
  const sheet = node("dialog");
  const cancel = button(word("cancel"), () => sheet.close());
  const sure = button(word("delete"), async () => {
    await ask("/delete");
    sheet.close();
    clearInterval(timer);
    root.replaceChildren(node("section", "panel", null, node("p", "", word("deleted"))));
  }, "danger");
  sheet.addEventListener("close", () => sheet.remove());
  sheet.append(node("p", "", word("delete_sure")), node("div", "actions", null, cancel, sure));
  document.body.append(sheet);
  sheet.showModal();
}

function link() {
  const box = node("div", "link");
  const label = node("label", "", word("vote_link"));
  const field = node("input");
  field.readOnly = true;
  field.id = "vote-link";
  label.htmlFor = field.id;
  field.value = new URL(`vote?study=${encodeURIComponent(study)}`, location.href).href;
  const copy = button(word("copy"), async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy");
    }
    copy.textContent = word("copied");
  });
  box.append(label, field, copy);
  return box;
}

function draw(data) {
  const { state, title, question, arms } = data.study;
  const names = arms.map((arm) => arm.name);
  const { started, finished, excluded } = data.participants;
  const updated = node("span", "soft", word("live", { time: new Date().toLocaleTimeString() }));
  updated.id = "updated";
  const head = node("div", "head", null, node("h1", "", title || word("title")), node("span", "tag", word(`state_${state}`)), updated);
  const people = word("people", { finished, open: started - finished, excluded });
  const actions = node("div", "actions", null, button(word("csv"), () => save("csv")), button(word("json"), () => save("json")));
  if (state === "open") actions.append(button(word("close"), () => ask("/close").then(load)));
  if (state === "closed") actions.append(button(word("reopen"), () => ask("/reopen").then(load)));
  actions.append(button(word("delete"), remove, "danger"));
  const top = node("section", "panel", null, head, node("p", "", question), node("p", "", `${people} · ${word("votes", { n: data.votes })}`), link(), actions);
  const rest = data.votes ? [preferences(data, names), scores(data, names), pairs(data, names), quality(data)] : [preferences(data, names)];
  root.replaceChildren(top, ...rest);
}

async function load() {
  try {
    const data = await (await ask()).json();
    const now = JSON.stringify(data);
    if (now !== shown) draw(data);
    else document.getElementById("updated").textContent = word("live", { time: new Date().toLocaleTimeString() });
    shown = now;
  } catch (error) {
    if (error.message === "lost") {
      clearInterval(timer);
      root.replaceChildren(node("section", "panel", null, node("p", "", word("lost"))));
    }
  }
}

let timer = 0;

async function open() {
  let lang = navigator.language;
  try {
    lang = localStorage.getItem("scsa.lang") || lang;
  } catch { /* the browser's language, then */ }
  const zh = lang.toLowerCase().startsWith("zh");
  document.documentElement.lang = zh ? "zh-CN" : "en";
  ({ texts } = await (await fetch(`results/words?lang=${zh ? "zh" : "en"}`)).json());
  document.title = word("title");
  timer = setInterval(() => { if (!document.hidden && !document.querySelector("dialog[open]")) load(); }, 5000);
  await load();
}

open();
