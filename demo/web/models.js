// The list of models: state, licence, source, and fetching with a bar. Text reaches the page only through textContent.

const root = element.querySelector(".mo-root");

function word(key, values = {}) {
  const text = String(textsOf(props)[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function said(message) { return message ? word(message.key, message.args ?? {}) : ""; }

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function link(address, text) {
  const made = node("a", "mo-link", text);
  if (/^https:\/\//.test(address)) made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function button(className, text, action) {
  const made = node("button", `mo-button ${className}`, text);
  made.type = "button";
  made.addEventListener("click", () => {
    made.disabled = true;
    action();
  });
  return made;
}

function bar(model) {
  const meter = node("progress", "mo-meter");
  meter.max = 1;
  meter.value = model.busy.fraction;
  meter.setAttribute("aria-label", word("models.progress", { model: familyTitle(model, textsOf(props)) }));
  const stop = button("mo-stop", word(model.busy.stopping ? "models.stopping" : "models.stop"), () => trigger("stop", { family: model.name }));
  stop.disabled = model.busy.stopping;
  return node("div", "mo-busy", meter, node("span", "mo-small", said(model.busy.said)), stop);
}

function files(model) {
  const list = node("ul", "mo-files");
  for (const file of model.files) {
    const state = word(file.here ? "models.file_here" : file.direct ? "models.file_not" : "models.file_hand");
    const known = [said(file.size), state, ...(file.spare ? [word("models.file_spare")] : [])].join(" · ");
    const item = node("li", file.here ? "mo-file mo-here" : "mo-file", node("code", "", file.name), node("span", "mo-small", known));
    if (!file.here) item.append(link(file.page, word("models.source")));
    if (file.fetch && !file.wanted && !model.busy) {
      item.append(button("mo-minor", word("models.fetch_this"), () => trigger("fetch", { family: model.name, file: file.name })));
    }
    list.append(item);
  }
  return list;
}

function card(model) {
  const head = node("div", "mo-head", node("h3", "mo-title", familyTitle(model, textsOf(props))), node("span", "mo-chip", said(model.chip)));
  const made = node("li", "mo-card", head);
  made.dataset.name = model.name;
  made.dataset.status = model.status;
  if (model.line) made.append(node("p", "mo-line", said(model.line)));
  if (model.reason) made.append(node("p", "mo-reason", word("models.why", { reason: model.reason })));
  if (model.status === "hand") made.append(node("p", "mo-reason", word("models.by_hand", { folder: model.files[0]?.folder ?? "" })));
  if (model.locked) made.append(node("p", "mo-reason", word("models.locked")));
  if (model.failure) {
    const box = node("div", "mo-failure", node("p", "", said(model.failure.what)), node("p", "", said(model.failure.do)));
    if (model.failure.what.key === "models.stopped") box.classList.add("mo-stopped");
    else box.setAttribute("role", "alert");
    made.append(box);
  }
  if (model.busy) made.append(bar(model));
  else if (model.fetch) made.append(button("mo-fetch", said({ key: "models.fetch", args: model.chip.args }), () => trigger("fetch", { family: model.name })));
  const facts = node("p", "mo-facts", word("models.licence", { licence: said(model.licence) }));
  if (model.page) facts.append(" · ", link(model.page, word("models.source")));
  if (model.alphas.length > 0) facts.append(" · ", word("models.defaults", { alpha1: model.alphas[0], alpha2: model.alphas[1] }));
  made.append(facts);
  if (model.files.length > 0) {
    const details = node("details", "mo-details", node("summary", "", word("models.files")), files(model));
    details.open = opened.has(model.name) || model.status === "hand";
    details.addEventListener("toggle", () => (details.open ? opened.add(model.name) : opened.delete(model.name)));
    made.append(details);
  }
  return made;
}

const opened = new Set();
let shown = new Map();

/** Cards that are unchanged stay in place: a bar's progress takes no focus from elsewhere. */
function refresh() {
  const list = node("ul", "mo-list");
  const next = new Map();
  for (const model of props.items ?? []) {
    const key = JSON.stringify([model, textsOf(props)["models.title"]]);
    const old = shown.get(model.name);
    next.set(model.name, old?.key === key ? old : { key, node: card(model) });
    list.append(next.get(model.name).node);
  }
  const focused = document.activeElement?.closest?.(".mo-card")?.dataset.name;
  shown = next;
  const look = button("mo-minor mo-look", word("models.refresh"), () => trigger("look", {}));
  root.replaceChildren(node("h2", "mo-heading", word("models.title")), node("p", "mo-intro", word("models.line")), list, look);
  if (focused) shown.get(focused)?.node.querySelector("button:not(:disabled), summary, a")?.focus({ preventScroll: true });
}

watch("items", refresh);
watch("texts", refresh);
refresh();
