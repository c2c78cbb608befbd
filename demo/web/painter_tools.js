// Pointer and keyboard painting: strokes, fill, lasso, pick, pan and pinch.

const PINCH_GRACE_MS = 150;
const TAP_SLACK = 8; // CSS pixels a finger may wander during a tap

class Gestures {
  constructor(app) {
    this.app = app;
    this.pointers = new Map();
    this.mode = null; // null | "stroke" | "lasso" | "tap" | "pan" | "pinch"
    this.pane = null;
    this.stroke = null;
    this.lasso = null;
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
    this.pointers.set(event.pointerId, { pane, x: event.clientX, y: event.clientY });
    pane.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && this.pointers.size === 2) return this.startPinch(pane);
    if (this.pointers.size > 1 || (event.button !== 0 && event.button !== 1 && !(event.button === 2 && this.app.handler()))) return;
    this.endKeyStroke();
    pane.crosshair = null;
    pane.showCrosshair();
    pane.canvas.focus({ preventScroll: true });
    this.app.activate(pane);
    this.pane = pane;
    this.startedAt = event.timeStamp;
    this.start = { clientX: event.clientX, clientY: event.clientY };
    const tool = event.altKey ? "pick" : this.app.tool;
    if (event.button === 1 || this.spaceHeld) this.mode = "pan";
    else if (tool === "brush" || tool === "eraser") {
      this.mode = "stroke";
      this.beginStroke(pane, tool);
      this.extendStroke(pane.toMap(event));
    } else if (tool === "lasso") {
      this.mode = "lasso";
      if (!this.lasso || this.lasso.pane !== pane) this.lasso = { pane, points: [] };
      this.lasso.dragging = false;
      this.lasso.points.push(pane.toMap(event));
      pane.showOutline(this.lasso.points);
    } else if (this.app.handler(tool)) {
      this.mode = "helper";
      this.app.handler(tool).down(pane, pane.toMap(event), event);
    } else {
      this.mode = "tap";
      this.tapTool = tool;
    }
    event.preventDefault();
  }

  move(pane, event) {
    const known = this.pointers.get(event.pointerId);
    if (event.pointerType !== "touch") this.hover = { pane, point: { clientX: event.clientX, clientY: event.clientY } };
    this.showRing();
    if (!known) {
      if (this.lasso?.pane === pane) pane.showOutline([...this.lasso.points, pane.toMap(event)]);
      if (pane.filled && event.pointerType !== "touch") this.app.handler()?.hover(pane, pane.toMap(event));
      return;
    }
    const [dx, dy] = [event.clientX - known.x, event.clientY - known.y];
    const before = this.mode === "pinch" ? this.pinchState() : null;
    [known.x, known.y] = [event.clientX, event.clientY];
    if (this.mode === "stroke") {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length > 0 ? all : [event]) this.extendStroke(this.pane.toMap(each));
    } else if (this.mode === "lasso") {
      const far = Math.hypot(event.clientX - this.start.clientX, event.clientY - this.start.clientY) > TAP_SLACK;
      if (far) this.lasso.dragging = true;
      if (this.lasso.dragging) this.lasso.points.push(this.pane.toMap(event));
      this.pane.showOutline(this.lasso.points);
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
    if (mode === "stroke") this.endStroke();
    else if (mode === "lasso") this.lassoReleased();
    else if (mode === "helper") this.app.handler()?.up(this.pane, this.pane.toMap(event), event);
    else if (mode === "tap") {
      const point = this.pane.toMap(this.start);
      if (this.tapTool === "pick") this.app.pick(this.pane, point);
      else this.app.fillAt(this.pane, point);
    }
  }

  lost(pane, event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.mode === "stroke") this.endStroke();
    if (this.pointers.size === 0) this.mode = null;
  }

  // ------------------------------------------------------------ two fingers

  /** The first finger's stroke is taken back when it has only just begun: it was the start of a pinch. */
  startPinch(pane) {
    if (this.mode === "stroke") {
      if (performance.now() - this.startedAt < PINCH_GRACE_MS) this.cancelStroke();
      else this.endStroke();
    } else if (this.mode === "lasso") this.dropLasso();
    else if (this.mode === "helper") this.app.handler()?.abandon();
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
    this.stroke = { pane, tool, before: pane.side.ids.slice(), last: null, region: tool === "eraser" ? 0 : this.app.region };
  }

  extendStroke(point) {
    const { pane, last, region, tool } = this.stroke;
    const { side } = pane;
    const box = paintSegment(side.ids, side.w, side.h, last ?? point, point, this.app.sizes[tool], region);
    this.stroke.last = point;
    if (box) pane.invalidate(box);
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

  // ------------------------------------------------------------ lasso

  lassoReleased() {
    const { lasso } = this;
    if (!lasso) return;
    const [first, last] = [lasso.points[0], lasso.points[lasso.points.length - 1]];
    const closed = Math.hypot(first.x - last.x, first.y - last.y) * lasso.pane.scale < TAP_SLACK;
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

  /** Resolves when no stroke is being drawn: a state from Python must not swap the map under the brush. */
  async rest() {
    while (this.stroke) await new Promise((done) => setTimeout(done, 50));
  }

  /** Esc: drop what is being drawn. True when there was something. */
  cancel() {
    if (this.lasso) { this.dropLasso(); return true; }
    if (this.stroke) { this.cancelStroke(); this.mode = null; return true; }
    return this.app.helpers.some((each) => each.cancel?.());
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
    if (this.stroke) this.extendStroke({ x: pane.crosshair.x + 0.5, y: pane.crosshair.y + 0.5 });
    this.app.handler()?.hover(pane, { x: pane.crosshair.x + 0.5, y: pane.crosshair.y + 0.5 });
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
      if (!this.lasso || this.lasso.pane !== pane) this.lasso = { pane, points: [] };
      this.lasso.points.push(at);
      pane.showOutline(this.lasso.points);
    } else {
      this.beginStroke(pane, tool);
      this.extendStroke(at);
    }
  }

  endKeyStroke() {
    if (this.stroke && this.mode !== "stroke") this.endStroke();
  }

  // ------------------------------------------------------------ ring

  showRing() {
    const { tool, sizes } = this.app;
    for (const pane of this.app.panes) {
      const here = this.hover?.pane === pane && (tool === "brush" || tool === "eraser") && pane.filled && this.mode !== "pan";
      pane.showRing(here ? this.hover.point : null, sizes[tool] ?? 1, tool === "eraser" ? PALETTE[0] : this.app.colourOf(this.app.region));
    }
  }
}
