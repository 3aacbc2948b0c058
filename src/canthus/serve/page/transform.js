// Maps of the plane as [a, b, c, d, e, f]: x' = a x + b y + c, y' = d x + e y + f. The JavaScript of geometry/transform.py.

/** Map that rotates by `angle` degrees (clockwise on the screen), scales, then shifts. */
export function similarity(scale = 1, angle = 0, x = 0, y = 0) {
  const turn = (angle * Math.PI) / 180;
  const [cosine, sine] = [scale * Math.cos(turn), scale * Math.sin(turn)];
  return [cosine, -sine, x, sine, cosine, y];
}

/** Map that applies `inner`, then `outer`. */
export function compose([a, b, c, d, e, f], [p, q, r, s, t, u]) {
  return [a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f];
}

/** Inverse map. */
export function invert([a, b, c, d, e, f]) {
  const determinant = a * e - b * d;
  if (!determinant) throw new Error("the map squeezes the plane to a line; it has no inverse");
  const [p, q, s, t] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
  return [p, q, -(p * c + q * f), s, t, -(s * c + t * f)];
}

/** Points x0 y0 x1 y1 ... moved by a map, as float32. */
export function apply([a, b, c, d, e, f], points) {
  const moved = new Float32Array(points.length);
  for (let at = 0; at < points.length; at += 2) {
    moved[at] = a * points[at] + b * points[at + 1] + c;
    moved[at + 1] = d * points[at] + e * points[at + 1] + f;
  }
  return moved;
}

/** Factor by which lengths grow. */
export function scaleOf([a, b, , d, e]) {
  return Math.sqrt(Math.abs(a * e - b * d));
}

/** An angle in -180..180 degrees. */
export function wrapped(angle) {
  return ((((angle + 180) % 360) + 360) % 360) - 180;
}
