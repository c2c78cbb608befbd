// Bytes: deflate (zlib), base64, and PNG files written straight from region ids, so no canvas ever rounds a label.

async function pump(bytes, transform) {
  const stream = new Blob([bytes]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** zlib stream of `bytes`. */
function deflate(bytes) {
  return pump(bytes, new CompressionStream("deflate"));
}

/** The bytes of a zlib stream; throws unless there are exactly `length` of them. */
async function inflate(bytes, length) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(length);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > length) {
      await reader.cancel();
      throw new Error("map longer than its size");
    }
    out.set(value, at);
    at += value.length;
  }
  if (at !== length) throw new Error("map shorter than its size");
  return out;
}

function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function pngChunk(type, data) {
  const chunk = new Uint8Array(data.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) chunk[4 + i] = type.charCodeAt(i);
  chunk.set(data, 8);
  view.setUint32(data.length + 8, crc32(chunk.subarray(4, data.length + 8)));
  return chunk;
}

/** An iTXt chunk: a keyword and UTF-8 text, not compressed. */
function textChunk(keyword, text) {
  const utf8 = new TextEncoder();
  const [head, body] = [utf8.encode(keyword), utf8.encode(text)];
  const data = new Uint8Array(head.length + 5 + body.length);
  data.set(head);
  data.set(body, head.length + 5); // end of keyword, no compression, no language, no translation
  return pngChunk("iTXt", data);
}

/** PNG file: `samples` is row-major with 1 (grey) or 3 (RGB) bytes a pixel. `texts`: keyword → text that it carries. */
async function encodePng(width, height, channels, samples, texts = {}) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const stride = width * channels;
  const rows = new Uint8Array((stride + 1) * height);
  for (let y = 0; y < height; y++) rows.set(samples.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    pngChunk("IHDR", header),
    ...Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text)),
    pngChunk("IDAT", await deflate(rows)),
    pngChunk("IEND", new Uint8Array(0)),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

function hexToRgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

const LEGEND_KEYWORD = "scsa-map";

/** What a map's numbers mean, as JSON: names, colours and links. The map's file carries it too. */
function legendJson(regions, links) {
  return JSON.stringify({ schema: "scsa-map/1", regions: regions.map(({ id, name, colour }) => ({ id, name, colour })), links }, null, 1);
}

/** The map as grey values = region ids. */
function indexPng(side, legend = null) {
  return encodePng(side.w, side.h, 1, side.ids, legend === null ? {} : { [LEGEND_KEYWORD]: legend });
}

/** The map in its regions' colours. */
function colourPng(side, regions, legend = null) {
  const colours = new Map(regions.map((region) => [region.id, hexToRgb(region.colour)]));
  const samples = new Uint8Array(side.ids.length * 3);
  side.ids.forEach((id, i) => samples.set(colours.get(id) ?? [0, 0, 0], i * 3));
  return encodePng(side.w, side.h, 3, samples, legend === null ? {} : { [LEGEND_KEYWORD]: legend });
}

if (typeof module !== "undefined") {
  module.exports = { deflate, inflate, toBase64, fromBase64, encodePng, legendJson, indexPng, colourPng, hexToRgb };
}
