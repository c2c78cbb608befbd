// Region ids and what can be done to them. Pure functions: no page, no canvas.
// A map is a Uint8Array of region ids, row by row, `w` x `h`; a box is {x0, y0, x1, y1}, x1 and y1 exclusive.

const PALETTE = [
  "#cccccc", "#ff66cc", "#99ff00", "#3300ff", "#990000", "#ffcc99",
  "#996666", "#ff3300", "#663399", "#cc33ff", "#990066", "#33ccff",
];
const REST = "Rest";
const MAX_MAP_SIDE = 1024;
const MAX_NAME = 40;
const MAX_REGIONS = 64;
const HELPERS = []; // makers of what stands beside the painter: (app) => {place?, root?, tool?, refresh?(), draw?(pane), reset?(), …}
const UNDO_STEPS = 200;
const UNDO_BYTES = 64e6;

/** Map size for a picture: its aspect, long side at most MAX_MAP_SIDE. */
function mapSize(width, height) {
  const scale = Math.min(1, MAX_MAP_SIDE / Math.max(width, height, 1));
  return { w: Math.max(1, Math.round(width * scale)), h: Math.max(1, Math.round(height * scale)) };
}

/** True when two sizes have the same aspect, give or take 2 %. */
function sameAspect(a, b) {
  return a.w > 0 && b.w > 0 && Math.abs((a.w * b.h) / (a.h * b.w) - 1) <= 0.02;
}

/** A region's name: control characters out, spaces joined, at most MAX_NAME characters. */
function cleanName(text) {
  const flat = String(text ?? "").replace(/[\p{Cc}\p{Cf}]/gu, " ").replace(/\s+/g, " ").trim();
  return Array.from(flat).slice(0, MAX_NAME).join("").trim();
}

function paletteColour(id) {
  return id === 0 ? PALETTE[0] : PALETTE[1 + ((id - 1) % (PALETTE.length - 1))];
}

/** A region as it begins. Its name is the one that files carry; the page shows it in its own language. */
function firstRegion(id) {
  return { id, name: id === 0 ? REST : `Region ${id}`, colour: paletteColour(id) };
}

/** The legend that painting starts with. */
function firstRegions() {
  return [0, 1, 2].map(firstRegion);
}

/** The ids not in use, smallest first, as many as the legend has room for. */
function freeIds(regions) {
  const used = new Set(regions.map((region) => region.id));
  const free = [];
  for (let id = 1; id < 256 && regions.length + free.length < MAX_REGIONS; id++) if (!used.has(id)) free.push(id);
  return free;
}

/** The smallest id not in use, or null when the legend is full. */
function freeId(regions) {
  return freeIds(regions)[0] ?? null;
}

/** "sky 2": the name of part `n` of a region, the next number where that is taken. `used`: names in use, added to. */
function partName(name, n, used) {
  for (;; n++) {
    const made = `${Array.from(name).slice(0, MAX_NAME - 4).join("").trim()} ${n}`;
    if (used.has(made)) continue;
    used.add(made);
    return made;
  }
}

function unionBox(a, b) {
  if (!a) return b;
  if (!b) return a;
  return {
    x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1),
  };
}

/**
 * Paint a round brush dragged between two points. `size`: its diameter at the end, `sizeBefore` at the start (a pen's
 * pressure changes it on the way). Returns the box touched, or null.
 */
function paintSegment(ids, w, h, from, to, size, id, sizeBefore = size) {
  let [ax, ay, bx, by] = [from.x, from.y, to.x, to.y];
  let [before, after] = [sizeBefore / 2, size / 2];
  if (Math.max(size, sizeBefore) <= 2) {
    // A one-pixel brush snaps to pixel centres, or it would miss between them.
    [ax, ay, bx, by] = [ax, ay, bx, by].map((value) => Math.floor(value) + 0.5);
    before = after = Math.max(0.5, Math.max(before, after) - 0.5);
  }
  const radius = Math.max(before, after);
  const box = {
    x0: Math.max(0, Math.floor(Math.min(ax, bx) - radius)), y0: Math.max(0, Math.floor(Math.min(ay, by) - radius)),
    x1: Math.min(w, Math.ceil(Math.max(ax, bx) + radius)), y1: Math.min(h, Math.ceil(Math.max(ay, by) + radius)),
  };
  if (box.x0 >= box.x1 || box.y0 >= box.y1) return null;
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  for (let y = box.y0; y < box.y1; y++) {
    const py = y + 0.5 - ay;
    for (let x = box.x0; x < box.x1; x++) {
      const px = x + 0.5 - ax;
      const along = length > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const [ex, ey] = [px - along * dx, py - along * dy];
      const reach = before + along * (after - before);
      if (ex * ex + ey * ey <= reach * reach + 1e-6) ids[y * w + x] = id;
    }
  }
  return box;
}

/** Paint the inside of a closed polygon (non-zero winding, pixel centres). */
function paintPolygon(ids, w, h, points, id) {
  for (let y = 0; y < h; y++) {
    const cy = y + 0.5;
    const crossings = [];
    for (let i = 0; i < points.length; i++) {
      const a = points[i], b = points[(i + 1) % points.length];
      if (a.y <= cy === b.y <= cy) continue;
      crossings.push([a.x + ((cy - a.y) / (b.y - a.y)) * (b.x - a.x), a.y < b.y ? 1 : -1]);
    }
    crossings.sort((a, b) => a[0] - b[0]);
    let winding = 0;
    for (let i = 0; i + 1 < crossings.length; i++) {
      winding += crossings[i][1];
      if (winding === 0) continue;
      const from = Math.max(0, Math.ceil(crossings[i][0] - 0.5));
      const to = Math.min(w, Math.ceil(crossings[i + 1][0] - 0.5));
      if (from < to) ids.fill(id, y * w + from, y * w + to);
    }
  }
}

/** The area connected to (x, y) (4 neighbours) that carries the same id: a mask of 0 and 1. */
function floodMask(ids, w, h, x, y) {
  const target = ids[y * w + x];
  const mask = new Uint8Array(w * h);
  const open = (i) => mask[i] === 0 && ids[i] === target;
  const stack = [y * w + x];
  mask[y * w + x] = 1;
  while (stack.length > 0) {
    const seed = stack.pop();
    const row = seed - (seed % w);
    let left = seed, right = seed;
    while (left > row && open(left - 1)) mask[--left] = 1;
    while (right < row + w - 1 && open(right + 1)) mask[++right] = 1;
    for (const next of [row - w, row + w]) {
      if (next < 0 || next >= w * h) continue;
      let inside = false;
      for (let i = next + left - row; i <= next + right - row; i++) {
        const isOpen = open(i);
        if (isOpen && !inside) { mask[i] = 1; stack.push(i); }
        inside = isOpen;
      }
    }
  }
  return mask;
}

/** Nearest-neighbour copy of a map at another size. */
function resizeIds(ids, w, h, toW, toH) {
  const out = new Uint8Array(toW * toH);
  for (let y = 0; y < toH; y++) {
    const row = Math.min(h - 1, Math.floor(((y + 0.5) * h) / toH)) * w;
    for (let x = 0; x < toW; x++) out[y * toW + x] = ids[row + Math.min(w - 1, Math.floor(((x + 0.5) * w) / toW))];
  }
  return out;
}

/** Pixels per id, 256 numbers. */
function countIds(ids) {
  const counts = new Uint32Array(256);
  if (ids) for (let i = 0; i < ids.length; i++) counts[ids[i]]++;
  return counts;
}

// ---------------------------------------------------------------- undo

/** Runs of equal ids, each its length (7 bits a byte, least first) and the id: a few kB for a painted map. */
function packRuns(ids) {
  const runs = [];
  for (let i = 0; i < ids.length; ) {
    let end = i + 1;
    while (end < ids.length && ids[end] === ids[i]) end++;
    let length = end - i;
    for (; length > 127; length >>>= 7) runs.push((length & 127) | 128);
    runs.push(length, ids[i]);
    i = end;
  }
  return Uint8Array.from(runs);
}

function unpackRuns(runs, length) {
  const ids = new Uint8Array(length);
  for (let at = 0, k = 0; k < runs.length; k++) {
    let run = 0, shift = 0;
    for (; runs[k] > 127; k++, shift += 7) run |= (runs[k] & 127) << shift;
    run |= runs[k++] << shift;
    ids.fill(runs[k], at, at + run);
    at += run;
  }
  return ids;
}

function cropIds(ids, w, box) {
  const width = box.x1 - box.x0;
  const out = new Uint8Array(width * (box.y1 - box.y0));
  for (let y = box.y0; y < box.y1; y++) out.set(ids.subarray(y * w + box.x0, y * w + box.x1), (y - box.y0) * width);
  return out;
}

function pasteIds(ids, w, box, patch) {
  const width = box.x1 - box.x0;
  for (let y = box.y0; y < box.y1; y++) {
    ids.set(patch.subarray((y - box.y0) * width, (y - box.y0 + 1) * width), y * w + box.x0);
  }
}

/** The smallest box that holds every difference, or null when there is none. */
function changedBox(before, after, w, h) {
  let box = null;
  for (let y = 0; y < h; y++) {
    const row = y * w;
    let first = 0;
    while (first < w && before[row + first] === after[row + first]) first++;
    if (first === w) continue;
    let last = w - 1;
    while (before[row + last] === after[row + last]) last--;
    box = unionBox(box, { x0: first, y0: y, x1: last + 1, y1: y + 1 });
  }
  return box;
}

/** One part of an undo step: how a map changed, or null when it did not. */
function idsPart(side, w, h, before, after) {
  const box = changedBox(before, after, w, h);
  if (!box) return null;
  return { kind: "ids", side, box, before: packRuns(cropIds(before, w, box)), after: packRuns(cropIds(after, w, box)) };
}

/**
 * Steps back and forth over everything: pictures, maps, names, links, by hand or automatic. An entry is {by, parts}; a
 * part carries `before` and `after`. At most `steps` entries and `bytes`: what is older goes, the newest never.
 */
class UndoStack {
  constructor(steps = UNDO_STEPS, bytes = UNDO_BYTES) {
    this.steps = steps;
    this.bytes = bytes;
    this.done = [];
    this.undone = [];
  }

  /** Bytes that an entry holds beyond those already `counted` (a set, added to): entries share maps and pictures. */
  static size(entry, counted = new Set()) {
    const once = (thing, bytes) => {
      if (!thing || counted.has(thing)) return 0;
      counted.add(thing);
      return bytes;
    };
    let total = 64;
    for (const part of entry.parts) {
      if (part.kind === "ids") total += once(part.before, part.before.byteLength) + once(part.after, part.after.byteLength);
      else if (part.kind === "side") {
        for (const { ids, image } of [part.before, part.after]) {
          total += once(ids, ids?.byteLength ?? 0) + once(image, image ? image.width * image.height * 4 : 0);
        }
      }
    }
    return total;
  }

  push(entry) {
    this.done.push(entry);
    this.undone = [];
    this.trim();
  }

  trim() {
    const counted = new Set();
    let total = 0, from = this.done.length;
    while (from > 0 && this.done.length - from < this.steps) {
      total += UndoStack.size(this.done[from - 1], counted);
      if (total > this.bytes && from < this.done.length) break;
      from--;
    }
    this.done.splice(0, from);
  }

  /** Let go of decoded pictures that can be fetched again, all but the newest few and those `shown`. */
  lighten(shown, few = 3) {
    const kept = new Set(shown);
    for (const entry of [...this.done].reverse()) {
      for (const part of entry.parts) {
        if (part.kind !== "side") continue;
        for (const side of [part.after, part.before]) {
          if (!side.image || kept.has(side.image)) continue;
          if (kept.size < shown.length + few || !side.picture?.url) kept.add(side.image);
          else side.image = null;
        }
      }
    }
  }

  undo() {
    const entry = this.done.pop();
    if (entry) this.undone.push(entry);
    return entry ?? null;
  }

  redo() {
    const entry = this.undone.pop();
    if (entry) this.done.push(entry);
    return entry ?? null;
  }

  get nextUndo() { return this.done[this.done.length - 1] ?? null; }
  get nextRedo() { return this.undone[this.undone.length - 1] ?? null; }
}

if (typeof module !== "undefined") {
  module.exports = {
    PALETTE, mapSize, sameAspect, cleanName, paletteColour, firstRegions, freeId, freeIds, partName, paintSegment, paintPolygon, floodMask,
    resizeIds, countIds, packRuns, unpackRuns, cropIds, pasteIds, changedBox, idsPart, UndoStack,
  };
}
