// Faces from one picture of a camera to the next: a small form of `canthus track`, without its memory of lost faces.

import { boxOf, overlap } from "./crop.js";
import { detect } from "./detector.js";
import { begun, followed } from "./landmarks.js";
import { PointSmoother } from "./smooth.js";

/** A face with smoothed points, in whose box the next crop is cut. */
function steady(face, smoother, time) {
  const points = smoother.next(face.points, face.scores, time);
  return { ...face, points, box: boxOf(points), smoother, seen: time };
}

/** Follows faces; a new one starts from the detector, which runs at a rhythm and where a face is lost. */
export class Follower {
  constructor(engine, model) {
    this.engine = engine;
    this.model = model;
    this.reset();
  }

  /** Forget all faces. */
  reset() {
    this.faces = [];
    this.frames = 0;
  }

  /**
   * The faces in the next picture.
   *
   * @param time Seconds.
   * @returns Faces as those of `facesOf`; confidence is the face score. A fit that failed is not among them.
   */
  async next(picture, time) {
    const { engine, model } = this;
    const { every, covered, patience } = model.follow;
    const now = await followed(picture, this.faces, engine, model);
    const fits = now.map((face, index) =>
      this.sound(face, picture) ? steady(face, this.faces[index].smoother, time) : { ...this.faces[index], failed: true },
    );
    const failed = fits.some((face) => face.failed);
    const rhythm = failed || !fits.length ? Math.ceil(every / 3) : every;
    // Two that have come to the same face are one.
    const first = (face, index) => !fits.slice(0, index).some(({ box }) => overlap(box, face.box) > model.detector.overlap);
    let kept = fits.filter((face, index) => time - face.seen <= patience && first(face, index));
    if (this.frames++ % rhythm === 0) {
      const found = await detect(picture, engine.detector, model.detector);
      const news = found.filter(({ box }) => !kept.some((face) => !face.failed && overlap(face.box, box) > covered));
      const started = news.length ? await begun(picture, news, engine, model) : [];
      const sound = started
        .filter((face) => this.sound(face, picture))
        .map((face) => steady(face, new PointSmoother(model.smoothing), time));
      // A detection takes the place of a face that has just been lost there.
      kept = kept.filter((face) => !face.failed || !sound.some(({ box }) => overlap(face.box, box) > 0));
      kept.push(...sound);
    }
    this.faces = kept.map(({ failed: _, ...face }) => face);
    return kept.filter((face) => !face.failed).map(({ smoother: _, ...face }) => face);
  }

  /** Whether a fit is one of a face, at least half inside the picture. */
  sound({ points, scores, confidence }, { width, height }) {
    const { face_score: least, reliability } = this.model.follow;
    let outside = 0;
    for (let at = 0; at < points.length; at += 2) {
      const [x, y] = [points[at], points[at + 1]];
      if (!(x >= -0.5 && y >= -0.5 && x < width - 0.5 && y < height - 0.5)) outside++;
    }
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    return outside <= scores.length / 2 && confidence >= least && mean >= reliability;
  }
}
