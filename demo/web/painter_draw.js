// How a map looks: colour and hatch per region, written as pixels from the ids. The canvas is never read back.

const HATCH_PERIOD = 12; // CSS pixels

/** Is (x, y) on a line of the hatch? `period` and `width` in the same unit as x and y. */
function onHatch(kind, x, y, period, width) {
  const mod = (value) => ((value % period) + period) % period;
  switch (kind) {
    case 0: return mod(x + y) < width * 1.4;
    case 1: return mod(x) < width;
    case 2: return mod(x - y) < width * 1.4;
    case 3: return mod(y) < width;
    case 4: { // dots
      const [dx, dy] = [mod(x) - period / 2, mod(y) - period / 2];
      return dx * dx + dy * dy < (width * 1.3) ** 2;
    }
    default: return mod(x) < width || mod(y) < width; // cross
  }
}

/** Hatch of a region: six kinds, so that colours repeating after eleven never meet the same hatch again. */
function hatchOf(id) {
  return id === 0 ? -1 : (id - 1) % 6;
}

/** One tile per kind of hatch, `period` x `period` pixels of 0 and 1. */
function hatchTiles(scale) {
  const period = Math.max(4, Math.round(HATCH_PERIOD * scale));
  const width = Math.max(1, Math.round(1.2 * scale));
  const tiles = [];
  for (let kind = 0; kind < 6; kind++) {
    const tile = new Uint8Array(period * period);
    for (let y = 0; y < period; y++) for (let x = 0; x < period; x++) {
      tile[y * period + x] = onHatch(kind, x, y, period, width) ? 1 : 0;
    }
    tiles.push(tile);
  }
  return { period, tiles };
}

function pixel(rgb, alpha) {
  return ((Math.round(alpha * 255) << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;
}

/** Darker lines on a light colour, lighter ones on a dark colour. */
function hatchColour(rgb) {
  const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 120;
  return rgb.map((value) => Math.round(light ? value * 0.6 : value + (255 - value) * 0.45));
}

/**
 * Look-up tables: pixel value of fill, hatch line and border per id. `lit`: ids that stand out, or null.
 * Rest stays clear until the overlay is strong, so an unpainted picture looks like itself.
 */
function lookUp(regions, opacity, lit) {
  const fill = new Uint32Array(256), line = new Uint32Array(256), border = new Uint32Array(256);
  for (const { id, colour } of regions) {
    const rgb = hexToRgb(colour);
    let alpha = id === 0 ? Math.max(0, (opacity - 0.6) / 0.4) : opacity;
    const dim = lit !== null && !lit.includes(id);
    if (lit !== null) alpha = dim ? alpha * 0.18 : Math.max(alpha, 0.62);
    const strength = alpha === 0 ? 0 : Math.min(1, alpha + (dim ? 0.03 : 0.08));
    fill[id] = pixel(rgb, alpha);
    line[id] = id === 0 ? fill[id] : pixel(hatchColour(rgb), strength);
    border[id] = opacity === 0 ? 0 : pixel(id === 0 ? [60, 60, 60] : hatchColour(rgb), Math.max(strength, lit === null ? 0.5 : 0.2));
  }
  return { fill, line, border };
}

/**
 * Write the overlay into `out` (Uint32 RGBA pixels, `width` wide) inside `rect` (device pixels).
 * view: {scale, x, y}: device pixels per map pixel and the place of the map's corner.
 */
function drawOverlay(out, width, rect, map, view, colours, hatch) {
  const { ids, w, h } = map;
  // Map column of every pixel of a row, and of the pixel left of it; -1 outside.
  const columns = new Int32Array(rect.x1 - rect.x0 + 1);
  for (let i = 0; i < columns.length; i++) {
    const u = Math.floor((rect.x0 + i - 0.5 - view.x) / view.scale);
    columns[i] = u >= 0 && u < w ? u : -1;
  }
  const { period, tiles } = hatch;
  const wrap = (value) => ((value % period) + period) % period;
  const startX = wrap(rect.x0 - Math.round(view.x));
  for (let y = rect.y0; y < rect.y1; y++) {
    const v = Math.floor((y + 0.5 - view.y) / view.scale);
    const at = y * width;
    if (v < 0 || v >= h) {
      out.fill(0, at + rect.x0, at + rect.x1);
      continue;
    }
    const row = v * w;
    const above = Math.max(0, Math.floor((y - 0.5 - view.y) / view.scale)) * w;
    const tileRow = wrap(y - Math.round(view.y)) * period;
    let tileX = startX - 1;
    for (let x = rect.x0; x < rect.x1; x++) {
      if (++tileX === period) tileX = 0;
      const u = columns[x - rect.x0 + 1];
      if (u < 0) { out[at + x] = 0; continue; }
      const id = ids[row + u];
      const left = columns[x - rect.x0];
      const beside = left < 0 ? id : ids[row + left], over = ids[above + u];
      if (beside !== id || over !== id) out[at + x] = colours.border[id !== 0 ? id : beside !== id ? beside : over];
      else if (id !== 0 && tiles[(id - 1) % 6][tileRow + tileX]) out[at + x] = colours.line[id];
      else out[at + x] = colours.fill[id];
    }
  }
}

/** The swatch of a region: the same colour and hatch as in the pictures. */
function drawSwatch(canvas, region, scale) {
  const size = Math.round(24 * scale);
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  const pixels = new Uint32Array(image.data.buffer);
  const { period, tiles } = hatchTiles(scale * 0.8);
  const rgb = hexToRgb(region.colour);
  const [fill, line] = [pixel(rgb, 1), pixel(hatchColour(rgb), 1)];
  const tile = tiles[hatchOf(region.id)];
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    pixels[y * size + x] = tile && tile[(y % period) * period + (x % period)] ? line : fill;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

if (typeof module !== "undefined") module.exports = { hatchOf, hatchTiles, onHatch };
