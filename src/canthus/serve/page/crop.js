// Square crops of faces: where they lie, and their pixels. The JavaScript of geometry/box.py, geometry/crop.py, align/view.py.

import { rounded } from "./pixels.js";
import { apply, compose, invert, scaleOf, similarity } from "./transform.js";

/** Tightest box of points: x0 y0 x1 y1. */
export function boxOf(points) {
  const box = new Float32Array([Infinity, Infinity, -Infinity, -Infinity]);
  for (let at = 0; at < points.length; at += 2) {
    box[0] = Math.min(box[0], points[at]);
    box[1] = Math.min(box[1], points[at + 1]);
    box[2] = Math.max(box[2], points[at]);
    box[3] = Math.max(box[3], points[at + 1]);
  }
  return box;
}

/** Intersection over union of two boxes. */
export function overlap(box, other) {
  const across = Math.max(0, Math.min(box[2], other[2]) - Math.max(box[0], other[0]));
  const down = Math.max(0, Math.min(box[3], other[3]) - Math.max(box[1], other[1]));
  const area = (some) => (some[2] - some[0]) * (some[3] - some[1]);
  const shared = across * down;
  return shared / Math.max(area(box) + area(other) - shared, 1e-12);
}

/**
 * Square box of a rotated head in the frame of the head, from the upright box of its landmarks.
 *
 * @param box x0 y0 x1 y1, pixels.
 * @param roll Rotation of the head, degrees clockwise on the screen.
 * @param outline Convex hull of the mean face, [x, y] each; its box has centre 0 and longer side 1.
 */
export function turnedBox(box, roll, outline) {
  const turned = apply(similarity(1, roll), Float64Array.from(outline.flat()));
  const [left, top, right, bottom] = boxOf(turned);
  const side = Math.max(box[2] - box[0], box[3] - box[1]) / Math.max(right - left, bottom - top);
  const x = (box[0] + box[2]) / 2 - (side * (left + right)) / 2;
  const y = (box[1] + box[3]) / 2 - (side * (top + bottom)) / 2;
  return Float32Array.of(x - side / 2, y - side / 2, x + side / 2, y + side / 2);
}

/** Map from picture pixels to the frame in which a box has its centre at 0 and longer side 1. */
function boxFrame([x0, y0, x1, y1]) {
  const scale = 1 / Math.max(x1 - x0, y1 - y0);
  return [scale, 0, (-scale * (x0 + x1)) / 2, 0, scale, (-scale * (y0 + y1)) / 2];
}

/** Frame of a face whose box and roll are known; the head is upright in it. */
export function frameOfBox(box, roll, outline) {
  return compose(similarity(1, -roll), boxFrame(turnedBox(box, roll, outline)));
}

/** Frame of a face whose points and roll are known: track/motion.py. */
export function frameOfPoints(points, roll) {
  const box = boxOf(apply(similarity(1, -roll), points));
  const size = Math.max(box[2] - box[0], box[3] - box[1]);
  const [x, y] = apply(similarity(1, roll), [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
  return compose(similarity(1 / size, -roll), similarity(1, 0, -x, -y));
}

/** Map from picture pixels to the pixels of a crop, from the frame of a face. */
export function cropOfFrame(frame, size, margin) {
  return compose(similarity(size / margin, 0, (size - 1) / 2, (size - 1) / 2), frame);
}

/** By how much a frame is turned against its picture, degrees clockwise on the screen. */
export function angleOf(frame) {
  return (Math.atan2(frame[3], frame[0]) * 180) / Math.PI;
}

/**
 * Cuts a crop with bilinear interpolation, after averaging where the picture is over twice as fine as the crop: `warp`
 * of geometry/crop.py.
 *
 * @param matrix Map from picture pixels to crop pixels.
 * @returns RGB, size x size, row by row; black outside the picture.
 */
export function warp(picture, matrix, size) {
  const factor = Math.max(1, Math.floor(1 / Math.max(scaleOf(matrix), 1e-100)));
  const back = invert(matrix);
  const [x0, x1] = span(back[0], back[1], back[2], size, picture.width, factor);
  const [y0, y1] = span(back[3], back[4], back[5], size, picture.height, factor);
  const crop = new Uint8Array(3 * size * size);
  if (x1 <= x0 || y1 <= y0) return crop;
  const part = shrunk(picture, [x0, y0, x1, y1], factor);
  const middle = (factor - 1) / 2;
  sample(part, compose(matrix, [factor, 0, x0 + middle, 0, factor, y0 + middle]), size, crop);
  return crop;
}

/** First and last + 1 pixel along a side that a crop shows; their distance is a multiple of `factor` where there is room. */
function span(a, b, shift, size, limit, factor) {
  const clamp = (value) => Math.min(Math.max(value, 0), limit);
  const low = Math.floor(clamp(shift + Math.min(-a, a * size) + Math.min(-b, b * size)));
  const high = Math.ceil(clamp(shift + Math.max(-a, a * size) + Math.max(-b, b * size) + 1));
  return [low, Math.min(low + Math.ceil((high - low) / factor) * factor, limit)];
}

/** Part of a picture, `factor` times smaller, RGB: each pixel is the mean of a block; outside the picture is black. */
function shrunk(picture, [x0, y0, x1, y1], factor) {
  const [width, height] = [Math.ceil((x1 - x0) / factor), Math.ceil((y1 - y0) / factor)];
  const data = new Uint8Array(3 * width * height);
  const area = factor * factor;
  for (let j = 0, to = 0; j < height; j++) {
    const last = Math.min(y0 + (j + 1) * factor, y1);
    for (let i = 0; i < width; i++, to += 3) {
      const right = Math.min(x0 + (i + 1) * factor, x1);
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let y = y0 + j * factor; y < last; y++) {
        let from = 4 * (y * picture.width + x0 + i * factor);
        for (let x = x0 + i * factor; x < right; x++, from += 4) {
          red += picture.data[from];
          green += picture.data[from + 1];
          blue += picture.data[from + 2];
        }
      }
      data[to] = factor === 2 ? (red + 2) >> 2 : rounded(red / area);
      data[to + 1] = factor === 2 ? (green + 2) >> 2 : rounded(green / area);
      data[to + 2] = factor === 2 ? (blue + 2) >> 2 : rounded(blue / area);
    }
  }
  return { width, height, data };
}

/**
 * Fills a crop from an RGB part, in the integers of cv2.warpAffine: positions are rounded to 1/32 pixel, weights have 15
 * bits. What lies outside the part is black.
 *
 * @param matrix Map from pixels of the part to those of the crop.
 */
function sample({ width, height, data }, matrix, size, crop) {
  const [a, b, c, d, e, f] = inverseOf(matrix);
  const value = (column, row, channel) =>
    column < 0 || row < 0 || column >= width || row >= height ? 0 : data[3 * (row * width + column) + channel];
  for (let v = 0, to = 0; v < size; v++) {
    const startX = rounded((b * v + c) * 1024) + 16;
    const startY = rounded((e * v + f) * 1024) + 16;
    for (let u = 0; u < size; u++, to += 3) {
      const x = (startX + rounded(a * u * 1024)) >> 5;
      const y = (startY + rounded(d * u * 1024)) >> 5;
      const column = x >> 5;
      const row = y >> 5;
      if (column < -1 || row < -1 || column >= width || row >= height) continue;
      const right = x & 31;
      const below = y & 31;
      for (let channel = 0; channel < 3; channel++) {
        const upper = (32 - right) * value(column, row, channel) + right * value(column + 1, row, channel);
        const lower = (32 - right) * value(column, row + 1, channel) + right * value(column + 1, row + 1, channel);
        crop[to + channel] = (((32 - below) * upper + below * lower) * 32 + (1 << 14)) >> 15;
      }
    }
  }
}

/** The inverse of a map in the operations of cv2.warpAffine, so that positions are rounded alike. */
function inverseOf([a, b, c, d, e, f]) {
  const over = 1 / (a * e - b * d);
  const [p, q, s, t] = [e * over, b * -over, d * -over, a * over];
  return [p, q, -p * c - q * f, s, t, -s * c - t * f];
}
