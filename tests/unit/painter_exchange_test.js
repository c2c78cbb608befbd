// How the painter takes over what Python sends, run by test_painter_value.py: node painter_exchange_test.js WEB_FOLDER
const assert = require("assert");
const fs = require("fs");
const vm = require("vm");

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const read = (name) => fs.readFileSync(`${process.argv[2]}/${name}`, "utf8");

/** A painter whose taking over is slow, as inflating large maps is; it notes what it took over and what it offered. */
class Painter {
  constructor() {
    Object.assign(this, { v: 3, by: "edited", sides: { content: {}, style: {} }, panes: [], gestures: { rest: async () => {} }, taken: [], offered: [] });
  }
}
const context = { Painter, SIDES: ["content", "style"], element: null, props: null, trigger: null, upload: null, watch: null };
vm.createContext(context);
vm.runInContext(read("painter_exchange.js").replace("new Painter(element", "(() => {})(element"), context);

function painter() {
  const made = new Painter();
  made.adopt = async (value) => {
    await pause(10);
    made.taken.push(value);
    made.v = value.v + 1;
    await pause(10); // the value that goes back is packed meanwhile
    made.written = JSON.stringify({ ...value, v: made.v });
  };
  made.offerLater = (value) => made.offered.push(value);
  return made;
}

(async () => {
  const value = { v: 3, by: "auto", content: {}, style: {} };
  { // the same value told again while it is taken over is no later one, at whatever moment it comes
    for (const wait of [0, 5, 15]) {
      const app = painter();
      const first = app.receive(value);
      await pause(wait);
      await Promise.all([first, app.receive(value)]);
      assert.strictEqual(app.taken.length, 1);
      assert.strictEqual(app.offered.length, 0);
    }
  }
  { // told once more afterwards it is asked for again: an example that is picked twice comes back
    const app = painter();
    const example = { ...value, by: "load" };
    await app.receive(example);
    await app.receive(example);
    assert.strictEqual(app.taken.length, 2);
  }
  { // the maps that Auto found are told twice by Gradio: once is enough, however late the second time
    const app = painter();
    await app.receive(value);
    await app.receive(value);
    assert.deepStrictEqual([app.taken.length, app.offered.length], [1, 0]);
  }
  { // what Python made of an earlier state is offered, and does not replace what was painted since
    const app = painter();
    app.v = 9;
    await app.receive(value);
    assert.deepStrictEqual([app.taken.length, app.offered.length], [0, 1]);
  }
  console.log("ok");
})().catch((error) => { console.error(error); process.exit(1); });
