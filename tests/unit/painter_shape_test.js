// Pure functions of the painter's shapes, run by test_painter_value.py: node painter_shape_test.js WEB_FOLDER
const assert = require("assert");
const shape = require(process.argv[2] + "/painter_shape.js");
const { sortFiles } = require(process.argv[2] + "/painter_files.js");

/** A map from rows of digits. */
const draw = (...rows) => ({ w: rows[0].length, h: rows.length, ids: Uint8Array.from(rows.join(""), Number) });
const rows = ({ ids, w, h }) => Array.from({ length: h }, (_, y) => Array.from(ids.subarray(y * w, (y + 1) * w)).join(""));
const count = (ids, id) => ids.reduce((n, each) => n + (each === id), 0);
/** A map with rectangles [x0, y0, x1, y1, id]. */
function boxes(w, h, list, ground = 0) {
  const ids = new Uint8Array(w * h).fill(ground);
  for (const [x0, y0, x1, y1, id] of list) for (let y = y0; y < y1; y++) ids.fill(id, y * w + x0, y * w + x1);
  return { w, h, ids };
}

{ // parts: largest first; corners join or not
  const m = draw("1100", "0010", "0000", "1111");
  assert.deepStrictEqual(shape.partsOf(m.ids, m.w, m.h, 1).map((part) => part.length), [4, 3]);
  assert.deepStrictEqual(shape.partsOf(m.ids, m.w, m.h, 1, false).map((part) => part.length), [4, 2, 1]);
  assert.deepStrictEqual(shape.partsOf(m.ids, m.w, m.h, 9), []);
}

{ // split: the largest part and specks keep the id, the rest take new ones; other regions are untouched
  const m = boxes(100, 80, [[0, 0, 40, 40, 1], [60, 0, 80, 20, 1], [60, 50, 70, 60, 1], [90, 70, 92, 72, 1], [50, 70, 60, 80, 2]]);
  assert.deepStrictEqual(shape.splitParts(m.ids, 100, 80, 1, [5, 6, 7]), [5, 6]);
  assert.deepStrictEqual([1, 5, 6, 2].map((id) => count(m.ids, id)), [1604, 400, 100, 100]);
  assert.deepStrictEqual(shape.splitParts(m.ids, 100, 80, 1, [7]), []);
  const full = boxes(100, 80, [[0, 0, 40, 40, 1], [60, 0, 80, 20, 1], [60, 50, 70, 60, 1]]);
  assert.deepStrictEqual(shape.splitParts(full.ids, 100, 80, 1, [5]), [5]); // one free id: the third part stays
  assert.strictEqual(count(full.ids, 1), 1700);
}

{ // holes: Rest inside and specks of others go, a region of some size and the open side stay
  const m = boxes(100, 80, [[10, 10, 90, 70, 1], [20, 20, 30, 30, 0], [40, 20, 60, 40, 2], [70, 20, 72, 22, 3], [85, 40, 100, 45, 0]]);
  const changed = shape.fillHoles(m.ids, 100, 80, 1);
  assert.strictEqual(changed, 104);
  assert.deepStrictEqual([2, 3].map((id) => count(m.ids, id)), [400, 0]);
  assert.strictEqual(m.ids[25 * 100 + 25], 1);
  assert.strictEqual(m.ids[42 * 100 + 88], 0);
  assert.strictEqual(shape.fillHoles(m.ids, 100, 80, 1), 0);
}

{ // grow and shrink by one pixel
  const m = draw("000000", "001100", "001122", "000000");
  assert.strictEqual(shape.growRegion(m.ids, m.w, m.h, 1), 8);
  assert.deepStrictEqual(rows(m), ["001100", "011110", "011112", "001100"]);
  assert.strictEqual(shape.shrinkRegion(m.ids, m.w, m.h, 1) > 0, true);
  assert.deepStrictEqual(rows(m), ["000000", "001100", "001122", "000000"]);
  const wide = boxes(40, 30, [[0, 0, 20, 30, 1], [20, 0, 40, 30, 2]]);
  assert.strictEqual(shape.shrinkRegion(wide.ids, 40, 30, 1), 30); // the picture's border is none of the region's
  assert.deepStrictEqual([count(wide.ids, 1), count(wide.ids, 2), count(wide.ids, 0)], [570, 630, 0]);
  assert.strictEqual(shape.growRegion(wide.ids, 40, 30, 1), 30);
  assert.strictEqual(count(wide.ids, 1), 600);
  const all = boxes(9, 9, [], 1);
  assert.strictEqual(shape.shrinkRegion(all.ids, 9, 9, 1) + shape.growRegion(all.ids, 9, 9, 1), 0);
}

{ // smoothing takes teeth off a border, and leaves straight ones and a disc nearly alone
  const w = 200, h = 120;
  const teeth = boxes(w, h, [[0, 60, w, h, 2]], 1);
  for (let x = 0; x < w; x += 6) for (let y = 57; y < 60; y++) teeth.ids.fill(2, y * w + x, y * w + Math.min(w, x + 3));
  const border = (ids) => { let n = 0; for (let i = 0; i < ids.length - 1; i++) n += (i % w !== w - 1) && ids[i] !== ids[i + 1]; return n; };
  const before = border(teeth.ids);
  assert(shape.smoothRegion(teeth.ids, w, h, 2, 5) > 0);
  assert(border(teeth.ids) < before / 3, `${before} -> ${border(teeth.ids)}`);
  const straight = boxes(w, h, [[0, 60, w, h, 2]], 1);
  assert.strictEqual(shape.smoothRegion(straight.ids, w, h, 2, 3), 0);
  const disc = boxes(w, h, []);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) if ((x - 100) ** 2 + (y - 60) ** 2 < 40 ** 2) disc.ids[y * w + x] = 1;
  const area = count(disc.ids, 1);
  shape.smoothRegion(disc.ids, w, h, 1, 3);
  assert(Math.abs(count(disc.ids, 1) / area - 1) < 0.02);
  const spur = boxes(w, h, [[0, 0, 100, h, 1], [100, 0, w, h, 3], [100, 60, 130, 61, 1]]);
  shape.smoothRegion(spur.ids, w, h, 1, 2);
  assert.strictEqual(spur.ids[60 * w + 120], 3); // what is given up goes to what is beside it, not to Rest
}

{ // a fill stops at a colour border, closes specks, and a wide tolerance passes
  const w = 60, h = 40, rgba = new Uint8ClampedArray(w * h * 4).fill(255);
  for (let y = 0; y < h; y++) for (let x = 30; x < w; x++) rgba.set([0, 0, 200], (y * w + x) * 4);
  rgba.set([0, 0, 0], (20 * w + 10) * 4);
  const ids = new Uint8Array(w * h);
  const costs = shape.fillCosts(ids, w, h, 3, 3, rgba);
  const taken = (tolerance) => count(shape.fillMask(costs, ids, w, h, 0, tolerance), 1);
  assert.strictEqual(taken(1), 30 * h);
  assert.strictEqual(taken(20), 30 * h);
  assert.strictEqual(taken(100), w * h);
  for (let t = 2, last = taken(1); t <= 100; t++) { const now = taken(t); assert(now >= last); last = now; }
  ids.fill(2, 0, 5 * w); // another region is a border at any tolerance
  assert.strictEqual(count(shape.fillMask(shape.fillCosts(ids, w, h, 3, 20, rgba), ids, w, h, 0, 100), 1), w * (h - 5));
}

{ // smooth shading does not stop a fill where an edge of the same difference does
  const w = 200, h = 20, sky = new Uint8ClampedArray(w * h * 4).fill(255), step = sky.slice();
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    sky.set([40 + (x * 120) / w, 90 + (x * 120) / w, 200], (y * w + x) * 4);
    step.set(x < 100 ? [40, 90, 200] : [160, 210, 200], (y * w + x) * 4);
  }
  const ids = new Uint8Array(w * h);
  const far = (rgba) => shape.fillCosts(ids, w, h, 3, 10, rgba)[10 * w + w - 4];
  assert(far(sky) < far(step) * 0.75, `${far(sky)} ${far(step)}`);
}

{ // links after a merge
  assert.deepStrictEqual(shape.mergedLinks({ 1: [2, 3], 4: [5] }, 2, 3, false), { 1: [3], 4: [5] });
  assert.deepStrictEqual(shape.mergedLinks({ 1: [2], 4: [5] }, 1, 4, false), { 4: [5] });
  assert.deepStrictEqual(shape.mergedLinks({ 1: [2] }, 1, 4, true), { 4: [2] });
  assert.deepStrictEqual(shape.mergedLinks({ 1: [1, 2] }, 1, 4, true), { 4: [4, 2] });
}

{ // links after a split: nothing changes in what feeds what
  assert.deepStrictEqual(shape.splitLinks({ 1: [2] }, "content", 1, [7, 8]), { 1: [2], 7: [2], 8: [2] });
  assert.deepStrictEqual(shape.splitLinks({}, "content", 1, [7]), { 7: [1] });
  assert.deepStrictEqual(shape.splitLinks({ 3: [1] }, "style", 1, [7]), { 1: [1, 7], 3: [1, 7] });
  const same = { 3: [] };
  assert.strictEqual(shape.splitLinks(same, "style", 1, []), same);
}

{ // files by name
  const named = (...names) => names.map((name) => ({ name }));
  const all = sortFiles("style", named("1_paint_sem.png", "1.jpg", "1_sem.png", "1_paint.jpg", "regions.json"));
  assert.deepStrictEqual([all.pictures.content.name, all.pictures.style.name], ["1.jpg", "1_paint.jpg"]);
  assert.deepStrictEqual(all.maps.map((file) => file.name), ["1_paint_sem.png", "1_sem.png", "regions.json"]);
  assert.deepStrictEqual(sortFiles("style", named("photo.jpg")).pictures, { style: { name: "photo.jpg" } });
  assert.deepStrictEqual(sortFiles("content", named("roadmap.png", "coast (1).png", "coast-2.png")).maps, []);
  for (const again of ["content_map (1).png", "content_map(1).png", "style_labels-2.png"]) {
    assert.deepStrictEqual(sortFiles("content", named(again)), { pictures: {}, maps: named(again) });
  }
}
console.log("ok");
