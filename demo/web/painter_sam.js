// The selection tool: clicks and boxes become an area, shown before anything is kept.
// With Segment Anything Python answers every question with a mask; without it the built-in segmenter's areas are
// here once and every click is answered on the spot.

TOOLS.push(["select", "S"]);
TOOL_KEYS.s = "select";
ICONS.select = "M4 4h3M13 4h3v3M16 13v3h-3M7 16H4v-3M4 7V4M10 7v6M7 10h6";
const ASK_AFTER_MS = 90; // the pointer rests this long before it asks
const ANSWER_WITHIN_MS = 30000;
const BOX_SLACK = 6; // CSS pixels of a drag that is still a click

class Selection {
  constructor(app) {
    this.app = app;
    this.tool = "select";
    this.place = "tools";
    this.adding = true;
    this.grounds = { content: null, style: null }; // what answers clicks on a picture: {path, kind, …}
    this.turn = 0;
    this.asked = null;
    this.layers = new Map(app.panes.map((pane) => {
      const canvas = el("canvas", "sp-selection", { "aria-hidden": "true" });
      pane.canvas.after(canvas);
      return [pane, canvas];
    }));
    this.forget();
    this.buildBar();
    app.watch("selection", () => this.receive(app.props.selection));
  }

  forget() {
    this.pane = null;
    this.clicks = []; // {x, y, positive, level}
    this.box = null;
    this.mask = null; // of clicks and box
    this.hint = null; // {pane, mask} under the pointer
    this.start = null;
  }

  buildBar() {
    const { words } = this.app;
    const sign = (name, key, hint, on) => {
      const node = button(words, key, name, { hint, onClick: () => { this.adding = on; this.refresh(); } });
      node.dataset.action = key;
      return node;
    };
    this.plus = sign("plus", "select_add", "select_add_hint", true);
    this.minus = sign("minus", "select_remove", "select_remove_hint", false);
    this.larger = button(words, "select_larger", null, { key: "+", onClick: () => this.grow(1) });
    this.smaller = button(words, "select_smaller", null, { key: "-", onClick: () => this.grow(-1) });
    this.keepButton = button(words, "select_keep", null, { key: "Enter", onClick: () => this.keep() });
    this.dropButton = button(words, "select_drop", null, { key: "Esc", hint: "select_drop_hint", onClick: () => this.cancel() });
    this.keepButton.dataset.action = "select_keep";
    this.dropButton.dataset.action = "select_drop";
    this.note = el("span", "sp-select-note", { role: "status" });
    this.get = button(words, "select_get", null, { className: "sp-link sp-select-get", onClick: () => this.openModels() });
    this.root = el("div", "sp-toolbar sp-select-bar", { role: "group" },
      el("div", "sp-group", {}, this.plus, this.minus), el("div", "sp-group", {}, this.smaller, this.larger),
      el("div", "sp-group", {}, this.keepButton, this.dropButton), this.note, this.get);
    words.attribute(this.root, "aria-label", "select_tools");
    this.root.hidden = true;
  }

  openModels() {
    document.querySelector("#tabs button[role=tab][data-tab-id=models]")?.click();
  }

  // ------------------------------------------------------------ what answers

  /** What answers clicks on a pane's picture; asks for it where it is not there yet. */
  ground(pane) {
    const path = pane.side.picture?.path ?? null;
    const found = this.grounds[pane.name];
    if (found && found.path === path && found.w === pane.side.w && found.h === pane.side.h) return found;
    if (!path || !pane.filled) return null;
    this.grounds[pane.name] = { path, w: pane.side.w, h: pane.side.h, kind: "waiting", percent: null };
    this.ask(pane, { open: true });
    return this.grounds[pane.name];
  }

  question(pane, fields) {
    const { side } = pane;
    return { n: ++this.turn, side: pane.name, path: side.picture.path, w: side.w, h: side.h, clicks: [], box: null, open: false, ...fields };
  }

  /** Send a question; one that comes while another is open waits, and a newer one takes its place. */
  ask(pane, fields) {
    const question = this.question(pane, fields);
    const open = this.asked && performance.now() - this.asked.at < ANSWER_WITHIN_MS;
    if (open && !question.open) {
      this.next = question;
      return question.n;
    }
    this.asked = { n: question.n, at: performance.now(), hover: fields.hover ?? false };
    this.app.trigger("select", question);
    return question.n;
  }

  /** An answer: {n, side, path, state, …}. */
  async receive(answer) {
    if (!answer || typeof answer !== "object") return;
    const ground = this.grounds[answer.side];
    const fits = ground && ground.path === answer.path;
    if (answer.state === "reading") {
      if (fits) ground.percent = answer.percent;
      if (this.asked?.n === answer.n) this.asked.at = performance.now();
      return this.refresh();
    }
    if (this.asked?.n === answer.n) this.asked = null;
    const pane = this.app.paneOf(answer.side);
    if (fits && answer.state === "failed") ground.kind = "failed";
    else if (fits && answer.state === "sam") ground.kind = "sam";
    else if (fits && answer.state === "areas") {
      const labels = await inflate(fromBase64(answer.map), ground.w * ground.h);
      Object.assign(ground, { kind: "areas", labels, merges: answer.merges, missing: answer.missing ?? null });
    } else if (fits && answer.state === "mask") {
      const mask = await inflate(fromBase64(answer.map), ground.w * ground.h);
      if (answer.n === this.wanted) this.show(pane, mask);
      else if (answer.n === this.hovered && this.app.tool === this.tool) this.hint = { pane, mask };
    }
    if (this.next && !this.asked) {
      const question = this.next;
      this.next = null;
      this.asked = { n: question.n, at: performance.now() };
      this.app.trigger("select", question);
    }
    this.redraw();
    this.refresh();
  }

  // ------------------------------------------------------------ areas of the built-in segmenter

  /** The area at a click: its cluster after `level` merges, as far as it is connected. */
  area(ground, { x, y, level }) {
    const { labels, merges, w, h } = ground;
    const at = Math.floor(y) * w + Math.floor(x);
    const leaf = labels[at];
    let members = new Set([leaf]);
    let grown = 0;
    const clusters = new Map(); // kept id -> its leaves
    for (const [kept, absorbed] of merges) {
      if (grown === level) break;
      const both = new Set([...(clusters.get(kept) ?? [kept]), ...(clusters.get(absorbed) ?? [absorbed])]);
      clusters.set(kept, both);
      clusters.delete(absorbed);
      if (both.has(leaf)) { members = both; grown++; }
    }
    const inside = Uint8Array.from(labels, (each) => (members.has(each) ? 1 : 0));
    return floodMask(inside, w, h, Math.floor(x), Math.floor(y), null);
  }

  fromAreas(ground) {
    const mask = new Uint8Array(ground.w * ground.h);
    if (this.box) {
      // Every area that lies mostly inside.
      const total = new Uint32Array(256), within = new Uint32Array(256);
      const { x0, y0, x1, y1 } = this.box;
      for (let y = 0; y < ground.h; y++) for (let x = 0; x < ground.w; x++) {
        const label = ground.labels[y * ground.w + x];
        total[label]++;
        if (x >= x0 && x < x1 && y >= y0 && y < y1) within[label]++;
      }
      for (let i = 0; i < mask.length; i++) mask[i] = within[ground.labels[i]] * 2 > total[ground.labels[i]] ? 1 : 0;
    }
    for (const click of this.clicks) {
      const area = this.area(ground, click);
      for (let i = 0; i < mask.length; i++) if (area[i]) mask[i] = click.positive ? 1 : 0;
    }
    return mask;
  }

  grow(step) {
    const last = this.clicks[this.clicks.length - 1];
    if (!last || this.grounds[this.pane.name]?.kind !== "areas") return;
    last.level = Math.max(0, Math.min(40, last.level + step));
    this.update();
  }

  // ------------------------------------------------------------ clicks and boxes

  inside(pane, point) {
    return point.x >= 0 && point.y >= 0 && point.x < pane.side.w && point.y < pane.side.h;
  }

  /** A click that adds or removes. A selection belongs to one picture. */
  click(pane, point, positive) {
    const ground = this.ground(pane);
    if (!ground || !this.inside(pane, point)) return;
    if (this.pane !== pane) this.forget();
    this.pane = pane;
    const last = this.clicks[this.clicks.length - 1];
    if (ground.kind === "areas" && positive && last?.positive && this.area(ground, last)[Math.floor(point.y) * ground.w + Math.floor(point.x)]) {
      last.level++; // the same place again: more of it
    } else this.clicks.push({ x: point.x, y: point.y, positive, level: 0 });
    this.update();
  }

  update() {
    const ground = this.ground(this.pane);
    this.hint = null;
    if (ground?.kind === "areas") this.show(this.pane, this.fromAreas(ground));
    else if (ground?.kind === "sam") {
      const clicks = this.clicks.map(({ x, y, positive }) => [x, y, positive ? 1 : 0]);
      this.wanted = this.ask(this.pane, { clicks, box: this.box ? [this.box.x0, this.box.y0, this.box.x1, this.box.y1] : null });
    }
    this.redraw();
    this.refresh();
  }

  show(pane, mask) {
    this.mask = mask;
    const count = mask.reduce((sum, each) => sum + each, 0);
    this.app.say(count === 0 ? this.app.words.get("said_select_empty")
      : this.app.words.get("said_select", { percent: percent(count / mask.length) }));
  }

  down(pane, point, event) {
    this.start = { point, clientX: event.clientX, clientY: event.clientY, positive: event.button === 2 ? false : this.adding, box: null };
  }

  drag(pane, point, event) {
    const { start } = this;
    if (!start) return;
    if (!start.box && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < BOX_SLACK) return;
    const clamp = (value, most) => Math.min(most, Math.max(0, value));
    const [ax, bx] = [start.point.x, point.x].map((x) => clamp(x, pane.side.w)).sort((a, b) => a - b);
    const [ay, by] = [start.point.y, point.y].map((y) => clamp(y, pane.side.h)).sort((a, b) => a - b);
    start.box = { x0: ax, y0: ay, x1: bx, y1: by };
    this.redraw();
  }

  up(pane, point) {
    const { start } = this;
    this.start = null;
    if (!start) return;
    if (!start.box) return this.click(pane, start.point, start.positive);
    if (!this.ground(pane) || start.box.x1 - start.box.x0 < 1 || start.box.y1 - start.box.y0 < 1) return;
    this.forget(); // a box begins anew
    this.pane = pane;
    this.box = start.box;
    this.update();
  }

  abandon() {
    this.start = null;
    this.redraw();
  }

  /** The pointer rests somewhere: show what a click there would take. */
  hover(pane, point) {
    clearTimeout(this.timer);
    if (this.clicks.length > 0 || this.box || this.start) return;
    if (!this.inside(pane, point)) return this.leave(pane);
    this.timer = setTimeout(() => {
      const ground = this.app.tool === this.tool ? this.ground(pane) : null;
      if (this.clicks.length > 0 || this.box) return;
      if (ground?.kind === "areas") {
        this.hint = { pane, mask: this.area(ground, { ...point, level: 0 }) };
        this.redraw();
      } else if (ground?.kind === "sam") this.hovered = this.ask(pane, { clicks: [[point.x, point.y, 1]], hover: true });
    }, ASK_AFTER_MS);
  }

  leave() {
    clearTimeout(this.timer);
    this.hovered = null;
    if (!this.hint) return;
    this.hint = null;
    this.redraw();
  }

  press(pane, point, positive = true) { this.click(pane, point, positive); }

  key(pane, key, event) {
    const point = pane.crosshair ? { x: pane.crosshair.x + 0.5, y: pane.crosshair.y + 0.5 } : null;
    if (key === "Enter") {
      if (this.clicks.length > 0 || this.box) this.keep();
      else if (point) this.press(pane, point, this.adding);
      return true;
    }
    if (key === " " && point) {
      if (!event.repeat) this.press(pane, point, event.shiftKey ? false : this.adding);
      return true;
    }
    if ((key === "+" || key === "-") && this.clicks.length > 0) {
      this.grow(key === "+" ? 1 : -1);
      return true;
    }
    return false;
  }

  // ------------------------------------------------------------ keep and drop

  /** The selection becomes part of the chosen region: one step. */
  keep() {
    const { app, pane, mask } = this;
    if (!pane || !mask) return app.say(app.words.get("said_select_empty"));
    const { ids } = pane.side;
    const before = ids.slice();
    if (mask.length === ids.length) for (let i = 0; i < ids.length; i++) if (mask[i]) ids[i] = app.region;
    this.reset();
    if (app.commitIds("select", [[pane.name, before]])) app.say(app.words.get("said_done", { step: app.words.get("step_select") }));
  }

  /** Esc: true when there was something to drop. */
  cancel() {
    if (this.clicks.length === 0 && !this.box) return false;
    this.reset();
    this.app.say(this.app.words.get("said_select_dropped"));
    return true;
  }

  reset() {
    clearTimeout(this.timer);
    this.wanted = this.hovered = this.next = null;
    this.forget();
    this.redraw();
    this.refresh();
  }

  // ------------------------------------------------------------ showing

  refresh() {
    const { app } = this;
    const on = app.tool === this.tool;
    this.root.hidden = !on;
    if (this.pane && (!this.pane.filled || (this.mask && this.mask.length !== this.pane.side.ids?.length))) this.forget();
    if (!on) return;
    const ground = app.active.filled ? this.ground(app.active) : null;
    this.plus.setAttribute("aria-pressed", String(this.adding));
    this.minus.setAttribute("aria-pressed", String(!this.adding));
    const areas = ground?.kind === "areas";
    this.larger.hidden = this.smaller.hidden = !areas;
    this.larger.disabled = this.smaller.disabled = this.clicks.length === 0;
    this.keepButton.disabled = !this.mask;
    this.dropButton.disabled = this.clicks.length === 0 && !this.box;
    this.keepButton.title = app.words.get("key_hint", { name: app.words.get("select_keep_hint", { name: app.nameOf(app.region) }), key: "Enter" });
    const said = { sam: "select_by_sam", areas: "select_by_areas", failed: "select_failed" }[ground?.kind];
    const reading = ground?.percent === null || ground?.percent === undefined ? "select_waiting" : "select_reading";
    this.note.textContent = ground ? app.words.get(said ?? reading, { percent: ground.percent ?? 0 }) : app.words.get("no_picture");
    this.root.dataset.ground = ground?.kind ?? "";
    this.get.hidden = !areas || !ground.missing;
    if (areas && ground.missing) this.get.title = app.words.get("select_get_hint", ground.missing);
  }

  redraw() {
    for (const pane of this.app.panes) this.draw(pane);
  }

  draw(pane) {
    const layer = this.layers.get(pane);
    if (!layer) return;
    const { width, height } = pane.canvas;
    if (layer.width !== width || layer.height !== height) [layer.width, layer.height] = [width, height];
    const context = layer.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!pane.filled || this.app.tool !== this.tool) return;
    const scale = pane.scale * pane.dpr;
    const origin = { x: pane.origin.x * pane.dpr, y: pane.origin.y * pane.dpr };
    const mine = this.pane === pane;
    const mask = mine && this.mask ? this.mask : this.hint?.pane === pane ? this.hint.mask : null;
    if (mask && mask.length === pane.side.w * pane.side.h) {
      const kept = mine && mask === this.mask;
      context.imageSmoothingEnabled = false;
      context.globalAlpha = kept ? 1 : 0.75;
      context.drawImage(this.picture(mask, pane.side), origin.x, origin.y, pane.side.w * scale, pane.side.h * scale);
      context.globalAlpha = 1;
    }
    const box = this.start?.box && this.app.gestures.pane === pane ? this.start.box : mine ? this.box : null;
    if (box) {
      context.lineWidth = 2 * pane.dpr;
      context.strokeStyle = "#fff";
      context.setLineDash([6 * pane.dpr, 4 * pane.dpr]);
      context.strokeRect(origin.x + box.x0 * scale, origin.y + box.y0 * scale, (box.x1 - box.x0) * scale, (box.y1 - box.y0) * scale);
      context.setLineDash([]);
    }
    if (!mine) return;
    for (const click of this.clicks) {
      const [x, y, r] = [origin.x + click.x * scale, origin.y + click.y * scale, 7 * pane.dpr];
      context.beginPath();
      context.arc(x, y, r, 0, 7);
      context.fillStyle = click.positive ? "#0a7d32" : "#b3261e";
      context.fill();
      context.lineWidth = 2 * pane.dpr;
      context.strokeStyle = "#fff";
      context.stroke();
      context.beginPath();
      context.moveTo(x - r / 2, y);
      context.lineTo(x + r / 2, y);
      if (click.positive) { context.moveTo(x, y - r / 2); context.lineTo(x, y + r / 2); }
      context.stroke();
    }
  }

  /** A mask as a picture: the region's colour, with a light rim. */
  picture(mask, { w, h }) {
    const colour = this.app.colourOf(this.app.region);
    if (this.drawn?.mask === mask && this.drawn.colour === colour) return this.drawn.canvas;
    const canvas = new OffscreenCanvas(w, h);
    const image = new ImageData(w, h);
    const pixels = new Uint32Array(image.data.buffer);
    const fill = pixel(hexToRgb(colour), 0.55), rim = pixel([255, 255, 255], 1);
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      const i = y * w + x;
      if (!mask[i]) continue;
      const edge = x === 0 || y === 0 || x === w - 1 || y === h - 1 || !mask[i - 1] || !mask[i + 1] || !mask[i - w] || !mask[i + w];
      pixels[i] = edge ? rim : fill;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.drawn = { mask, colour, canvas };
    return canvas;
  }
}

HELPERS.push((app) => new Selection(app));
