// The face detector around its network: pyramid, tiles, cells, suppression. The JavaScript of detect/own.py.

import { overlap } from "./crop.js";
import { padded, reduced, rounded } from "./pixels.js";

/**
 * Finds the faces of a picture, most confident first.
 *
 * @param run Engine: { width, height, data } (RGB) -> the maps of each stride, { data, width, height } each.
 * @param settings "detector" of model.json.
 * @returns [{ box, confidence, roll }]
 */
export async function detect(picture, run, settings) {
  const found = [];
  for (const tile of tiles(picture, settings)) {
    const maps = await run(padded(tile.level, tile.part, settings.unit, settings.grey));
    for (const cell of cells(maps, settings)) {
      if (belongs(cell.box, tile, settings)) found.push(inPicture(cell, tile));
    }
  }
  const large = found.filter(({ box }) => Math.max(box[2] - box[0], box[3] - box[1]) >= settings.smallest);
  return suppressed(large, settings);
}

/** The tiles of the image pyramid of a picture, from the largest level. */
export function* tiles(picture, settings) {
  const { width, height } = picture;
  const longer = Math.max(width, height);
  let factor = Math.min(1, settings.max_side / longer, settings.shown / (settings.share * longer));
  let level = picture;
  for (;;) {
    const across = Math.max(1, rounded(width * factor));
    const down = Math.max(1, rounded(height * factor));
    level = reduced(level, across, down);
    const last = Math.max(across, down) <= settings.whole;
    for (const [y0, y1] of spans(down, settings)) {
      for (const [x0, x1] of spans(across, settings)) {
        const inner = [
          x0 ? 0 : -Infinity,
          y0 ? 0 : -Infinity,
          x1 < across ? x1 - x0 - 1 : Infinity,
          y1 < down ? y1 - y0 - 1 : Infinity,
        ];
        yield { level, part: [x0, y0, x1, y1], scale: [across / width, down / height], inner, last };
      }
    }
    if (last) return;
    factor = Math.max(factor / settings.step, Math.min(factor, settings.last / longer));
  }
}

/** Start and end of the tiles along a side. */
export function spans(length, { tile, shared }) {
  if (length <= tile) return [[0, length]];
  const count = Math.ceil((length - shared) / (tile - shared));
  return Array.from({ length: count }, (_, index) => {
    const start = rounded((index * (length - tile)) / (count - 1));
    return [start, start + tile];
  });
}

/** Detections of single cells in the maps of one tile, in pixels of the tile. */
export function cells(maps, { strides, threshold }) {
  const found = [];
  maps.forEach(({ data, width, height }, index) => {
    const stride = strides[index];
    const plane = width * height;
    for (let cell = 0; cell < plane; cell++) {
      const score = 1 / (1 + Math.exp(-Math.min(Math.max(data[cell], -60), 60)));
      if (score < threshold) continue;
      const value = (channel) => data[channel * plane + cell];
      const x = (cell % width) * stride + (stride - 1) / 2;
      const y = Math.floor(cell / width) * stride + (stride - 1) / 2;
      const side = (channel) => stride * Math.exp(Math.min(value(channel), 6));
      found.push({
        box: Float32Array.of(x - side(1), y - side(2), x + side(3), y + side(4)),
        confidence: Math.fround(score),
        roll: Math.fround((Math.atan2(value(15), value(16)) * 180) / Math.PI),
      });
    }
  });
  return found;
}

/** Whether this tile answers for a box: no inner border cuts it, and the next level does not show it better. */
function belongs(box, { inner, last }, { shared }) {
  const inside = box[0] > inner[0] && box[1] > inner[1] && box[2] < inner[2] && box[3] < inner[3];
  return inside && (last || Math.max(box[2] - box[0], box[3] - box[1]) <= shared);
}

/** A detection in pixels of the picture. */
function inPicture(cell, { part, scale }) {
  const box = cell.box.map((value, at) => (value + part[at % 2] + 0.5) / scale[at % 2] - 0.5);
  return { ...cell, box };
}

/** Non-maximum suppression: the detections that no more confident one overlaps, most confident first. */
export function suppressed(found, settings) {
  let left = found.toSorted((one, other) => other.confidence - one.confidence).slice(0, settings.most);
  const kept = [];
  while (left.length) {
    const [best, ...rest] = left;
    kept.push(best);
    left = rest.filter(({ box }) => overlap(best.box, box) <= settings.overlap);
  }
  return kept;
}
