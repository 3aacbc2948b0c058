// Landmarks of faces: crops, the network, and back to the picture. The JavaScript of align/compact.py and pipeline.py.

import { angleOf, boxOf, cropOfFrame, frameOfBox, frameOfPoints, turnedBox, warp } from "./crop.js";
import { detect } from "./detector.js";
import { apply, compose, invert, similarity, wrapped } from "./transform.js";

const BATCH = 32;

/** Score of a point as a probability: linear between the knots of a rising curve, constant beyond them. */
export function calibrated(score, { claimed, actual }) {
  const next = claimed.findIndex((value) => value > score);
  if (next === 0) return actual[0];
  if (next < 0) return actual[actual.length - 1];
  const share = (score - claimed[next - 1]) / (claimed[next] - claimed[next - 1]);
  return actual[next - 1] + share * (actual[next] - actual[next - 1]);
}

/** The crops of several maps side by side, as the input of a network. */
function crops(picture, matrices, size) {
  const data = new Uint8Array(3 * size * size * matrices.length);
  matrices.forEach((matrix, index) => data.set(warp(picture, matrix, size), index * 3 * size * size));
  return { data, count: matrices.length, size };
}

/**
 * Points, scores and pose of the faces in given frames.
 *
 * @param frames Maps from the picture to the frame of each face.
 * @param engine { landmarks(crops) -> { points, scores, pose } }
 */
async function fitted(picture, frames, engine, { size, margin, curve }) {
  const faces = [];
  for (let start = 0; start < frames.length; start += BATCH) {
    const some = frames.slice(start, start + BATCH);
    const matrices = some.map((frame) => cropOfFrame(frame, size, margin));
    const out = await engine.landmarks(crops(picture, matrices, size));
    const count = out.scores.length / some.length;
    some.forEach((frame, index) => {
      const raw = out.points.slice(2 * count * index, 2 * count * (index + 1));
      const pose = out.pose.slice(3 * index, 3 * index + 3);
      pose[2] = wrapped(pose[2] - angleOf(frame));
      const scores = out.scores.slice(count * index, count * (index + 1));
      faces.push({ points: apply(invert(matrices[index]), raw), scores: scores.map((s) => calibrated(s, curve)), pose });
    });
  }
  return faces;
}

/** The box of the points; where they lie on a line, the box given. */
function tight(points, box) {
  const found = boxOf(points);
  return found[2] > found[0] && found[3] > found[1] ? found : box;
}

/**
 * The faces of a picture with their landmarks, most confident first: what `canthus detect` finds.
 *
 * @param engine { detector(tile), landmarks(crops) }, which run the networks.
 * @param model model.json.
 * @returns [{ box, confidence, points, scores, pose }]
 */
export async function facesOf(picture, engine, model) {
  const found = await detect(picture, engine.detector, model.detector);
  let boxes = found.map((face) => face.box);
  let faces = [];
  for (let pass = 0; pass < model.passes; pass++) {
    if (pass) boxes = faces.map((face, index) => tight(face.points, boxes[index]));
    const frames = boxes.map((box, index) => frameOfBox(box, found[index].roll, model.outline));
    faces = await fitted(picture, frames, engine, model.landmarks);
  }
  return faces.map((face, index) => ({ ...face, box: boxes[index], confidence: found[index].confidence }));
}

/** New faces of a video in the boxes of detections, as track/fitter.py begins them. */
export async function begun(picture, found, engine, model) {
  const frames = found.map(({ box, roll }) => frameOfBox(box, roll, model.outline));
  return followed(picture, await fitted(picture, frames, engine, model.landmarks), engine, model);
}

/** Faces of a video whose points in the frame before are known, fitted in this one. */
export async function followed(picture, faces, engine, model) {
  const frames = faces.map(({ points, pose }) => frameOfPoints(points, pose[2]));
  const now = await fitted(picture, frames, engine, model.landmarks);
  const marks = now.length ? await faceScores(picture, now, engine, model) : [];
  return now.map((face, index) => ({ ...face, box: boxOf(face.points), confidence: marks[index] }));
}

/** Probability that the crop around the points of each face shows a face: detect/score.py. */
async function faceScores(picture, faces, engine, { outline, face_score: { size, margin } }) {
  const matrices = faces.map(({ points, pose }) => {
    const [x0, y0, x1, y1] = turnedBox(boxOf(points), pose[2], outline);
    const turn = similarity(size / (margin * (x1 - x0)), -pose[2], (size - 1) / 2, (size - 1) / 2);
    return compose(turn, similarity(1, 0, -(x0 + x1) / 2, -(y0 + y1) / 2));
  });
  return Array.from(await engine.faceScore(crops(picture, matrices, size)));
}
