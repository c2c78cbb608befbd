/* Answers reach Gradio's page by one stream, which its server ends when nothing is open. A question
 * asked in that moment is answered on the next stream; but where its receipt comes before word of the
 * end, the page opens none and waits for ever. So here an end that meets a question goes no further:
 * the stream is opened again behind the page's back. And a receipt that meets an end waits until the
 * page has closed its stream. */
"use strict";
(() => {
  const CLOSED = 2000; // ms that the page has for closing
  const plain = window.fetch;
  const open = new Set(); // ids of questions without an answer
  const early = new Set(); // ids of answers that came before their question's receipt
  let asking = 0; // questions without a receipt
  let closing = null; // a promise, while the page is about to close its stream

  async function ask(...request) {
    asking += 1;
    let answer;
    try {
      answer = await plain.apply(window, request);
      const id = answer.ok ? (await answer.clone().json()).event_id : null;
      if (id && !early.delete(id)) open.add(id);
    } catch (error) {
      if (!answer) throw error; // what cannot be read is the page's to tell
    } finally {
      asking -= 1;
    }
    while (closing) await closing;
    return answer;
  }

  /** Whether a message is the end of the stream. Remembers which question it answers. */
  function ends(message) {
    if (!/"msg":"(process_completed|close_stream)"/.test(message.slice(0, 200))) return false;
    const { msg, event_id: id } = JSON.parse(message.replace(/^data:/, ""));
    if (msg === "close_stream") return true;
    if (!open.delete(id)) early.add(id);
    return false;
  }

  async function* messages(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const whole = (rest + part.value).split("\n\n");
      rest = whole.pop();
      yield* whole;
    }
    if (rest) yield rest;
  }

  /** The page hears the end next: no receipt reaches it before it has closed. */
  function close(signal) {
    closing = new Promise((resolve) => {
      const done = () => { closing = null; resolve(); };
      signal?.addEventListener("abort", done, { once: true });
      setTimeout(done, CLOSED);
    });
  }

  async function listen(input, init) {
    const signal = init?.signal ?? input.signal;
    const first = await plain.call(window, input, init);
    if (!first.ok || !first.body) return first;
    const letters = new TextEncoder();
    const pass = async (controller) => {
      let answer = first;
      while (answer) {
        const { body } = answer;
        answer = null;
        for await (const message of messages(body)) {
          const ended = ends(message);
          if (ended && asking + open.size > 0) {
            answer = await plain.call(window, input, init);
            if (!answer.ok) throw new TypeError(`no stream of answers: ${answer.status}`);
            break;
          }
          controller.enqueue(letters.encode(`${message}\n\n`));
          if (ended) {
            close(signal);
            break; // the page breaks the server's off, which must not look to it like a lost connection
          }
        }
      }
      controller.close();
    };
    const failed = (controller, error) => {
      open.clear(); // the page gives up what it waited for
      controller.error(error);
    };
    const body = new ReadableStream({ start: (controller) => { pass(controller).catch((error) => failed(controller, error)); } });
    return new Response(body, { status: first.status, headers: first.headers });
  }

  window.fetch = function fetch(...request) {
    const address = String(request[0]?.url ?? request[0]);
    if (/\/queue\/join(\?|$)/.test(address)) return ask(...request);
    if (/\/queue\/data(\?|$)/.test(address)) return listen(...request);
    return plain.apply(window, request);
  };
})();
