// The tool bar and the keys: each key is also a button or a menu entry.

/** The tool bar: {root, refresh()}. */
function buildToolbar(app) {
  const { words } = app;
  const root = el("div", "sp-toolbar", { role: "toolbar" });
  words.attribute(root, "aria-label", "tools");
  const tools = new Map();
  const toolGroup = el("div", "sp-group");
  for (const [name, key] of TOOLS) {
    const node = button(words, name, name, { key, onClick: () => app.setTool(name) });
    node.dataset.tool = name;
    tools.set(name, node);
    toolGroup.append(node);
  }

  const slider = (key, label, min, max, step, set) => {
    const input = el("input", "sp-range", { type: "range", min, max, step });
    words.attribute(input, "aria-label", label);
    const output = el("output", "sp-value");
    input.addEventListener("input", () => set(Number(input.value)));
    return { node: el("label", "sp-slider", {}, words.text(el("span", "sp-word"), key), input, output), input, output };
  };
  // A number that can be typed instead of an output, for exact values.
  const numbered = (key, label, numberLabel, min, max, limits, set, setNumber) => {
    const { node, input, output } = slider(key, label, min, max, 1, set);
    const number = el("input", "sp-number", { type: "number", inputmode: "numeric", step: 1, ...limits });
    words.attribute(number, "aria-label", numberLabel);
    number.addEventListener("change", () => setNumber(Number(number.value)));
    output.replaceWith(number);
    return { node, input, number };
  };
  const check = (key, hint, get, set) => {
    const input = el("input", "", { type: "checkbox" });
    input.addEventListener("change", () => { set(input.checked); refresh(); });
    const node = el("label", "sp-check", {}, input, words.text(el("span", "sp-word"), key));
    words.attribute(node, "title", hint);
    return { node, refresh: () => { input.checked = get(); } };
  };
  // The slider moves by ratio: 1 to 200 px with fine steps where they matter.
  const size = numbered("size", "size_label", "size_number", 0, 100, { min: 1, max: 200 }, (t) => app.setSize(200 ** (t / 100)), (n) => app.setSize(n));
  size.node.classList.add("sp-for-size");
  const edge = check("edges", "edges_hint", () => app.edges.on, (on) => { app.edges.on = on; });
  const { fill } = app.gestures;
  const tolerance = numbered("tolerance", "tolerance", "tolerance_number", 1, 100, { min: 1, max: 100 },
    (value) => { app.setTolerance(value); fill.follow(); }, (value) => { app.setTolerance(value); fill.follow(); fill.keep(); });
  tolerance.input.addEventListener("change", () => fill.keep());
  words.attribute(tolerance.node, "title", "tolerance_hint");
  const pressure = check("pressure", "pressure_hint", () => app.pressure, (on) => { app.pressure = on; });
  const penOnly = check("pen_only", "pen_only_hint", () => app.penOnly, (on) => { app.penOnly = on; });
  const opacity = slider("opacity", "opacity_label", 0, 100, 5, (value) => { app.opacity = value / 100; app.relight(); refresh(); });

  const undo = button(words, "undo", "undo", { compact: true, onClick: () => app.undo() });
  const redo = button(words, "redo", "redo", { compact: true, onClick: () => app.redo() });
  undo.setAttribute("aria-keyshortcuts", "Control+Z");
  redo.setAttribute("aria-keyshortcuts", "Control+Shift+Z");
  const hide = button(words, "hide", "hide", { compact: true, key: "H", onClick: () => app.setHidden(!app.hidden) });
  const clear = button(words, "clear_all", "clear", { hint: "clear_all_hint", onClick: () => app.clearMaps(SIDES) });
  root.append(toolGroup, el("div", "sp-group sp-options", {}, size.node, edge.node, tolerance.node, pressure.node, penOnly.node),
    el("div", "sp-group", {}, undo, redo), el("div", "sp-group", {}, opacity.node, hide), el("div", "sp-group", {}, clear));

  // Arrow keys walk along the buttons, as in any tool bar.
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.target.tagName !== "BUTTON") return;
    const all = [...root.querySelectorAll("button:not(:disabled)")];
    all[(all.indexOf(event.target) + step + all.length) % all.length].focus();
    event.preventDefault();
  });

  const history = (node, entry, key, none) => {
    node.setAttribute("aria-disabled", String(!entry));
    const text = entry ? words.get(key, { step: app.step(entry) }) : words.get(none);
    node.title = text;
    node.setAttribute("aria-label", text);
  };
  function refresh() {
    for (const [name, node] of tools) node.setAttribute("aria-pressed", String(name === app.tool));
    const sized = app.tool in app.sizes;
    size.node.hidden = !sized;
    size.input.value = String(Math.round((Math.log(app.size) / Math.log(200)) * 100));
    size.number.value = String(app.size);
    size.input.setAttribute("aria-valuetext", `${app.size} px`);
    edge.node.hidden = app.tool !== "fill";
    pressure.node.hidden = !app.penSeen || !sized;
    penOnly.node.hidden = !app.penSeen;
    for (const each of [edge, pressure, penOnly]) each.refresh();
    tolerance.node.hidden = app.tool !== "fill" || !app.edges.on;
    tolerance.input.value = tolerance.number.value = String(app.edges.tolerance);
    opacity.input.value = String(Math.round(app.opacity * 100));
    opacity.output.textContent = `${Math.round(app.opacity * 100)} %`;
    hide.setAttribute("aria-pressed", String(app.hidden));
    history(undo, app.stack.nextUndo, "undo_step", "nothing_to_undo");
    history(redo, app.stack.nextRedo, "redo_step", "nothing_to_redo");
  }
  words.bind(() => { if (app.toolbar) refresh(); });
  return { root, refresh };
}

const TOOL_KEYS = { b: "brush", e: "eraser", l: "lasso" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_STEP = 40;

function onKey(app, event) {
  const { target } = event;
  if (event.defaultPrevented || event.isComposing) return;
  if (target.matches("input[type=text], input[type=number], textarea, select, [contenteditable]")) return;
  const pane = app.panes.find((each) => each.canvas === target) ?? null;
  if (keyAction(app, event, pane)) {
    event.preventDefault();
    event.stopPropagation();
  }
}

/** True when the key did something. */
function keyAction(app, event, pane) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shown = pane ?? app.active;
  const middle = { x: shown.width / 2, y: shown.height / 2 };
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") { if (event.shiftKey) app.redo(); else app.undo(); }
    else if (key === "y") app.redo();
    else if (key === "+" || key === "=") shown.zoomBy(1.5, middle);
    else if (key === "-") shown.zoomBy(1 / 1.5, middle);
    else if (key === "0") shown.fit();
    else if (ARROWS[key] && pane) shown.panBy(-ARROWS[key][0] * PAN_STEP, -ARROWS[key][1] * PAN_STEP);
    else return false;
    return true;
  }
  if (event.altKey && key !== "Alt") return false;
  if (pane && canvasKey(app, event, pane, key)) return true;
  const onButton = event.target.matches("button, input");
  if (key === "Escape") { if (!app.gestures.cancel()) app.send("cancel_now", {}); return true; }
  if (key === "Enter" && app.gestures.lasso && !onButton) { app.gestures.closeLasso(); return true; }
  if (key === "F2") { app.legend.rename(app.region); return true; }
  if (/^[0-9]$/.test(key)) {
    const id = app.order[Number(key)];
    if (id !== undefined) app.selectRegion(id);
    else app.say(app.words.get("said_no_region", { n: key }));
    return true;
  }
  if (event.repeat && !["[", "]", ".", ","].includes(key)) return key === "h";
  if (key === "f") app.setTool("fill");
  else if (TOOL_KEYS[key]) app.setTool(TOOL_KEYS[key]);
  else if (key === "[") app.setSize(Math.min(app.size - 1, app.size / 1.15));
  else if (key === "]") app.setSize(Math.max(app.size + 1, app.size * 1.15));
  else if (key === ".") app.reshape("grow");
  else if (key === ",") app.reshape("shrink");
  else if (key === "h") { app.holdingHide = !app.hidden; app.setHidden(true); }
  else if (key === "x") app.swap();
  else if (key === "m") { if (!app.legend.mergeSelect.disabled) app.legend.mergeSelect.focus(); }
  else if (key === "r") app.send("render_now", {});
  else if (key === "Alt" && pane) return true; // keeps the browser's menu bar away while picking
  else return false;
  return true;
}

/** Keys that mean something only on a picture. */
function canvasKey(app, event, pane, key) {
  if (!pane.filled) return false;
  const { gestures } = app;
  if (app.handler()?.key(pane, key, event)) return true;
  if (ARROWS[key]) {
    const step = event.shiftKey ? 10 : 1;
    gestures.moveCrosshair(pane, ARROWS[key][0] * step, ARROWS[key][1] * step);
  } else if (key === " ") {
    if (gestures.hover?.pane === pane && !pane.crosshair) gestures.spaceHeld = true;
    else gestures.actAtCrosshair(pane);
    pane.canvas.classList.toggle("sp-panning", gestures.spaceHeld);
  } else if (key === "Backspace" && gestures.lasso) gestures.forgetCorner();
  else if (key === "f" && pane.crosshair && !event.repeat) {
    app.fillAt(pane, pane.crosshair);
  } else return false;
  return true;
}

function onKeyUp(app, event) {
  if (event.key === " ") {
    app.gestures.spaceHeld = false;
    app.gestures.endKeyStroke();
    for (const pane of app.panes) pane.canvas.classList.remove("sp-panning");
  }
  if (event.key.toLowerCase() === "h" && app.holdingHide) {
    app.holdingHide = false;
    app.setHidden(false);
  }
}

function releaseKeys(app) {
  app.gestures.spaceHeld = false;
  app.gestures.endKeyStroke();
  if (app.holdingHide) app.setHidden(false);
  app.holdingHide = false;
}
