// The shape of a region: its parts, holes and borders, and how far a fill reaches. Pure functions: no page, no canvas.
// Maps are as in painter_state.js. What changes a map does so in place and returns how many pixels changed.

const SPECK = 0.0005; // share of the picture below which a patch is a speck, not a part

/** Specks have fewer pixels than this. */
function speckSize(w, h) {
  return Math.max(9, Math.round(w * h * SPECK));
}

/**
 * The connected parts of a region, largest first: arrays of pixel indices.
 * `diagonal`: pixels that touch at a corner belong together, so that a thin slanted line is one part.
 */
function partsOf(ids, w, h, id, diagonal = true) {
  const seen = new Uint8Array(ids.length);
  const parts = [];
  for (let start = 0; start < ids.length; start++) {
    if (seen[start] || ids[start] !== id) continue;
    const part = [start];
    seen[start] = 1;
    for (let k = 0; k < part.length; k++) {
      const i = part[k], x = i % w, y = (i - x) / w;
      for (let v = Math.max(0, y - 1); v <= Math.min(h - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(w - 1, x + 1); u++) {
          if (!diagonal && u !== x && v !== y) continue;
          const j = v * w + u;
          if (!seen[j] && ids[j] === id) { seen[j] = 1; part.push(j); }
        }
      }
    }
    parts.push(part);
  }
  return parts.sort((a, b) => b.length - a.length);
}

/**
 * Part a region into its connected parts. The largest keeps its id, as do specks; every other part takes the next
 * of `free`, largest first, while there are any. Returns the ids given.
 */
function splitParts(ids, w, h, id, free) {
  const parts = partsOf(ids, w, h, id).slice(1).filter((part) => part.length >= speckSize(w, h)).slice(0, free.length);
  parts.forEach((part, k) => { for (const i of part) ids[i] = free[k]; });
  return free.slice(0, parts.length);
}

/** Close what a region surrounds: Rest of any size, and specks of other regions. A region of some size inside stays. */
function fillHoles(ids, w, h, id) {
  const outside = new Uint8Array(ids.length);
  const queue = [];
  const reach = (i) => { if (!outside[i] && ids[i] !== id) { outside[i] = 1; queue.push(i); } };
  for (let x = 0; x < w; x++) { reach(x); reach((h - 1) * w + x); }
  for (let y = 0; y < h; y++) { reach(y * w); reach(y * w + w - 1); }
  while (queue.length > 0) {
    const i = queue.pop(), x = i % w;
    if (x > 0) reach(i - 1);
    if (x < w - 1) reach(i + 1);
    if (i >= w) reach(i - w);
    if (i < w * (h - 1)) reach(i + w);
  }
  const inside = new Uint8Array(ids.length); // 1: in a hole, of another region
  let changed = 0;
  const others = new Set();
  for (let i = 0; i < ids.length; i++) {
    if (outside[i] || ids[i] === id) continue;
    if (ids[i] === 0) { ids[i] = id; changed++; }
    else { inside[i] = 1; others.add(ids[i]); }
  }
  for (const other of others) {
    for (const part of partsOf(ids, w, h, other, false)) {
      if (!inside[part[0]] || part.length >= speckSize(w, h)) continue;
      for (const i of part) ids[i] = id;
      changed += part.length;
    }
  }
  return changed;
}

/** One pixel wider on every side, over whatever is there. */
function growRegion(ids, w, h, id) {
  const before = ids.slice();
  let changed = 0;
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
    if (before[i] === id) continue;
    const near = (x > 0 && before[i - 1] === id) || (x < w - 1 && before[i + 1] === id)
      || (y > 0 && before[i - w] === id) || (y < h - 1 && before[i + w] === id);
    if (near) { ids[i] = id; changed++; }
  }
  return changed;
}

/** One pixel narrower: what is given up goes to the region beside it. The picture's own border is no border of a region. */
function shrinkRegion(ids, w, h, id) {
  const before = ids.slice();
  let changed = 0;
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
    if (before[i] !== id) continue;
    const beside = [];
    if (x > 0) beside.push(before[i - 1]);
    if (x < w - 1) beside.push(before[i + 1]);
    if (y > 0) beside.push(before[i - w]);
    if (y < h - 1) beside.push(before[i + w]);
    const taker = commonest(beside.filter((other) => other !== id));
    if (taker !== null) { ids[i] = taker; changed++; }
  }
  return changed;
}

function commonest(values) {
  let best = null, most = 0;
  for (const value of values) {
    const n = values.filter((each) => each === value).length;
    if (n > most) [best, most] = [value, n];
  }
  return best;
}

/** Round off a region's border: a pixel belongs to it where most of what is around does. Straight borders stay. */
function smoothRegion(ids, w, h, id, radius = Math.max(2, Math.round(Math.max(w, h) / 200))) {
  const inside = Float32Array.from(ids, (each) => (each === id ? 1 : 0));
  const soft = boxMean(boxMean(inside, w, h, radius), w, h, radius);
  const before = ids.slice();
  let changed = 0;
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
    if (before[i] === id ? soft[i] >= 0.5 : soft[i] <= 0.5) continue;
    const to = before[i] === id ? neighbour(before, w, h, x, y, id, radius) : id;
    if (to !== null) { ids[i] = to; changed++; }
  }
  return changed;
}

/** The commonest other id around a pixel, or null. */
function neighbour(ids, w, h, x, y, id, radius) {
  const counts = new Uint16Array(256);
  let best = null;
  for (let v = Math.max(0, y - radius); v <= Math.min(h - 1, y + radius); v++) {
    for (let u = Math.max(0, x - radius); u <= Math.min(w - 1, x + radius); u++) {
      const other = ids[v * w + u];
      if (other === id) continue;
      counts[other]++;
      if (best === null || counts[other] > counts[best]) best = other;
    }
  }
  return best;
}

/** Mean over (2r+1) x (2r+1) pixels; beyond the border the border goes on. */
function boxMean(values, w, h, r) {
  const rows = new Float32Array(values.length), out = new Float32Array(values.length);
  const run = (from, to, length, stride, start) => {
    const at = (k) => from[start + Math.min(length - 1, Math.max(0, k)) * stride];
    let sum = 0;
    for (let k = -r; k <= r; k++) sum += at(k);
    for (let k = 0; k < length; k++) {
      to[start + k * stride] = sum / (2 * r + 1);
      sum += at(k + r + 1) - at(k - r);
    }
  };
  for (let y = 0; y < h; y++) run(values, rows, w, 1, y * w);
  for (let x = 0; x < w; x++) run(rows, out, h, w, x);
  return out;
}

// ---------------------------------------------------------------- fill

/**
 * How far a fill from (x, y) must go to take each pixel of the area connected to it that carries the same id:
 * a tolerance of 0..100, FAR where it never does. `rgba` are the picture's colours at the map's size.
 * A pixel costs what its colour differs from the seed's; across smooth shading it costs less than across an edge.
 */
const FAR = 255;
function fillCosts(ids, w, h, x, y, rgba) {
  const seed = y * w + x;
  const target = ids[seed];
  const own = colourCosts(w, h, x, y, rgba);
  const costs = new Uint8Array(ids.length).fill(FAR);
  const queues = Array.from({ length: 101 }, () => []);
  costs[seed] = 0; // the seed itself, whatever its own colour
  queues[0].push(seed);
  const reach = (i, cost) => {
    if (costs[i] !== FAR || ids[i] !== target) return;
    costs[i] = Math.max(cost, own[i]);
    queues[costs[i]].push(i);
  };
  for (let cost = 0; cost <= 100; cost++) {
    const queue = queues[cost];
    for (let i = queue.pop(); i !== undefined; i = queue.pop()) {
      const u = i % w;
      if (u > 0) reach(i - 1, cost);
      if (u < w - 1) reach(i + 1, cost);
      if (i >= w) reach(i - w, cost);
      if (i < ids.length - w) reach(i + w, cost);
    }
  }
  return costs;
}

const SHADING = 0.5; // what a difference of colour counts where the picture is smooth
const EDGE = 40; // step of colour between pixels two apart that is a full edge, in the weighted units below

/** Distance of two colours: weights 2, 4, 3 for red, green, blue, so at most 765. */
function colourStep(rgba, i, r, g, b) {
  const dr = rgba[i * 4] - r, dg = rgba[i * 4 + 1] - g, db = rgba[i * 4 + 2] - b;
  return Math.sqrt(2 * dr * dr + 4 * dg * dg + 3 * db * db);
}

/** What each pixel costs by itself, 0..100. */
function colourCosts(w, h, x, y, rgba) {
  const mean = [0, 0, 0];
  let n = 0;
  for (let v = Math.max(0, y - 2); v <= Math.min(h - 1, y + 2); v++) {
    for (let u = Math.max(0, x - 2); u <= Math.min(w - 1, x + 2); u++, n++) {
      for (let c = 0; c < 3; c++) mean[c] += rgba[(v * w + u) * 4 + c];
    }
  }
  const [r, g, b] = mean.map((sum) => sum / n);
  const step = (i, j) => colourStep(rgba, i, rgba[j * 4], rgba[j * 4 + 1], rgba[j * 4 + 2]);
  const costs = new Uint8Array(w * h);
  for (let v = 0, i = 0; v < h; v++) for (let u = 0; u < w; u++, i++) {
    const across = step(v > 0 ? i - w : i, v < h - 1 ? i + w : i), along = step(u > 0 ? i - 1 : i, u < w - 1 ? i + 1 : i);
    const edge = Math.min(1, Math.max(across, along) / EDGE);
    const away = colourStep(rgba, i, r, g, b) * (SHADING + (1 - SHADING) * edge);
    costs[i] = Math.ceil(100 * (away / 765) ** (2 / 3) - 1e-9); // the root makes low values fine
  }
  return costs;
}

/** What a fill takes at a tolerance: a mask of 0 and 1, specks that it left out closed. */
function fillMask(costs, ids, w, h, target, tolerance) {
  const mask = new Uint8Array(costs.length);
  for (let i = 0; i < costs.length; i++) mask[i] = costs[i] <= tolerance ? 1 : 0;
  closeHoles(mask, ids, w, h, target, Math.max(16, (w * h) / 2000));
  return mask;
}

/** Add to the mask every enclosed patch of the same id that is smaller than `limit` pixels: specks a fill left out. */
function closeHoles(mask, ids, w, h, target, limit) {
  const seen = new Uint8Array(w * h);
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] || seen[start] || ids[start] !== target) continue;
    const patch = [start];
    seen[start] = 1;
    let border = false;
    for (let k = 0; k < patch.length; k++) {
      const i = patch[k], x = i % w;
      for (const [j, inside] of [[i - 1, x > 0], [i + 1, x < w - 1], [i - w, i >= w], [i + w, i < w * (h - 1)]]) {
        if (!inside) border = true;
        else if (!mask[j] && !seen[j]) {
          if (ids[j] === target) { seen[j] = 1; patch.push(j); }
          else border = true;
        }
      }
    }
    if (!border && patch.length < limit) for (const i of patch) mask[i] = 1;
  }
}

// ---------------------------------------------------------------- links

/** Links after region `from` became part of `into`. `fresh`: `into` had no area in the content, so it takes over what fed `from`. */
function mergedLinks(links, from, into, fresh) {
  const merged = {};
  for (const [key, targets] of Object.entries(links)) {
    if (Number(key) !== from) merged[key] = [...new Set(targets.map((target) => (target === from ? into : target)))];
  }
  if (fresh && !(into in links) && from in links) merged[into] = [...new Set(links[from].map((target) => (target === from ? into : target)))];
  return merged;
}

/** Links after region `id` of one picture was split: the new parts are fed by, or feed, what the whole was. */
function splitLinks(links, side, id, parts) {
  if (parts.length === 0) return links;
  const split = structuredClone(links);
  if (side === "content") {
    for (const part of parts) split[part] = [...(links[id] ?? [id])];
    return split;
  }
  split[id] ??= [id];
  for (const targets of Object.values(split)) if (targets.includes(id)) targets.push(...parts);
  return split;
}

if (typeof module !== "undefined") {
  module.exports = {
    speckSize, partsOf, splitParts, fillHoles, growRegion, shrinkRegion, smoothRegion, boxMean,
    fillCosts, fillMask, closeHoles, mergedLinks, splitLinks, FAR,
  };
}
