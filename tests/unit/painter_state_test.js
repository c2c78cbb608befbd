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

{ // runs of every length come back
  for (const n of [1, 127, 128, 129, 16383, 16384, 70000]) {
    const ids = new Uint8Array(n + 3).fill(200, 0, n);
    ids.set([1, 255, 0], n);
    assert.deepStrictEqual(state.unpackRuns(state.packRuns(ids), ids.length), ids);
  }
}

{ // the stack: a new step forgets what was undone
  const stack = new state.UndoStack();
  const entry = (by) => ({ by, parts: [] });
  for (let i = 0; i < 300; i++) stack.push(entry(`e${i}`));
  assert.strictEqual(stack.done.length, 200);
  assert.strictEqual(stack.undo().by, "e299");
  assert.strictEqual(stack.nextRedo.by, "e299");
  stack.push(entry("new"));
  assert.strictEqual(stack.redo(), null);
}

{ // 64 MB hold a hundred automatic steps over both pictures, each a ragged map of 30 regions at 1024 x 768
  const w = 1024, h = 768;
  const ragged = (seed) => {
    const ids = new Uint8Array(w * h);
    for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
      ids[i] = 1 + ((((x / 61) | 0) * 7 + (((y + ((x * seed) % 5)) / 53) | 0) * 3 + seed) % 30);
    }
    return ids;
  };
  const { before, after, ...rest } = state.idsPart("content", w, h, ragged(2), ragged(3));
  const part = (side) => ({ ...rest, side, before: before.slice(), after: after.slice() });
  const stack = new state.UndoStack();
  for (let k = 0; k < 120; k++) stack.push({ by: "auto", parts: [part("content"), part("style")] });
  const counted = new Set();
  const bytes = stack.done.reduce((sum, entry) => sum + state.UndoStack.size(entry, counted), 0);
  assert(stack.done.length >= 100 && bytes <= 64e6, `${stack.done.length} steps, ${bytes} bytes`);
}

{ // bytes are bounded whatever the steps hold; the newest step stays; a shared map counts once
  const big = () => ({ kind: "ids", before: new Uint32Array(1000), after: new Uint32Array(1000) });
  const stack = new state.UndoStack(200, 50000);
  for (let i = 0; i < 40; i++) stack.push({ by: `e${i}`, parts: [big()] });
  assert.strictEqual(stack.done.length, 6);
  assert.strictEqual(stack.nextUndo.by, "e39");
  stack.push({ by: "huge", parts: [{ ...big(), after: new Uint32Array(20000) }] });
  assert.deepStrictEqual(stack.done.map((entry) => entry.by), ["huge"]);
  const side = { ids: new Uint8Array(40000), image: null };
  const shared = new state.UndoStack(200, 50000);
  for (let i = 0; i < 9; i++) shared.push({ by: "swap", parts: [{ kind: "side", before: side, after: side }] });
  assert.strictEqual(shared.done.length, 9);
}

{ // decoded pictures that the server has are let go of, except the newest and those on the page
  const picture = (n, url) => ({ ids: null, image: { n, width: 10, height: 10 }, picture: url ? { url } : null });
  const sides = Array.from({ length: 12 }, (_, n) => picture(n, n === 1 ? null : `/p${n}`));
  const stack = new state.UndoStack();
  for (let n = 0; n + 1 < sides.length; n++) stack.push({ by: "picture", parts: [{ kind: "side", before: sides[n], after: sides[n + 1] }] });
  stack.lighten([sides[0].image], 3);
  assert.deepStrictEqual(sides.filter((side) => side.image).map((side) => side.image.n), [0, 1, 9, 10, 11]);
}

{ // a pen's stroke swells: the size goes from one end to the other
  const ids = new Uint8Array(200 * 60);
  state.paintSegment(ids, 200, 60, { x: 30, y: 30 }, { x: 170, y: 30 }, 40, 1, 4);
  const column = (x) => { let n = 0; for (let y = 0; y < 60; y++) n += ids[y * 200 + x]; return n; };
  assert(column(31) <= 6 && Math.abs(column(100) - 22) <= 2 && column(168) >= 38, [31, 100, 168].map(column).join());
}

{ // names of parts are new, and short enough
  const used = new Set(["sky", "sky 3"]);
  assert.deepStrictEqual([state.partName("sky", 2, used), state.partName("sky", 3, used)], ["sky 2", "sky 4"]);
  assert(Array.from(state.partName("x".repeat(40), 12, used)).length <= 40);
  assert.deepStrictEqual(state.freeIds([{ id: 0 }, { id: 2 }]).slice(0, 3), [1, 3, 4]);
  assert.strictEqual(state.freeIds(Array.from({ length: 60 }, (_, id) => ({ id }))).length, 4);
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
