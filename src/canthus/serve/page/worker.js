// Finds faces beside the page, which so stays responsive. Messages in: a picture to search, or a frame of the camera.

import { open } from "./engine.js";
import { Follower } from "./follow.js";
import { facesOf } from "./landmarks.js";

/** Number of pixels that are read from a canvas at once; some browsers have no larger canvases. */
const STRIP = 4_000_000;

let opened;
let follower;

/** The pixels of a bitmap on white, as RGBA. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)));
  const canvas = new OffscreenCanvas(width, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (rows === height) {
    context.fillStyle = "white";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, 0);
    return { width, height, data: context.getImageData(0, 0, width, rows).data };
  }
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y += rows) {
    const count = Math.min(rows, height - y);
    context.fillStyle = "white";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -y);
    data.set(context.getImageData(0, 0, width, count).data, 4 * width * y);
  }
  return { width, height, data };
}

const answers = {
  /** The faces of a picture, as `canthus detect` finds them. */
  async picture({ bitmap }) {
    const picture = pixelsOf(bitmap);
    return { faces: await facesOf(picture, opened.engine, opened.model) };
  },
  /** The faces of the next frame of the camera; `first` starts anew. */
  async frame({ bitmap, time, first }) {
    if (first) follower.reset();
    return { faces: await follower.next(pixelsOf(bitmap), time) };
  },
};

/** Answer a message. */
async function answer(message) {
  const start = performance.now();
  const { id, kind, bitmap } = message;
  try {
    const found = await answers[kind](message);
    self.postMessage({ id, bitmap, milliseconds: performance.now() - start, ...found }, [bitmap]);
  } catch (error) {
    bitmap.close();
    self.postMessage({ id, error: String(error.message ?? error) });
  }
}

// One message after the other: a network runs once at a time.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};

try {
  opened = await open((share) => self.postMessage({ share }));
  follower = new Follower(opened.engine, opened.model);
  self.postMessage({ model: opened.model, threads: opened.threads });
} catch (error) {
  self.postMessage({ failure: String(error.message ?? error) });
}
