// The grid of families: choose cells, paint them one after another, open one. Text reaches the page only through textContent.

const root = element.querySelector(".gd-root");
const turned = new Map(); // cell -> whether the person wants it; a slow family is not wanted until then

function word(key, values = {}) {
  const text = String(textsOf(props)[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function said(message) {
  if (!message) return "";
  const args = message.args ?? {};
  return word(message.key, args.method ? { ...args, method: word(`method.${args.method}`) } : args);
}

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function wanted(family, method) { return family.cells[method].able && (turned.get(`${family.name} ${method}`) ?? !family.slow); }

function chosen() {
  const cells = [];
  for (const family of props.items?.families ?? []) {
    for (const method of family.methods) if (wanted(family, method)) cells.push([family.name, method]);
  }
  return cells;
}

function address(family, method) {
  return (props.value?.cells ?? []).find((cell) => cell.family === family && cell.method === method)?.picture?.url ?? null;
}

function cellNode(family, method) {
  const cell = family.cells[method];
  const name = `${familyTitle(family, textsOf(props))}, ${word(`method.${method}`)}`;
  const made = node("div", "gd-cell");
  made.dataset.state = cell.state;
  made.dataset.cell = `${family.name} ${method}`;
  const url = address(family.name, method);
  if (url) {
    const image = node("img", "gd-image");
    image.src = url;
    image.alt = "";
    image.draggable = false;
    const open = node("button", "gd-open", image);
    open.type = "button";
    open.setAttribute("aria-label", word("grid.open", { name }));
    open.setAttribute("aria-pressed", String(cell.opened));
    open.addEventListener("click", () => trigger("open", { family: family.name, method }));
    made.append(open);
  } else {
    made.append(node("div", "gd-empty", cell.able ? word(`grid.state.${cell.state}`) : said(family.chip)));
  }
  const box = node("input", "gd-check");
  box.type = "checkbox";
  box.checked = wanted(family, method);
  box.disabled = !cell.able || Boolean(props.items?.running);
  box.addEventListener("change", () => {
    turned.set(made.dataset.cell, box.checked);
    refreshBar();
  });
  box.setAttribute("aria-label", word("grid.choose", { name }));
  const state = cell.state === "done" ? word(cell.stale ? "grid.stale" : "grid.seconds", { seconds: cell.seconds }) : url && cell.able ? word(`grid.state.${cell.state}`) : "";
  made.append(node("label", "gd-label", box, node("span", "gd-method", word(`method.${method}`)), node("span", "gd-small", state)));
  if (cell.error) made.append(node("p", "gd-error", `${said(cell.error.what)} ${said(cell.error.do)}`));
  return made;
}

const bar = node("div", "gd-bar");
const paint = node("button", "gd-button gd-primary");
paint.type = "button";
paint.addEventListener("click", () => trigger("paint", { cells: chosen() }));
const stop = node("button", "gd-button");
stop.type = "button";
stop.addEventListener("click", () => {
  stop.disabled = true;
  trigger("stop", {});
});
const status = node("span", "gd-status");
status.setAttribute("role", "status");
const meter = node("progress", "gd-meter");
meter.max = 1;
bar.append(paint, stop, status, meter);
const heading = node("h2", "gd-heading");
const intro = node("p", "gd-intro");
const list = node("div", "gd-list");
root.replaceChildren(heading, intro, bar, list);
let drawn = "";

function refreshBar() {
  const { running = false, said: message = null, fraction = 0 } = props.items ?? {};
  const count = chosen().length;
  paint.textContent = word(count === 1 ? "grid.paint_one" : "grid.paint", { count });
  paint.disabled = count === 0;
  paint.hidden = running;
  stop.textContent = word("grid.stop");
  if (!running) stop.disabled = false;
  stop.hidden = !running;
  const text = said(message);
  if (status.textContent !== text) status.textContent = text;
  meter.hidden = !running;
  meter.value = fraction;
  meter.setAttribute("aria-label", word("grid.progress"));
}

function refresh() {
  refreshBar();
  // Cells are drawn anew only when one of them changed, not with every step of the bar.
  const key = JSON.stringify([props.items?.families, props.items?.running, props.value, textsOf(props)["grid.title"]]);
  if (key === drawn) return;
  drawn = key;
  heading.textContent = word("grid.title");
  intro.textContent = word("grid.line");
  const focused = document.activeElement?.closest?.(".gd-cell")?.dataset.cell;
  const part = document.activeElement?.className;
  list.replaceChildren(...(props.items?.families ?? []).map((family) => {
    const row = node("section", "gd-family", node("h3", "gd-title", familyTitle(family, textsOf(props)), family.ready ? "" : node("span", "gd-chip", said(family.chip))));
    row.dataset.name = family.name;
    row.append(node("div", "gd-cells", ...family.methods.map((method) => cellNode(family, method))));
    return row;
  }));
  if (focused && part) list.querySelector(`[data-cell="${focused}"] .${part.split(" ")[0]}`)?.focus({ preventScroll: true });
}

watch("items", refresh);
watch("value", refresh);
watch("texts", () => { drawn = ""; refresh(); });
refresh();
