// The compare view: two stacked pictures, four ways to compare them, one common zoom, one line of status.
// Text reaches the page only through textContent and attributes.

const PICTURES = ["baseline", "content", "style", "previous", "kept"];
const MODES = ["split", "flip", "side", "fade"];
const BUSY = ["queued", "previewing", "rendering"];
const MAX_ZOOM = 16;
const STILL = 3000; // milliseconds without news of a render, after which the page asks
const ASKS = 10; // times that it asks for the first news of one

class Layer {
  constructor(name) {
    this.image = el("img", "cv-image", { alt: "", draggable: "false", decoding: "async" });
    this.image.hidden = true;
    this.tag = el("span", "cv-tag");
    this.view = el("div", "cv-view", {}, this.image);
    this.root = el("div", `cv-layer cv-${name}`, {}, this.view, this.tag);
    this.url = null;
    this.turn = 0;
  }

  /** Show a picture once it is decoded; the one before stays until then, and for good where decoding fails. */
  async show(url, alt) {
    this.image.alt = alt;
    if (url === this.url) return;
    this.url = url;
    const turn = ++this.turn;
    if (!url) {
      this.image.hidden = true;
      this.image.removeAttribute("src");
      return;
    }
    const next = new Image();
    next.src = url;
    try {
      await next.decode();
    } catch {
      if (turn === this.turn) this.url = null; // a later update may try it again
      return;
    }
    if (turn !== this.turn) return;
    this.image.src = url;
    this.image.hidden = false;
  }
}

class Compare {
  constructor() {
    this.texts = textsOf(props);
    this.value = {};
    this.status = {};
    this.mode = "split";
    this.against = "baseline";
    this.position = 50;
    this.fade = 50;
    this.flipped = false;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.pointers = new Map();
    this.lent = null; // {url, alt}: a result that the history lends as the kept one
    this.build();
    this.listen();
    watch("value", () => this.receive());
    watch("status", () => this.receiveStatus());
    watch("texts", () => { this.texts = textsOf(props); this.refresh(); });
    this.receive();
    this.receiveStatus();
  }

  word(key, values = {}) {
    const text = String(this.texts[key] ?? key);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  button(className, onClick) {
    const node = el("button", className, { type: "button" });
    node.addEventListener("click", onClick);
    return node;
  }

  build() {
    this.heading = el("h2", "cv-title");
    this.modeButtons = MODES.map((mode) => this.button("cv-button", () => this.setMode(mode)));
    this.modeGroup = el("div", "cv-group cv-modes", { role: "group" }, ...this.modeButtons);
    this.select = el("select", "cv-select");
    this.select.addEventListener("change", () => { this.against = this.select.value; this.refresh(); });
    this.vs = el("span", "cv-vs", { "aria-hidden": "true" });
    this.keepButton = this.button("cv-button", () => { this.lend(null); trigger("keep_now", {}); });
    this.zoomOut = this.button("cv-button cv-square", () => this.zoomBy(1 / 1.5));
    this.zoomFit = this.button("cv-button", () => this.fit());
    this.zoomIn = this.button("cv-button cv-square", () => this.zoomBy(1.5));
    this.zoomOut.textContent = "−";
    this.zoomIn.textContent = "+";
    const zoom = el("div", "cv-group", {}, this.zoomOut, this.zoomFit, this.zoomIn);
    const head = el("div", "cv-head", {}, this.heading, this.keepButton, zoom);
    const bar = el("div", "cv-bar", {}, this.modeGroup, el("label", "cv-pick", {}, this.vs, this.select));

    this.other = new Layer("other");
    this.result = new Layer("result");
    this.line = el("div", "cv-line", { "aria-hidden": "true" }, el("span", "cv-grip"));
    this.empty = el("p", "cv-empty");
    this.preview = el("span", "cv-preview");
    this.stage = el("div", "cv-stage", { role: "group", tabindex: "0" },
      this.empty, this.other.root, this.result.root, this.line, this.preview);

    this.range = el("input", "cv-range", { type: "range", min: "0", max: "100", step: "1" });
    this.flipButton = this.button("cv-button cv-hold", () => {});
    this.slot = el("div", "cv-slot", {}, this.range, this.flipButton);

    this.text = el("span", "cv-text", { role: "status" });
    this.clock = el("span", "cv-clock", { "aria-hidden": "true" });
    this.meter = el("div", "cv-meter", { "aria-hidden": "true" }, el("div", "cv-fill"));
    this.cancelButton = this.button("cv-button cv-cancel", () => trigger("cancel_now", {}));
    this.renderButton = this.button("cv-button cv-primary cv-render", () => trigger("render_now", {}));
    this.statusBar = el("div", "cv-status", {}, el("span", "cv-dot", { "aria-hidden": "true" }), this.text, this.clock,
      this.cancelButton, this.renderButton, this.meter);

    this.root = element.querySelector(".cv-root");
    this.root.replaceChildren(head, bar, this.stage, this.slot, this.statusBar);
  }

  // ------------------------------------------------------------ from Python

  receive() {
    if (overtaken(props.value, this.value)) return;
    const kept = this.value.kept?.path;
    this.value = props.value && typeof props.value === "object" ? props.value : {};
    if (this.value.kept?.path !== kept) this.lend(null); // Keep was pressed since
    if (this.value.w > 0 && this.value.h > 0) this.stage.style.setProperty("--cv-aspect", `${this.value.w} / ${this.value.h}`);
    this.refresh();
  }

  receiveStatus(status = props.status) {
    if (overtaken(status, this.status)) return;
    const before = this.status;
    this.status = status ?? {};
    this.heard = performance.now();
    const busy = BUSY.includes(this.status.state);
    if (busy && !BUSY.includes(before.state)) this.started = performance.now();
    if (!busy && BUSY.includes(before.state)) window.scsaPressed = false; // a press of Render has its answer
    this.asks = 0;
    this.watch();
    this.refreshStatus();
  }

  /** Look at the clock for as long as news is awaited. */
  watch() {
    clearInterval(this.timer);
    if (this.awaits()) this.timer = setInterval(() => this.tick(), 200);
  }

  awaits() { return BUSY.includes(this.status.state) || this.asks > 0; }

  /** A result of the history stands in for the kept one. */
  lend(lent) {
    if (this.lent) URL.revokeObjectURL(this.lent.url);
    this.lent = lent;
  }

  url(name) { return (name === "kept" ? this.lent?.url : null) ?? this.value[name]?.url ?? null; }

  otherAlt(name) {
    if (name === "kept" && this.lent) return this.lent.alt;
    return this.word(name === "previous" || name === "kept" ? `compare.${name}` : `compare.alt_${name}`);
  }

  /** What is compared with: the choice, or the first that is there. */
  shown() {
    if (this.url(this.against)) return this.against;
    return ["baseline", "content"].find((name) => this.url(name)) ?? null;
  }

  alt() {
    const { key, args = {} } = this.value.alt ?? {};
    if (!key) return this.word("compare.result");
    return this.word(key, args.method ? { ...args, method: this.word(`method.${args.method}`) } : args);
  }

  // ------------------------------------------------------------ drawing

  refresh() {
    const { root, mode } = this;
    this.heading.textContent = this.word("compare.title");
    this.modeGroup.setAttribute("aria-label", this.word("compare.modes"));
    this.modeButtons.forEach((node, i) => {
      node.textContent = this.word(`compare.${MODES[i]}`);
      node.setAttribute("aria-pressed", String(MODES[i] === mode));
    });
    this.vs.textContent = this.word("compare.versus");
    this.select.setAttribute("aria-label", this.word("compare.against"));
    this.select.replaceChildren(...PICTURES.map((name) => {
      const there = this.url(name) !== null;
      const label = this.word(`compare.${name}`);
      const option = el("option", "", { value: name }, there ? label : this.word("compare.not_yet", { name: label }));
      option.disabled = !there;
      return option;
    }));
    this.select.value = this.against;
    const names = [[this.zoomIn, "zoom_in"], [this.zoomOut, "zoom_out"], [this.zoomFit, "zoom_fit"], [this.keepButton, "keep_hint"]];
    for (const [node, key] of names) {
      node.title = this.word(`compare.${key}`);
      if (node !== this.keepButton) node.setAttribute("aria-label", node.title);
    }
    this.zoomFit.textContent = this.zoom.scale === 1 ? this.word("compare.zoom_fit") : `${Math.round(this.zoom.scale * 100)} %`;
    this.keepButton.textContent = this.word("compare.keep");
    this.keepButton.disabled = !this.url("result");
    this.stage.setAttribute("aria-label", this.word("compare.stage"));
    this.empty.textContent = this.word("compare.empty");
    this.empty.hidden = Boolean(this.url("result") || this.url("content"));

    const other = this.shown();
    this.other.show(other ? this.url(other) : null, other ? this.otherAlt(other) : "");
    this.result.show(this.url("result"), this.alt());
    this.other.tag.textContent = other ? this.word(`compare.${other}`) : "";
    this.result.tag.textContent = this.word("compare.result");
    const both = Boolean(this.url("result") && other);
    root.dataset.mode = both ? mode : "single";
    root.dataset.flipped = String(this.flipped);
    this.result.root.hidden = !this.url("result");
    this.preview.textContent = this.word("compare.preview");
    this.preview.hidden = !this.value.preview;

    const sliding = both && (mode === "split" || mode === "fade");
    this.range.hidden = !sliding;
    this.range.setAttribute("aria-label", this.word(mode === "fade" ? "compare.fade_amount" : "compare.divider"));
    this.range.value = String(mode === "fade" ? this.fade : this.position);
    this.flipButton.hidden = !(both && mode === "flip");
    this.flipButton.textContent = this.word("compare.flip_hold");
    this.flipButton.setAttribute("aria-pressed", String(this.flipped));
    root.style.setProperty("--cv-position", `${this.position}%`);
    root.style.setProperty("--cv-fade", String(this.fade / 100));
    this.applyZoom();
    this.refreshStatus();
  }

  refreshStatus() {
    const { state = "idle", key, args = {}, fraction } = this.status;
    const busy = BUSY.includes(state);
    this.statusBar.dataset.state = state;
    const text = key ? this.word(key, args) : "";
    if (this.text.textContent !== text) this.text.textContent = text; // spoken once per stage
    this.cancelButton.textContent = this.word("compare.cancel");
    this.renderButton.textContent = this.word("compare.render");
    this.cancelButton.hidden = !busy;
    this.renderButton.hidden = busy;
    this.statusBar.classList.toggle("cv-more", Boolean(this.status.busy));
    this.meter.classList.toggle("cv-unknown", busy && state === "queued");
    this.meter.firstChild.style.width = `${Math.round(100 * (busy ? fraction ?? 0 : 0))}%`;
    this.tick();
  }

  tick() {
    const busy = BUSY.includes(this.status.state);
    const seconds = busy && this.started ? (performance.now() - this.started) / 1000 : 0;
    this.clock.textContent = seconds >= 0.5 ? this.word("compare.seconds", { n: seconds.toFixed(1) }) : "";
    if (this.awaits() && performance.now() - this.heard > STILL) { // what came last may have been lost on its way
      this.heard = performance.now();
      this.asks -= 1;
      trigger("look_now", { turn: this.status.turn ?? 0 });
    } else if (!this.awaits()) clearInterval(this.timer);
  }

  setMode(mode) {
    this.mode = mode;
    this.flipped = false;
    this.refresh();
  }

  flip(on) {
    if (this.flipped === on || !this.shown()) return;
    this.flipped = on;
    this.root.dataset.flipped = String(on);
    this.flipButton.setAttribute("aria-pressed", String(on));
  }

  slide(percent) {
    const value = Math.min(100, Math.max(0, percent));
    if (this.mode === "fade") this.fade = value;
    else this.position = value;
    this.range.value = String(value);
    this.root.style.setProperty("--cv-position", `${this.position}%`);
    this.root.style.setProperty("--cv-fade", String(this.fade / 100));
  }

  // ------------------------------------------------------------ zoom

  get paneSize() {
    const box = this.result.root.hidden ? this.other.root : this.result.root;
    return { width: box.clientWidth, height: box.clientHeight };
  }

  zoomBy(factor, x = null, y = null) {
    const { width, height } = this.paneSize;
    const before = this.zoom.scale;
    const scale = Math.min(MAX_ZOOM, Math.max(1, before * factor));
    const [px, py] = [x ?? width / 2, y ?? height / 2];
    this.zoom.x = px - ((px - this.zoom.x) * scale) / before;
    this.zoom.y = py - ((py - this.zoom.y) * scale) / before;
    this.zoom.scale = scale;
    this.applyZoom(true);
  }

  fit() {
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.applyZoom(true);
  }

  pan(dx, dy) {
    this.zoom.x += dx;
    this.zoom.y += dy;
    this.applyZoom();
  }

  applyZoom(relabel = false) {
    const { width, height } = this.paneSize;
    const { scale } = this.zoom;
    this.zoom.x = Math.min(0, Math.max(width * (1 - scale), this.zoom.x));
    this.zoom.y = Math.min(0, Math.max(height * (1 - scale), this.zoom.y));
    const transform = scale === 1 ? "none" : `translate(${this.zoom.x}px, ${this.zoom.y}px) scale(${scale})`;
    for (const layer of [this.other, this.result]) layer.view.style.transform = transform;
    this.stage.classList.toggle("cv-zoomed", scale > 1);
    this.zoomOut.disabled = scale === 1;
    if (relabel) this.zoomFit.textContent = scale === 1 ? this.word("compare.zoom_fit") : `${Math.round(scale * 100)} %`;
  }

  /** A place of the pointer inside the pane it is over. */
  inPane(event) {
    const over = event.target.closest?.(".cv-layer") ?? this.result.root;
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // ------------------------------------------------------------ listening

  listen() {
    this.range.addEventListener("input", () => this.slide(Number(this.range.value)));
    this.range.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10 }[event.key];
      if (!step || !event.shiftKey) return;
      event.preventDefault();
      this.slide(Number(this.range.value) + step);
    });
    for (const [name, on] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) {
      this.flipButton.addEventListener(name, () => this.flip(on));
    }
    for (const [name, on] of [["keydown", true], ["keyup", false]]) {
      this.flipButton.addEventListener(name, (event) => {
        if (event.key === " " || event.key === "Enter") { event.preventDefault(); this.flip(on); }
      });
    }
    this.flipButton.addEventListener("blur", () => this.flip(false));
    this.listenToStage();
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.root.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "o") this.flip(false); });
    this.root.addEventListener("focusout", (event) => { if (!this.root.contains(event.relatedTarget)) this.flip(false); });
    new ResizeObserver(() => this.applyZoom()).observe(this.stage);
    this.root.addEventListener("cv-lend", ({ detail }) => {
      this.lend({ url: URL.createObjectURL(detail.file), alt: detail.alt });
      this.against = "kept";
      this.refresh();
    });
    window.addEventListener("offline", () => this.root.classList.add("cv-offline"));
    window.addEventListener("online", () => this.root.classList.remove("cv-offline"));
    const lost = () => {
      if (!this.root.isConnected) document.removeEventListener("scsa-lost", lost);
      else if (BUSY.includes(this.status.state)) this.receiveStatus({ state: "failed", key: "status.lost" }); // until Python says more
    };
    document.addEventListener("scsa-lost", lost);
    const asked = () => {
      if (!this.root.isConnected) return document.removeEventListener("scsa-asked", asked);
      this.asks = ASKS;
      this.heard = performance.now();
      this.watch();
    };
    document.addEventListener("scsa-asked", asked);
  }

  listenToStage() {
    const { stage, pointers } = this;
    let action = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const box = stage.getBoundingClientRect();
      const near = Math.abs(event.clientX - box.left - (box.width * this.position) / 100) < 28;
      const mode = this.root.dataset.mode;
      if (mode === "split" && (near || this.zoom.scale === 1)) action = "slide";
      else if (mode === "flip" && this.zoom.scale === 1) action = "flip";
      else action = "pan";
      if (pointers.size > 1) action = "pinch";
      if (action === "slide") this.slide((100 * (event.clientX - box.left)) / box.width);
      this.flip(action === "flip");
    });
    stage.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const box = stage.getBoundingClientRect();
      if (action === "slide") this.slide((100 * (event.clientX - box.left)) / box.width);
      else if (action === "pan") this.pan(event.clientX - last[0], event.clientY - last[1]);
      else if (action === "pinch") {
        const [, still] = [...pointers].find(([id]) => id !== event.pointerId) ?? [null, null];
        if (still) {
          const distance = (point) => Math.max(1, Math.hypot(point[0] - still[0], point[1] - still[1]));
          this.zoomBy(distance([event.clientX, event.clientY]) / distance(last), still[0] - box.left, still[1] - box.top);
        }
      }
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    const end = (event) => {
      pointers.delete(event.pointerId);
      if (pointers.size === 0) action = null;
      this.flip(false);
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    stage.addEventListener("dblclick", () => this.fit());
    // The page scrolls over the result until it is zoomed; Ctrl (and a trackpad's pinch) zooms from the start.
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.zoom.scale === 1) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * 0.002), ...this.inPane(event));
    }, { passive: false });
  }

  onKey(event) {
    if (event.defaultPrevented || event.target.matches("select")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onRange = event.target === this.range;
    if (event.ctrlKey || event.metaKey) {
      if (key === "+" || key === "=") this.zoomBy(1.5);
      else if (key === "-") this.zoomBy(1 / 1.5);
      else if (key === "0") this.fit();
      else return;
    } else if (event.altKey) return;
    else if (key === "o") this.flip(true);
    else if (key === "r") trigger("render_now", {});
    else if (key === "Escape") trigger("cancel_now", {});
    else if (event.target === this.stage && !onRange && key.startsWith("Arrow")) {
      const step = (event.shiftKey ? 10 : 1) * (key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1);
      const zoomed = this.zoom.scale > 1;
      if (zoomed) this.pan(key === "ArrowLeft" ? 40 : key === "ArrowRight" ? -40 : 0, key === "ArrowUp" ? 40 : key === "ArrowDown" ? -40 : 0);
      else if (key === "ArrowLeft" || key === "ArrowRight") this.slide(Number(this.range.value) + step);
      else return;
    } else return;
    event.preventDefault();
  }
}

new Compare();
