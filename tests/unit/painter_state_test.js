// Pure functions of the painter, run by test_painter_value.py: node painter_state_test.js WEB_FOLDER
const assert = require("assert");
const state = require(process.argv[2] + "/painter_state.js");
const { hatchOf } = require(process.argv[2] + "/painter_draw.js");

const count = (ids, id) => ids.reduce((n, each) => n + (each === id), 0);

{ // sizes keep the aspect, long side at most 1024
  assert.deepStrictEqual(state.mapSize(4000, 3000), { w: 1024, h: 768 });
  assert.deepStrictEqual(state.mapSize(300, 200), { w: 300, h: 200 });
  assert.deepStrictEqual(state.mapSize(1, 30000), { w: 1, h: 1024 });
  assert(state.sameAspect({ w: 400, h: 300 }, { w: 1024, h: 768 }));
  assert(!state.sameAspect({ w: 400, h: 300 }, { w: 300, h: 400 }));
}

{ // names
  assert.strictEqual(state.cleanName("  a\n\u0000b\u202e c  "), "a b c");
  assert.strictEqual(Array.from(state.cleanName("😀".repeat(60))).length, 40);
}

{ // a dab is round, has the wanted area, and stays inside
  const ids = new Uint8Array(100 * 80);
  const box = state.paintSegment(ids, 100, 80, { x: 50, y: 40 }, { x: 50, y: 40 }, 40, 3);
  assert(Math.abs(count(ids, 3) - Math.PI * 400) < 30, String(count(ids, 3)));
  assert.deepStrictEqual(box, { x0: 30, y0: 20, x1: 70, y1: 60 });
  assert.strictEqual(ids[21 * 100 + 31], 0);
  assert.strictEqual(state.paintSegment(ids, 100, 80, { x: -50, y: -50 }, { x: -50, y: -50 }, 20, 1), null);
  state.paintSegment(ids, 100, 80, { x: 99, y: 79 }, { x: 120, y: 90 }, 10, 2);
}

{ // the smallest brush paints an unbroken line, one pixel thick
  const ids = new Uint8Array(64 * 64);
  state.paintSegment(ids, 64, 64, { x: 3.2, y: 5.9 }, { x: 60.4, y: 33.1 }, 1, 1);
  for (let x = 4; x < 60; x++) {
    let n = 0;
    for (let y = 0; y < 64; y++) n += ids[y * 64 + x];
    assert(n >= 1 && n <= 2, `column ${x}: ${n}`);
  }
  const dot = new Uint8Array(9);
  state.paintSegment(dot, 3, 3, { x: 1, y: 1 }, { x: 1, y: 1 }, 1, 1);
  assert.strictEqual(count(dot, 1), 1);
}

{ // flood fill: connected, not diagonal, and never round the end of a row
  const w = 5, ids = Uint8Array.from([
    0, 0, 1, 0, 0,
    0, 1, 0, 0, 0,
    1, 0, 0, 0, 0,
  ]);
  const mask = state.floodMask(ids, w, 3, 0, 0, null);
  assert.deepStrictEqual([...mask], [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.strictEqual(count(state.floodMask(ids, w, 3, 4, 2, null), 1), 9);
}

{ // every pixel of a comb is reached
  const w = 201, h = 101, ids = new Uint8Array(w * h);
  for (let x = 1; x < w; x += 2) for (let y = 0; y < h - 1; y++) ids[(x % 4 === 1 ? y : y + 1) * w + x] = 1;
  const mask = state.floodMask(ids, w, h, 0, 0, null);
  assert.strictEqual(count(mask, 1), count(ids, 0));
}

{ // with edges the fill stops at a colour border, closes specks, and a wide tolerance passes
  const w = 60, h = 40, rgba = new Uint8ClampedArray(w * h * 4).fill(255);
  for (let y = 0; y < h; y++) for (let x = 30; x < w; x++) rgba.set([0, 0, 200], (y * w + x) * 4);
  rgba.set([0, 0, 0], (20 * w + 10) * 4);
  const ids = new Uint8Array(w * h);
  assert.strictEqual(count(state.floodMask(ids, w, h, 3, 3, { rgba, tolerance: 20 }), 1), 30 * h);
  assert.strictEqual(count(state.floodMask(ids, w, h, 3, 3, { rgba, tolerance: 100 }), 1), w * h);
}

{ // polygons: inside only, also when they cross themselves
  const ids = new Uint8Array(400);
  state.paintPolygon(ids, 20, 20, [{ x: 5, y: 5 }, { x: 15, y: 5 }, { x: 15, y: 12 }, { x: 5, y: 12 }], 4);
  assert.strictEqual(count(ids, 4), 70);
  state.paintPolygon(ids, 20, 20, [{ x: -50, y: -50 }, { x: 50, y: -50 }, { x: 50, y: 50 }, { x: -50, y: 50 }], 1);
  assert.strictEqual(count(ids, 1), 400);
}

{ // undo parts bring back exactly what was there
  const w = 90, h = 70;
  const before = Uint8Array.from({ length: w * h }, (_, i) => (i * 7919) % 5);
  const after = before.slice();
  state.paintSegment(after, w, h, { x: 10, y: 10 }, { x: 80, y: 60 }, 13, 9);
  const part = state.idsPart("content", w, h, before, after);
  const { box } = part, length = (box.x1 - box.x0) * (box.y1 - box.y0);
  const work = after.slice();
  state.pasteIds(work, w, box, state.unpackRuns(part.before, length));
  assert.deepStrictEqual(work, before);
  state.pasteIds(work, w, box, state.unpackRuns(part.after, length));
  assert.deepStrictEqual(work, after);
  assert.strictEqual(state.idsPart("content", w, h, before, before.slice()), null);
}

{ // the stack: a new step forgets what was undone; at least 100 steps stay whatever their size
  const stack = new state.UndoStack(200, 1000);
  const entry = (by) => ({ by, parts: [{ kind: "ids", before: new Uint32Array(99), after: new Uint32Array(99) }] });
  for (let i = 0; i < 150; i++) stack.push(entry(`e${i}`));
  assert.strictEqual(stack.done.length, 100);
  assert.strictEqual(stack.undo().by, "e149");
  assert.strictEqual(stack.nextRedo.by, "e149");
  stack.push(entry("new"));
  assert.strictEqual(stack.redo(), null);
  const roomy = new state.UndoStack();
  for (let i = 0; i < 300; i++) roomy.push(entry("x"));
  assert.strictEqual(roomy.done.length, 200);
}

{ // colours repeat after eleven regions, but never with the same hatch
  const looks = new Set();
  for (let id = 1; id <= 64; id++) looks.add(state.paletteColour(id) + hatchOf(id));
  assert.strictEqual(looks.size, 64);
  assert.strictEqual(state.freeId([{ id: 0 }, { id: 1 }, { id: 3 }]), 2);
  assert.strictEqual(state.freeId(Array.from({ length: 64 }, (_, id) => ({ id }))), null);
}

{ // resizing picks labels, never mixes them
  const ids = Uint8Array.from([1, 2, 3, 4]);
  assert.deepStrictEqual([...state.resizeIds(ids, 2, 2, 4, 2)], [1, 1, 2, 2, 3, 3, 4, 4]);
}
console.log("ok");
