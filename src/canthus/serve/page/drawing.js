// Points, lines and boxes on a canvas. Colours are those of Okabe and Ito, which colour-blind readers can tell apart.

const SHADE = "rgba(8, 12, 18, 0.75)";
const WHITE = "#ffffff";
const YELLOW = "#f0e442";

/** Parts of the face as the legend shows them: title, colour, and the beginning of the names of their groups. */
export const PARTS = [
  { title: "Outline", colour: "#56b4e9", group: "contour" },
  { title: "Brows", colour: "#e69f00", group: "brow" },
  { title: "Eyes", colour: "#f0e442", group: "eye" },
  { title: "Nose", colour: "#009e73", group: "nose" },
  { title: "Mouth", colour: "#cc79a7", group: "mouth" },
];

/** Colours of the reliabilities 0, 1/2 and 1. */
export const RAMP = ["#d55e00", "#f0e442", "#56b4e9"];

/** Colour of each point of a scheme by the part of the face that it belongs to. */
export function coloursOf(scheme) {
  const colours = new Array(scheme.names.length).fill(WHITE);
  for (const [name, points] of Object.entries(scheme.groups)) {
    const part = PARTS.find(({ group }) => name.startsWith(group));
    for (const point of part ? points : []) colours[point] = part.colour;
  }
  return colours;
}

/** Colour of a reliability, 0..1. */
export function reliability(score) {
  const place = Math.min(Math.max(score, 0), 1) * (RAMP.length - 1);
  const first = Math.min(Math.floor(place), RAMP.length - 2);
  const channel = (colour, at) => parseInt(colour.slice(1 + 2 * at, 3 + 2 * at), 16);
  const mixed = [0, 1, 2].map((at) => {
    const [low, high] = [channel(RAMP[first], at), channel(RAMP[first + 1], at)];
    return Math.round(low + (place - first) * (high - low));
  });
  return `rgb(${mixed.join(" ")})`;
}

/** From pixels of a picture to those of the canvas; pixel centres of the picture lie at integers. */
export function placed(x, y, { scale, left, top, mirror, width }) {
  return [left + scale * ((mirror ? width - 1 - x : x) + 0.5), top + scale * (y + 0.5)];
}

/**
 * Draws faces.
 *
 * @param view { scale, left, top, mirror, width }: where the picture lies on the canvas.
 * @param options { lines, points, boxes, byScore, chosen: face, point: number or null }
 */
export function drawFaces(context, faces, scheme, view, options) {
  if (!faces.length) return;
  const colours = coloursOf(scheme);
  context.lineJoin = context.lineCap = "round";
  faces.forEach((face, index) => {
    const spots = Array.from(scheme.names, (_, at) => placed(face.points[2 * at], face.points[2 * at + 1], view));
    const side = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]) * view.scale;
    const unit = side / 100;
    if (options.boxes) drawBox(context, face.box, view, faces.length > 1 ? index + 1 : null, unit);
    if (options.lines) drawLines(context, spots, scheme.curves, colours, face, options, unit);
    if (options.points) drawPoints(context, spots, colours, face, options, unit);
    if (options.chosen === index && options.point !== null) drawMark(context, spots[options.point], unit);
  });
}

function colourOf(point, colours, face, { byScore }) {
  return byScore ? reliability(face.scores[point]) : colours[point];
}

function drawLines(context, spots, curves, colours, face, options, unit) {
  const width = Math.min(Math.max(0.5 * unit, 1), 4);
  const passes = [[width + 1.6, () => SHADE], [width, (from) => colourOf(from, colours, face, options)]];
  for (const [thickness, colour] of passes) {
    context.lineWidth = thickness;
    for (const curve of curves) {
      for (let at = 1; at < curve.length; at++) {
        context.strokeStyle = colour(curve[at]);
        context.beginPath();
        context.moveTo(...spots[curve[at - 1]]);
        context.lineTo(...spots[curve[at]]);
        context.stroke();
      }
    }
  }
}

/** A dot for each point; a ring for one that is more probably wrong than right. */
function drawPoints(context, spots, colours, face, options, unit) {
  const radius = Math.min(Math.max(0.95 * unit, 1.6), 6);
  spots.forEach(([x, y], point) => {
    const hollow = face.scores[point] < 0.5;
    disc(context, x, y, radius + Math.min(Math.max(0.3 * unit, 0.8), 1.6), SHADE);
    disc(context, x, y, radius, colourOf(point, colours, face, options));
    if (hollow) disc(context, x, y, 0.55 * radius, "#0a0e14");
  });
}

function disc(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** A ring around the chosen point. */
function drawMark(context, [x, y], unit) {
  const radius = Math.min(Math.max(2.4 * unit, 6), 14);
  for (const [width, colour] of [[5, SHADE], [2.5, WHITE]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** The corners of a box, and the number of its face. */
function drawBox(context, box, view, number, unit) {
  const [one, other] = [placed(box[0], box[1], view), placed(box[2], box[3], view)];
  const [left, right] = [Math.min(one[0], other[0]), Math.max(one[0], other[0])];
  const [top, bottom] = [one[1], other[1]];
  const reach = 14 * unit;
  const path = new Path2D();
  for (const [x, y, dx, dy] of [[left, top, 1, 1], [right, top, -1, 1], [left, bottom, 1, -1], [right, bottom, -1, -1]]) {
    path.moveTo(x + dx * reach, y);
    path.lineTo(x, y);
    path.lineTo(x, y + dy * reach);
  }
  for (const [width, colour] of [[4, SHADE], [2, WHITE]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke(path);
  }
  if (number === null) return;
  context.font = "600 13px system-ui, sans-serif";
  context.lineWidth = 4;
  context.strokeStyle = SHADE;
  context.strokeText(String(number), left + 5, top - 6);
  context.fillStyle = YELLOW;
  context.fillText(String(number), left + 5, top - 6);
}
