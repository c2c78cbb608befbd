// The stream of answers, run by test_page.py: node stream_test.js WEB_FOLDER
const assert = require("assert");

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const later = (data) => `data: ${JSON.stringify(data)}\n\n`;
const letters = new TextEncoder();

/** A server: streams that the test writes to, receipts that it gives. */
const streams = [];
const receipts = [];
const window = {
  async fetch(input, init = {}) {
    const address = String(input.url ?? input);
    if (address.includes("queue/join")) return new Promise((done) => receipts.push((id) => done(new Response(JSON.stringify({ event_id: id })))));
    if (!address.includes("queue/data")) return new Response("other");
    const signal = init.signal ?? input.signal;
    return new Response(new ReadableStream({ start(controller) {
      streams.push({ write: (...all) => controller.enqueue(letters.encode(all.map(later).join(""))), end: () => controller.close(), controller });
      signal?.addEventListener("abort", () => controller.error(signal.reason));
    } }));
  },
};
globalThis.window = window;
require(process.argv[2] + "/stream.js");

/** As Gradio's page listens: it shuts its stream at word of the end. */
async function listen() {
  const off = new AbortController();
  const heard = [];
  const answer = await window.fetch("/queue/data?session_hash=a", { signal: off.signal });
  const done = (async () => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const whole = (rest + part.value).split("\n\n");
        rest = whole.pop();
        for (const each of whole) {
          const message = JSON.parse(each.slice(5));
          heard.push(message.msg + (message.event_id ?? ""));
          if (message.msg === "close_stream") { listen.open = false; off.abort(); }
        }
      }
    } catch (error) { heard.push(error.name); }
  })();
  listen.open = true;
  return { heard, done };
}
const completed = (id) => ({ msg: "process_completed", event_id: id, output: {} });
const END = { msg: "close_stream", event_id: null };
const joined = async () => (await (await window.fetch("/queue/join?")).json()).event_id;

(async () => {
  assert.strictEqual(await (await window.fetch("/other")).text(), "other");

  { // nothing is open: the end is told, in pieces too, and the next question finds the stream shut
    const first = joined();
    await pause(1);
    receipts.shift()("a");
    assert.strictEqual(await first, "a");
    const { heard, done } = await listen();
    const text = later(completed("a")) + later(END);
    streams[0].controller.enqueue(letters.encode(text.slice(0, 30)));
    await pause(5);
    assert.deepStrictEqual(heard, []);
    streams[0].controller.enqueue(letters.encode(text.slice(30)));
    await done;
    assert.deepStrictEqual(heard, ["process_completeda", "close_stream"]);
    assert.strictEqual(listen.open, false);
  }
  { // asked as the stream ends, its receipt sooner than word of the end, or later: the page hears no end, but the answer
    for (const late of [false, true]) {
      streams.length = 0;
      const first = joined();
      await pause(1);
      receipts.shift()("b");
      await first;
      const { heard, done } = await listen();
      const second = joined();
      await pause(1);
      if (!late) receipts.shift()("c");
      await pause(5);
      streams[0].write(completed("b"), END);
      streams[0].end();
      await pause(5);
      assert.strictEqual(streams.length, 2);
      if (late) receipts.shift()("c");
      assert.strictEqual(await second, "c");
      assert.strictEqual(listen.open, true);
      streams[1].write(completed("c"), END);
      await done;
      assert.deepStrictEqual(heard, ["process_completedb", "process_completedc", "close_stream"]);
    }
  }
  { // a receipt that comes while the page is being told of the end waits for the page to shut its stream
    streams.length = 0;
    const { heard, done } = await listen();
    streams[0].write(END);
    await pause(0);
    const id = joined().then((got) => [got, listen.open]);
    await pause(1);
    receipts.shift()("d");
    assert.deepStrictEqual(await id, ["d", false]);
    await done;
    assert.deepStrictEqual(heard, ["close_stream"]);
    const next = await listen();
    streams[1].write(completed("d"), END);
    await next.done;
  }
  { // an answer that is sooner than its receipt leaves nothing open
    streams.length = 0;
    const { heard, done } = await listen();
    const id = joined();
    await pause(1);
    streams[0].write(completed("e"));
    await pause(5);
    receipts.shift()("e");
    await id;
    streams[0].write(END);
    await done;
    assert.deepStrictEqual(heard, ["process_completede", "close_stream"]);
  }
  { // a lost connection is the page's to tell; what was open then holds no later stream open
    streams.length = 0;
    const first = joined();
    await pause(1);
    receipts.shift()("f");
    await first;
    const lost = await listen();
    streams[0].controller.error(new TypeError("lost"));
    await lost.done;
    assert.deepStrictEqual(lost.heard, ["TypeError"]);
    const { heard, done } = await listen();
    streams[1].write(END);
    await done;
    assert.deepStrictEqual(heard, ["close_stream"]);
  }
  console.log("ok");
})().catch((error) => { console.error(error); process.exit(1); });
