// Landmarks of one face with the network of a canthus bundle, in onnxruntime-web.
// Input, output and crop are described in docs/runtime-contract.md; the headings there are the comments here.
//
//   node landmarks.mjs --bundle default.canthus --image portrait.png --box=180,88,272,179
//   node landmarks.mjs --bundle default.canthus --crop crop.png           (points in pixels of the crop)
//
// Prints JSON: points (pixels), scores (0..1), pose (yaw, pitch, roll in degrees).

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { decode } from "fast-png";
import { unzipSync } from "fflate";
import * as ort from "onnxruntime-web";

// Bundle: a zip file with a card, which names the network, its crop, the curve of the scores, and the hash of each file.
function openBundle(path, precision) {
  const files = unzipSync(readFileSync(path));
  const card = JSON.parse(new TextDecoder().decode(files["card.json"]));
  if (card.format !== 2 || card.system !== "compact") {
    throw new Error(`${path}: not a bundle of format 2 with the system compact`);
  }
  const [stage] = card.stages;
  const checked = (member) => {
    if (createHash("sha256").update(files[member.file]).digest("hex") !== member.sha256) {
      throw new Error(`${path}: ${member.file} is not the file that the card names (its hash differs)`);
    }
    return files[member.file];
  };
  const arrays = unzipSync(checked(stage.arrays));
  const curve = { claimed: readNpy(arrays["score_claimed.npy"]), actual: readNpy(arrays["score_true.npy"]) };
  return { network: checked(stage.parts.landmarks[precision]), curve, size: stage.crop.size, margin: stage.crop.margin };
}

// An array of float32 with one axis: magic (6 bytes), version (2), length of the header (2), header, values.
function readNpy(bytes) {
  const start = 10 + bytes[8] + 256 * bytes[9];
  return new Float32Array(bytes.slice(start).buffer);
}

// Scores: linear between the points of a rising curve, constant beyond them.
function calibrated(score, { claimed, actual }) {
  const next = claimed.findIndex((value) => value > score);
  if (next === 0) return actual[0];
  if (next < 0) return actual[actual.length - 1];
  const share = (score - claimed[next - 1]) / (claimed[next] - claimed[next - 1]);
  return actual[next - 1] + share * (actual[next] - actual[next - 1]);
}

// Pictures are RGB, 8 bits, row by row.
function readPng(path) {
  const { width, height, channels, depth, data } = decode(readFileSync(path));
  if (depth !== 8 || channels < 3) {
    throw new Error(`${path}: not an RGB picture of 8 bits per channel`);
  }
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) rgb[3 * pixel + c] = data[channels * pixel + c];
  }
  return { width, height, rgb };
}

// Part of the picture under the crop, along one axis: first pixel and number of blocks of `factor` pixels.
function blocks(centre, scale, size, factor, limit) {
  const at = (u) => centre + (u - (size - 1) / 2) / scale;
  const clamp = (value) => Math.min(Math.max(value, 0), limit);
  const first = clamp(Math.floor(at(-1)));
  return { first, count: Math.ceil((clamp(Math.ceil(at(size)) + 1) - first) / factor) };
}

// Averaging: each pixel of the result is the mean of a block of factor x factor pixels; outside the picture is black.
function shrink({ width, height, rgb }, x, y, factor) {
  const small = new Uint8Array(x.count * y.count * 3);
  for (let j = 0; j < y.count; j++) {
    for (let i = 0; i < x.count; i++) {
      const sum = [0, 0, 0];
      for (let row = y.first + j * factor; row < Math.min(y.first + (j + 1) * factor, height); row++) {
        for (let column = x.first + i * factor; column < Math.min(x.first + (i + 1) * factor, width); column++) {
          for (let c = 0; c < 3; c++) sum[c] += rgb[3 * (row * width + column) + c];
        }
      }
      for (let c = 0; c < 3; c++) small[3 * (j * x.count + i) + c] = Math.round(sum[c] / factor ** 2);
    }
  }
  return small;
}

// Crop: square around the centre of the box, sampled bilinearly. Returns the map back to the picture, too.
function cut(picture, [x0, y0, x1, y1], size, margin) {
  const scale = size / (margin * Math.max(x1 - x0, y1 - y0));
  const centre = { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
  const factor = Math.max(1, Math.floor(1 / scale));
  const x = blocks(centre.x, scale, size, factor, picture.width);
  const y = blocks(centre.y, scale, size, factor, picture.height);
  const small = shrink(picture, x, y, factor);
  const value = (column, row, c) =>
    column < 0 || row < 0 || column >= x.count || row >= y.count ? 0 : small[3 * (row * x.count + column) + c];
  const back = (u, middle) => middle + (u - (size - 1) / 2) / scale;
  const place = (u, middle, first) => (back(u, middle) - first - (factor - 1) / 2) / factor;
  const crop = new Uint8Array(size * size * 3);
  for (let v = 0; v < size; v++) {
    const py = place(v, centre.y, y.first);
    const [row, fy] = [Math.floor(py), py - Math.floor(py)];
    for (let u = 0; u < size; u++) {
      const px = place(u, centre.x, x.first);
      const [column, fx] = [Math.floor(px), px - Math.floor(px)];
      for (let c = 0; c < 3; c++) {
        const upper = (1 - fx) * value(column, row, c) + fx * value(column + 1, row, c);
        const lower = (1 - fx) * value(column, row + 1, c) + fx * value(column + 1, row + 1, c);
        crop[3 * (v * size + u) + c] = Math.round((1 - fy) * upper + fy * lower);
      }
    }
  }
  return { crop, lift: ([u, v]) => [back(u, centre.x), back(v, centre.y)] };
}

// Network: crops (N, size, size, 3) uint8 in; points (N, 68, 2), scores (N, 68) and pose (N, 3) float32 out.
async function run(network, crop, size) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(network);
  const out = await session.run({ [session.inputNames[0]]: new ort.Tensor("uint8", crop, [1, size, size, 3]) });
  const flat = Array.from(out.points.data);
  return {
    points: Array.from({ length: flat.length / 2 }, (_, index) => flat.slice(2 * index, 2 * index + 2)),
    scores: Array.from(out.scores.data),
    pose: Array.from(out.pose.data),
  };
}

const { values } = parseArgs({
  options: {
    bundle: { type: "string" },
    image: { type: "string" },
    box: { type: "string" },
    crop: { type: "string" },
    precision: { type: "string", default: "fp32" },
  },
});
if (!values.bundle || !(values.crop || (values.image && values.box))) {
  console.error("usage: landmarks.mjs --bundle FILE (--image PNG --box=x0,y0,x1,y1 | --crop PNG) [--precision int8]");
  process.exit(2);
}
const { network, curve, size, margin } = openBundle(values.bundle, values.precision);
let [crop, lift] = [null, (point) => point];
if (values.crop) {
  const picture = readPng(values.crop);
  if (picture.width !== size || picture.height !== size) {
    throw new Error(`${values.crop}: the crop of this bundle has ${size} x ${size} pixels`);
  }
  crop = picture.rgb;
} else {
  ({ crop, lift } = cut(readPng(values.image), values.box.split(",").map(Number), size, margin));
}
const found = await run(network, crop, size);
const scores = found.scores.map((score) => calibrated(score, curve));
console.log(JSON.stringify({ ...found, points: found.points.map(lift), scores }));
