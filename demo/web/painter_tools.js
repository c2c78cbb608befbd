// Pointer and keyboard painting: strokes, fill, lasso, pick, pan and pinch.

const PINCH_GRACE_MS = 150;
const TAP_SLACK = 8; // CSS pixels a finger may wander during a tap
const TAP_MS = 250;
const DOUBLE_TAP_MS = 350;
const LEAST_PRESSURE = 0.1;

class Gestures {
  constructor(app) {
    this.app = app;
    this.pointers = new Map();
    this.mode = null; // null | "stroke" | "lasso" | "fill" | "tap" | "helper" | "pan" | "pinch"
    this.pane = null;
    this.stroke = null;
    this.lasso = null;
    this.fill = new Fill(app);
    this.tapped = null; // the last tap of a finger
    this.spaceHeld = false;
    this.hover = null; // {pane, point} of a mouse or pen over a picture
  }

  listen(pane) {
    const { canvas } = pane;
    canvas.addEventListener("pointerdown", (event) => this.down(pane, event));
    canvas.addEventListener("pointermove", (event) => this.move(pane, event));
    canvas.addEventListener("pointerup", (event) => this.up(pane, event));
    canvas.addEventListener("pointercancel", (event) => this.lost(pane, event));
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.showRing(); this.app.handler()?.leave(pane); });
    canvas.addEventListener("dblclick", () => { if (this.lasso) this.closeLasso(); });
    canvas.addEventListener("contextmenu", (event) => { if (this.mode || this.app.handler()) event.preventDefault(); });
    canvas.addEventListener("blur", () => { this.endKeyStroke(); pane.showCrosshair(); });
    canvas.addEventListener("focus", () => {
      this.app.activate(pane);
      if (canvas.matches(":focus-visible") && this.pointers.size === 0) this.keyPoint(pane);
    });
    canvas.addEventListener("wheel", (event) => {
      const rect = canvas.getBoundingClientRect();
      const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
      const zoomed = pane.zoomBy(Math.exp(-step / 400), { x: event.clientX - rect.left, y: event.clientY - rect.top });
      // At 1x a further turn scrolls the page, as anywhere else.
      if (zoomed || event.ctrlKey || pane.zoom > 1) event.preventDefault();
    }, { passive: false });
  }

  down(pane, event) {
    if (!pane.filled) return;
    const kind = event.pointerType;
    if (kind === "pen") this.penDown();
    if (kind === "touch") {
      const others = [...this.pointers.values()];
      // A palm beside the pen, and a finger on the other picture, are no second finger.
      if (others.some((each) => each.kind !== "touch" || each.pane !== pane)) return;
    }
    this.pointers.set(event.pointerId, { pane, kind, x: event.clientX, y: event.clientY });
    try {
      pane.canvas.setPointerCapture(event.pointerId);
    } catch { /* the pointer is gone already: its end comes without a capture too */ }
    if (kind === "touch" && this.pointers.size === 2) return this.startPinch(pane, event);
    if (this.pointers.size > 1) return;
    const { button } = event;
    const rubber = kind === "pen" && button === 5; // the pen's other end
    if (button !== 0 && button !== 1 && !rubber && !(button === 2 && this.app.handler())) return;
    this.endKeyStroke();
    pane.crosshair = null;
    pane.showCrosshair();
    pane.canvas.focus({ preventScroll: true });
    this.app.activate(pane);
    event.preventDefault();
    this.pane = pane;
    this.startedAt = event.timeStamp;
    this.start = { clientX: event.clientX, clientY: event.clientY };
    if (kind === "touch" && this.app.penOnly) return; // one finger does nothing, two zoom
    this.begin(pane, event, rubber ? "eraser" : event.altKey ? "pick" : this.app.tool);
  }

  begin(pane, event, tool) {
    const point = pane.toMap(event);
    if (event.button === 1 || this.spaceHeld) this.mode = "pan";
    else if (tool === "brush" || tool === "eraser") {
      this.mode = "stroke";
      this.beginStroke(pane, tool);
      this.extendStroke(point, this.pressure(event));
    } else if (tool === "lasso") {
      if (!this.lasso || this.lasso.pane !== pane) this.startLasso(pane);
      this.mode = "lasso";
      this.lasso.dragging = false;
      this.lasso.points.push(point);
      this.showLasso();
    } else if (this.app.handler(tool)) {
      this.mode = "helper";
      this.app.handler(tool).down(pane, point, event);
    } else if (tool === "fill") {
      if (this.fill.begin(pane, point)) this.mode = "fill";
    } else this.mode = "tap";
  }

  move(pane, event) {
    const known = this.pointers.get(event.pointerId);
    if (event.pointerType !== "touch") this.hover = { pane, point: { clientX: event.clientX, clientY: event.clientY } };
    this.showRing();
    if (!known) {
      if (event.pointerType === "touch" || !pane.filled) return;
      if (this.lasso?.pane === pane) this.showLasso(pane.toMap(event));
      this.app.handler()?.hover(pane, pane.toMap(event));
      return;
    }
    const [dx, dy] = [event.clientX - known.x, event.clientY - known.y];
    const before = this.mode === "pinch" ? this.pinchState() : null;
    [known.x, known.y] = [event.clientX, event.clientY];
    if (this.mode === "stroke") {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length > 0 ? all : [event]) this.extendStroke(this.pane.toMap(each), this.pressure(each));
    } else if (this.mode === "lasso") {
      if (this.wandered(event)) this.lasso.dragging = true;
      if (this.lasso.dragging) this.lasso.points.push(this.pane.toMap(event));
      this.showLasso();
    } else if (this.mode === "fill") {
      const across = event.clientX - this.start.clientX;
      if (Math.abs(across) > TAP_SLACK || this.fill.dragged) {
        this.fill.dragged = true;
        this.fill.drag(across);
        if (this.fill.now?.costs) this.pane.showTag(`${this.app.words.get("tolerance")} ${this.app.edges.tolerance}`, this.start);
      }
    } else if (this.mode === "helper") this.app.handler()?.drag(this.pane, this.pane.toMap(event), event);
    else if (this.mode === "pan") this.pane.panBy(dx, dy);
    else if (this.mode === "pinch") this.pinch(before);
  }

  up(pane, event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.mode === "pinch") {
      if (this.pointers.size === 0) this.mode = null;
      return;
    }
    const mode = this.mode;
    this.mode = null;
    if (event.pointerType === "touch" && this.doubleTap(event, mode)) return;
    if (mode === "stroke") this.endStroke();
    else if (mode === "lasso") this.lassoReleased();
    else if (mode === "helper") this.app.handler()?.up(this.pane, this.pane.toMap(event), event);
    else if (mode === "fill") this.keepFill();
    else if (mode === "tap") this.app.pick(this.pane, this.pane.toMap(this.start));
    if (this.tapped) this.tapped.entry = this.app.stack.nextUndo === this.tapped.top ? null : this.app.stack.nextUndo;
  }

  lost(pane, event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.mode === "stroke") this.endStroke();
    else if (this.mode === "fill") this.dropFill();
    if (this.pointers.size === 0) this.mode = null;
  }

  wandered(event) {
    return Math.hypot(event.clientX - this.start.clientX, event.clientY - this.start.clientY) > TAP_SLACK;
  }

  /**
   * The second of two taps closes an open polygon, else shows the whole picture again; what the taps painted is taken
   * back. At 1x there is nothing to fit: there two taps are two dabs.
   */
  doubleTap(event, mode) {
    const tap = { x: event.clientX, y: event.clientY, at: event.timeStamp, top: this.app.stack.nextUndo, entry: null };
    const before = this.tapped;
    this.tapped = event.timeStamp - this.startedAt < TAP_MS && !this.wandered(event) ? tap : null;
    if (!this.tapped || !before || tap.at - before.at > DOUBLE_TAP_MS) return false;
    if (Math.hypot(tap.x - before.x, tap.y - before.y) > TAP_SLACK * 3) return false;
    if (mode === "lasso") {
      if (this.lasso.points.length < 4) return false;
      this.closeLasso();
    } else if (mode === "helper" || this.pane.zoom === 1) return false;
    else {
      this.cancelStroke();
      this.dropFill();
      if (before.entry && this.app.stack.nextUndo === before.entry) this.app.takeBack();
      this.pane.fit();
    }
    this.tapped = null;
    return true;
  }

  // ------------------------------------------------------------ pen

  /** From the first pen on, fingers and palms do not paint (a switch brings that back); what they began is dropped. */
  penDown() {
    const { app } = this;
    if (!app.penSeen) {
      app.penSeen = app.penOnly = true;
      app.toolbar.refresh();
    }
    const touching = [...this.pointers].filter(([, each]) => each.kind === "touch");
    if (touching.length === 0) return;
    for (const [id] of touching) this.pointers.delete(id);
    this.cancelStroke();
    this.dropFill();
    if (this.mode === "lasso") this.dropLasso();
    this.mode = null;
  }

  /** Share of the brush's size: a pen's pressure when that is wanted, else all of it. */
  pressure(event) {
    if (event.pointerType !== "pen" || !this.app.pressure || !(event.pressure > 0)) return 1;
    return Math.max(LEAST_PRESSURE, event.pressure);
  }

  // ------------------------------------------------------------ two fingers

  /** The first finger's stroke is taken back when it has only just begun: it was the start of a pinch. */
  startPinch(pane, event) {
    if (this.mode === "stroke") {
      if (event.timeStamp - this.startedAt < PINCH_GRACE_MS) this.cancelStroke();
      else this.endStroke();
    } else if (this.mode === "fill") this.dropFill();
    else if (this.mode === "lasso") this.forgetCorner();
    else if (this.mode === "helper") this.app.handler()?.abandon();
    this.tapped = null;
    this.pane = pane;
    this.mode = "pinch";
  }

  pinchState() {
    const [a, b] = [...this.pointers.values()];
    if (!b) return null;
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  pinch(before) {
    const after = this.pinchState();
    if (!before || !after) return;
    const rect = this.pane.canvas.getBoundingClientRect();
    this.pane.panBy(after.x - before.x, after.y - before.y);
    if (before.distance > 0) this.pane.zoomBy(after.distance / before.distance, { x: after.x - rect.left, y: after.y - rect.top });
  }

  // ------------------------------------------------------------ strokes

  beginStroke(pane, tool) {
    this.stroke = { pane, tool, before: pane.side.ids.slice(), last: null, size: null, region: tool === "eraser" ? 0 : this.app.region };
  }

  extendStroke(point, pressure = 1) {
    const { stroke } = this;
    const { side } = stroke.pane;
    const size = Math.max(1, this.app.sizes[stroke.tool] * pressure);
    const box = paintSegment(side.ids, side.w, side.h, stroke.last ?? point, point, size, stroke.region, stroke.size ?? size);
    [stroke.last, stroke.size] = [point, size];
    if (box) stroke.pane.invalidate(box);
  }

  endStroke() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    this.app.commitIds(stroke.tool, [[stroke.pane.name, stroke.before]]);
  }

  cancelStroke() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    stroke.pane.side.ids.set(stroke.before);
    stroke.pane.invalidate();
  }

  // ------------------------------------------------------------ fill

  keepFill() {
    this.fill.dragged = false;
    this.pane?.showTag(null);
    this.fill.keep();
  }

  dropFill() {
    this.fill.dragged = false;
    this.pane?.showTag(null);
    if (this.mode === "fill") this.mode = null;
    return this.fill.drop();
  }

  // ------------------------------------------------------------ lasso

  startLasso(pane) {
    this.dropLasso();
    this.lasso = { pane, points: [], dragging: false };
  }

  /** Draw what there is of it, up to `tip`; from three corners on the start is a place to close it. */
  showLasso(tip = null) {
    const { lasso } = this;
    if (!lasso) return;
    lasso.pane.showOutline(tip ? [...lasso.points, tip] : lasso.points, lasso.points.length >= 3 && !lasso.dragging);
  }

  lassoReleased() {
    const { lasso } = this;
    if (!lasso) return;
    const [first, last] = [lasso.points[0], lasso.points[lasso.points.length - 1]];
    const closed = Math.hypot(first.x - last.x, first.y - last.y) * lasso.pane.scale < TAP_SLACK * 1.5;
    if (lasso.dragging || (lasso.points.length > 3 && closed)) this.closeLasso();
    else if (lasso.points.length === 1) this.app.say(this.app.words.get("lasso_hint"));
  }

  closeLasso() {
    const { lasso } = this;
    this.dropLasso();
    if (!lasso || lasso.points.length < 3) return;
    const { side } = lasso.pane;
    const before = side.ids.slice();
    paintPolygon(side.ids, side.w, side.h, lasso.points, this.app.region);
    this.app.commitIds("lasso", [[lasso.pane.name, before]]);
  }

  dropLasso() {
    this.lasso?.pane.showOutline([]);
    this.lasso = null;
    if (this.mode === "lasso") this.mode = null;
  }

  /** Take the last corner back. */
  forgetCorner() {
    const { lasso } = this;
    if (!lasso) return;
    if (lasso.dragging) return this.dropLasso();
    lasso.points.pop();
    if (lasso.points.length === 0) this.dropLasso();
    else this.showLasso();
  }

  /** Resolves when nothing is being drawn: a state from Python must not swap the map under the brush. */
  async rest() {
    while (this.stroke || this.fill.now) await new Promise((done) => setTimeout(done, 50));
  }

  /** Esc: drop what is being drawn. True when there was something. */
  cancel() {
    if (this.dropFill()) return true;
    if (this.lasso) { this.dropLasso(); return true; }
    if (this.stroke) { this.cancelStroke(); this.mode = null; return true; }
    return this.app.legend.cancelDrag() || this.app.helpers.some((each) => each.cancel?.());
  }

  // ------------------------------------------------------------ keyboard

  /** The crosshair of a pane, put into the middle of what is visible when there is none. */
  keyPoint(pane) {
    if (!pane.filled) return null;
    pane.crosshair ??= { x: Math.floor(pane.centre.x), y: Math.floor(pane.centre.y) };
    pane.showCrosshair();
    return pane.crosshair;
  }

  moveCrosshair(pane, dx, dy) {
    const point = this.keyPoint(pane);
    if (!point) return;
    const { w, h, ids } = pane.side;
    pane.crosshair = { x: Math.min(w - 1, Math.max(0, point.x + dx)), y: Math.min(h - 1, Math.max(0, point.y + dy)) };
    const at = { x: pane.crosshair.x + 0.5, y: pane.crosshair.y + 0.5 };
    if (this.stroke) this.extendStroke(at);
    if (this.lasso?.pane === pane) this.showLasso(at);
    this.app.handler()?.hover(pane, at);
    this.keepVisible(pane);
    pane.showCrosshair();
    const { x, y } = pane.crosshair;
    this.app.saySoon(() => this.app.words.get("said_at", { x, y, name: this.app.nameOf(ids[y * w + x]) }));
  }

  keepVisible(pane) {
    const origin = pane.origin;
    const x = origin.x + pane.crosshair.x * pane.scale, y = origin.y + pane.crosshair.y * pane.scale;
    const dx = x < 12 ? 12 - x : x > pane.width - 12 ? pane.width - 12 - x : 0;
    const dy = y < 12 ? 12 - y : y > pane.height - 12 ? pane.height - 12 - y : 0;
    if (dx || dy) pane.panBy(dx, dy);
  }

  /** Space at the crosshair: brush and eraser paint until it is released, other tools act once. */
  actAtCrosshair(pane) {
    const point = this.keyPoint(pane);
    if (!point || this.stroke) return;
    const at = { x: point.x + 0.5, y: point.y + 0.5 };
    const { tool } = this.app;
    if (tool === "fill") this.app.fillAt(pane, at);
    else if (tool === "pick") this.app.pick(pane, at);
    else if (this.app.handler(tool)) this.app.handler(tool).press(pane, at);
    else if (tool === "lasso") {
      if (!this.lasso || this.lasso.pane !== pane) this.startLasso(pane);
      this.lasso.points.push(at);
      this.showLasso();
      if (this.lasso.points.length === 1) this.app.say(this.app.words.get("lasso_hint"));
    } else {
      this.beginStroke(pane, tool);
      this.extendStroke(at);
    }
  }

  endKeyStroke() {
    if (this.stroke && this.mode !== "stroke") this.endStroke();
  }

  // ------------------------------------------------------------ ring

  /** The view moved, or the pointer did: what floats over the picture follows. */
  follow() {
    this.showLasso();
    this.showRing();
  }

  showRing() {
    const { tool, sizes } = this.app;
    const sized = tool === "brush" || tool === "eraser";
    const colour = tool === "eraser" ? PALETTE[0] : this.app.colourOf(this.app.region);
    for (const pane of this.app.panes) {
      const here = sized && pane.filled && this.mode !== "pan" && (this.hover ?? this.shown)?.pane === pane;
      pane.showRing(here ? (this.hover ?? this.shown).point : null, sizes[tool] ?? 1, colour);
    }
  }

  /** Without a pointer over a picture, a change of size shows the ring in the middle for a moment. */
  flashRing() {
    const pane = this.app.active;
    clearTimeout(this.flash);
    if (this.hover || !pane.filled) return;
    const rect = pane.stage.getBoundingClientRect();
    this.shown = { pane, point: { clientX: rect.left + rect.width / 2, clientY: rect.top + rect.height / 2 } };
    this.flash = setTimeout(() => { this.shown = null; this.showRing(); }, 1200);
  }
}
