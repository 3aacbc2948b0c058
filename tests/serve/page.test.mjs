// The functions of the page against what Python computes: VECTORS names the file that test_page.py has written.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { pathToFileURL } from "node:url";

const vectors = JSON.parse(readFileSync(process.env.VECTORS, "utf-8"));
const load = (name) => import(new URL(name, pathToFileURL(`${process.env.PAGE}/`)));
const crop = await load("crop.js");
const detector = await load("detector.js");
const formats = await load("formats.js");
const landmarks = await load("landmarks.js");
const pixels = await load("pixels.js");
const smooth = await load("smooth.js");
const transform = await load("transform.js");

/** A picture from the RGB values that Python wrote. */
function picture({ width, height, rgb }) {
  const image = pixels.blank(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) image.data[4 * pixel + c] = rgb[3 * pixel + c];
  }
  return image;
}

const rgbOf = ({ data }) => data.filter((_, at) => at % 4 < 3);

/** Whether no number is farther from the expected one than the tolerance. */
function near(found, expected, tolerance) {
  assert.equal(found.length, expected.length);
  for (let at = 0; at < found.length; at++) {
    const difference = Math.abs(found[at] - expected[at]);
    assert.ok(difference <= tolerance, `${found[at]} at ${at} is not ${expected[at]}`); // NaN fails, too
  }
}

/** Whether pixels are those of OpenCV, but for a few that are rounded the other way. */
function alike(found, expected) {
  near(found, expected, 1);
  const other = found.filter((value, at) => value !== expected[at]).length;
  assert.ok(other <= 0.01 * found.length, `${other} of ${found.length} pixels differ`);
}

for (const { name, source, target } of vectors.reduced) {
  test(`a picture is reduced as OpenCV does it: ${name}`, () => {
    const found = pixels.reduced(picture(source), target.width, target.height);
    assert.equal(found.width, target.width);
    alike(rgbOf(found), target.rgb);
  });
}

for (const { name, source, matrix, size, rgb } of vectors.warp) {
  test(`a crop is cut as OpenCV does it: ${name}`, () => {
    alike(crop.warp(picture(source), matrix, size), rgb);
  });
}

test("maps are composed, inverted and applied as in Python", () => {
  const { similarity, outer, composed, inverse, points, moved, scale } = vectors.transform;
  near(transform.similarity(...similarity.of), similarity.matrix, 1e-9);
  near(transform.compose(outer, similarity.matrix), composed, 1e-9);
  near(transform.invert(composed), inverse, 1e-9);
  near(transform.apply(composed, points), moved, 1e-3);
  near([transform.scaleOf(composed)], [scale], 1e-9);
  near([-540, -181, -180, 179.5, 180, 541].map(transform.wrapped), [-180, 179, -180, 179.5, -180, -179], 1e-9);
  assert.throws(() => transform.invert([1, 2, 0, 2, 4, 0]), /squeezes/);
});

for (const { box, roll, square, frame, points, placed, angle } of vectors.frames) {
  test(`the frame of a face turned by ${roll} degrees`, () => {
    near(crop.turnedBox(box, roll, vectors.outline), square, 1e-3);
    near(crop.frameOfBox(box, roll, vectors.outline), frame, 1e-4);
    near(crop.frameOfPoints(Float32Array.from(points), roll), placed, 1e-4);
    near([crop.angleOf(frame)], [angle], 1e-6);
  });
}

test("cells are decoded as in Python", () => {
  const { maps, boxes, scores, rolls } = vectors.cells;
  const found = detector.cells(maps, vectors.settings);
  assert.equal(found.length, scores.length);
  near(found.flatMap(({ box }) => [...box]), boxes, 1e-2);
  near(found.map(({ confidence }) => confidence), scores, 1e-6);
  near(found.map(({ roll }) => roll), rolls, 1e-3);
});

test("overlapping detections are suppressed as in Python", () => {
  const { boxes, scores, kept } = vectors.suppress;
  const found = boxes.map((box, index) => ({ box, confidence: scores[index], index }));
  assert.deepEqual(detector.suppressed(found, vectors.settings).map(({ index }) => index), kept);
});

test("the pyramid has the tiles of Python", () => {
  for (const { width, height, tiles } of vectors.pyramids) {
    const found = [...detector.tiles(pixels.blank(width, height), vectors.settings)].map(({ level, part, scale, inner, last }) => ({
      level: [level.width, level.height],
      corner: part.slice(0, 2),
      size: [part[2] - part[0], part[3] - part[1]],
      scale,
      inner: inner.map((value) => (Number.isFinite(value) ? value : null)),
      last,
    }));
    assert.deepEqual(found, tiles, `${width} x ${height}`);
  }
});

test("scores are calibrated as in Python", () => {
  const { scores, curve, calibrated } = vectors.calibration;
  near(scores.map((score) => landmarks.calibrated(score, curve)), calibrated, 1e-6);
});

test("points of a face in motion are smoothed as by canthus track", () => {
  const { settings, frames } = vectors.smoothing;
  const smoother = new smooth.PointSmoother(settings);
  for (const { points, scores, time, steady } of frames) {
    near(smoother.next(Float32Array.from(points), scores, time), steady, 0.01);
  }
});

for (const { name, found, version, json, csv, pts } of vectors.formats) {
  test(`files are those of canthus, byte for byte: ${name}`, () => {
    const floats = ({ points, scores, box, pose, confidence }) => ({
      points: Float32Array.from(points),
      scores: Float32Array.from(scores),
      box: Float32Array.from(box),
      pose: Float32Array.from(pose),
      confidence,
    });
    const faces = found.faces.map(floats);
    assert.equal(formats.toJson({ ...found, faces }, version), json);
    assert.equal(formats.toCsv({ ...found, faces }), csv);
    faces.forEach((face, index) => assert.equal(formats.toPts(face.points), pts[index]));
  });
}
