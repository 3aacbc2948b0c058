// Smoothing of the points of one face over time: the JavaScript of track/smooth.py and track/filters.py.

import { boxOf } from "./crop.js";
import { apply, compose, invert, similarity, wrapped } from "./transform.js";

/** Share of the new value in an exponential average with a cutoff in Hz. */
const share = (cutoff, step) => 1 / (1 + 1 / (2 * Math.PI * Math.max(cutoff, 1e-6) * step));

/** One Euro filter of vectors of `size` numbers each, which lie one after the other; it continues their motion. */
class OneEuro {
  constructor({ rest, slope, trend }, speedCutoff, size) {
    Object.assign(this, { rest, slope, trend, speedCutoff, size, value: null });
  }

  /**
   * @param weights Factor of the cutoff of each vector; null = 1.
   * @param unit What speeds are measured in, in units of the signal.
   */
  next(signal, step, weights = null, unit = 1) {
    if (!this.value) {
      this.value = Float64Array.from(signal);
      this.last = Float64Array.from(signal);
      this.speed = new Float64Array(signal.length);
      return this.value;
    }
    const { value, last, speed, size } = this;
    const part = share(this.speedCutoff, step);
    for (let at = 0; at < value.length; at++) {
      value[at] += this.trend * step * speed[at]; // where it goes on at its speed
      speed[at] += part * ((signal[at] - last[at]) / step - speed[at]);
      last[at] = signal[at];
    }
    for (let vector = 0; vector * size < value.length; vector++) {
      const [start, end] = [vector * size, (vector + 1) * size];
      const pace = Math.hypot(...speed.subarray(start, end)) / unit;
      const gain = share((weights ? weights[vector] : 1) * (this.rest + this.slope * pace), step);
      for (let at = start; at < end; at++) value[at] += gain * (signal[at] - value[at]);
    }
    return value;
  }
}

/** Similarity that brings points nearest to others in least squares, with a weight for each. */
export function fitted(source, target, weights) {
  const mean = (points, axis) => weights.reduce((sum, weight, at) => sum + weight * points[2 * at + axis], 0) / whole;
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const [x, y, u, v] = [mean(source, 0), mean(source, 1), mean(target, 0), mean(target, 1)];
  let [cosine, sine, spread] = [0, 0, 0];
  weights.forEach((weight, at) => {
    const [a, b] = [source[2 * at] - x, source[2 * at + 1] - y];
    const [c, d] = [target[2 * at] - u, target[2 * at + 1] - v];
    cosine += weight * (a * c + b * d);
    sine += weight * (a * d - b * c);
    spread += weight * (a * a + b * b);
  });
  const [p, q] = [cosine / spread, sine / spread];
  return [p, -q, u - p * x + q * y, q, p, v - q * x - p * y];
}

/** Smooths the points of one face, frame by frame. */
export class PointSmoother {
  /** @param settings "smoothing" of model.json. */
  constructor(settings) {
    this.settings = settings;
    this.reference = null;
  }

  restart(points) {
    const { place, scale, angle, shape, speed } = this.settings;
    const [x0, y0, x1, y1] = boxOf(points);
    const size = Math.max(x1 - x0, y1 - y0);
    this.reference = apply(compose(similarity(1 / size), similarity(1, 0, -(x0 + x1) / 2, -(y0 + y1) / 2)), points);
    this.place = new OneEuro(place, speed, 2);
    this.scale = new OneEuro(scale, speed, 1);
    this.angle = new OneEuro(angle, speed, 1);
    this.shape = new OneEuro(shape, speed, 2);
    this.turn = 0;
  }

  /**
   * The smoothed points.
   *
   * @param points The points now, x0 y0 x1 y1 ..., pixels.
   * @param scores Their reliability.
   * @param time Seconds, later than in the last call.
   */
  next(points, scores, time) {
    const { gap, least, factors } = this.settings;
    let step = time - this.time;
    if (!this.reference || !(step > 0 && step < gap)) this.restart(points);
    this.time = time;
    step = Math.min(Math.max(step || 0, 1e-3), gap);
    const weights = Array.from(scores, (score) => Math.min(Math.max(score, least), 1));
    const placed = fitted(this.reference, points, weights);
    const size = Math.hypot(placed[0], placed[3]);
    const turn = (Math.atan2(placed[3], placed[0]) * 180) / Math.PI;
    this.turn += wrapped(turn - this.turn); // so that it does not jump at 180 degrees
    const [x, y] = this.place.next([placed[2], placed[5]], step, null, size);
    const smoothSize = Math.exp(this.scale.next([Math.log(size)], step)[0]);
    const smoothTurn = (this.angle.next([(this.turn * Math.PI) / 180], step)[0] * 180) / Math.PI;
    const calm = weights.map((weight, at) => weight * (factors[at] ?? 1));
    const steady = this.shape.next(apply(invert(placed), points), step, calm);
    return apply(similarity(smoothSize, smoothTurn, x, y), steady);
  }
}
