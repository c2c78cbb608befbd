// A fill: shown from the press on, its reach set by dragging sideways, kept on release. The last one can still be changed.

const PIXELS_PER_TOLERANCE = 3; // CSS pixels of a drag

class Fill {
  constructor(app) {
    this.app = app;
    this.now = null; // being drawn: {pane, side, before, region, costs, mask}
    this.last = null; // kept: the same and its `entry`
    this.frame = 0;
  }

  /** Begin at a place of the map. False where there is nothing to fill. */
  begin(pane, point) {
    const { app } = this;
    const { side } = pane;
    const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
    if (x < 0 || y < 0 || x >= side.w || y >= side.h || side.ids[y * side.w + x] === app.region) return false;
    const costs = app.edges.on && side.image ? fillCosts(side.ids, side.w, side.h, x, y, app.pixelsOf(side)) : null;
    const mask = costs ? null : floodMask(side.ids, side.w, side.h, x, y);
    const before = side.ids.slice();
    this.now = { pane, side, before, target: before[y * side.w + x], region: app.region, costs, mask, start: app.edges.tolerance };
    this.show();
    return true;
  }

  /** A drag of `dx` CSS pixels sets the tolerance. */
  drag(dx) {
    if (!this.now?.costs) return;
    this.app.setTolerance(this.now.start + dx / PIXELS_PER_TOLERANCE);
    this.showSoon();
  }

  show() {
    const { pane, side, before, target, region, costs, mask } = this.now;
    const take = costs ? fillMask(costs, before, side.w, side.h, target, this.app.edges.tolerance) : mask;
    side.ids.set(before);
    for (let i = 0; i < take.length; i++) if (take[i]) side.ids[i] = region;
    pane.invalidate();
  }

  showSoon() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.now) this.show();
    });
  }

  /** Keep what is shown. */
  keep() {
    const { app, now } = this;
    if (!now) return;
    this.show();
    this.now = null;
    const { stack } = app;
    if (now.entry && stack.nextUndo === now.entry) stack.done.pop();
    const kept = app.commitIds("fill", [[now.pane.name, now.before]]);
    this.last = kept && now.costs ? { ...now, entry: stack.nextUndo } : null;
    if (!kept && now.entry) { // a smaller reach left nothing
      app.touch(now.pane.name);
      app.changed("fill");
    }
    app.say(app.words.get("said_done", { step: app.words.get("step_fill") }));
  }

  /** Back to what was there. True when there was something to drop. */
  drop() {
    const { now } = this;
    this.now = null;
    if (!now) return false;
    if (now.side.ids) now.side.ids.set(now.entry ? now.side.committed : now.before);
    now.pane.invalidate();
    return true;
  }

  /** The tolerance moved: the last fill follows, unless something else happened since. Kept by `keep`. */
  follow() {
    if (this.now || !this.last) return;
    const { app, last } = this;
    if (app.stack.nextUndo !== last.entry || app.sides[last.pane.name] !== last.side) {
      this.last = null;
      return;
    }
    this.now = { ...last };
    this.showSoon();
  }
}
