// Results as files: JSON, CSV and .pts, byte for byte as canthus writes them (formats/json.py, csv.py, pts.py).

const AXES = ["x", "y"];
const BOX = ["bx0", "by0", "bx1", "by1"];
const POSE = ["yaw", "pitch", "roll"];

/** Shortest text that gives back a float32, in the notation of Python. */
export function number(value) {
  const exact = Math.fround(value);
  if (Object.is(exact, -0)) return "-0.0";
  let digits = 1;
  while (Math.fround(Number(exact.toPrecision(digits))) !== exact) digits++;
  const short = Number(toEven(exact.toPrecision(digits), exact.toPrecision(100)));
  const [mantissa, power] = short.toExponential().split("e");
  if (power < -4 || power >= 16) return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  return Number.isInteger(short) ? `${short}.0` : short.toFixed(Math.max(0, mantissa.replace(/[-.]/g, "").length - 1 - power));
}

/** A rounded number as text, with the even last digit where the exact one lies in the middle, as Python rounds. */
function toEven(text, exact) {
  const [mantissa, power] = text.split("e");
  const rest = exact.split("e")[0].slice(mantissa.length).replace(".", "");
  if (!/^50*$/.test(rest) || mantissa.at(-1) % 2 === 0) return text;
  return mantissa.slice(0, -1) + (mantissa.at(-1) - 1) + (power === undefined ? "" : `e${power}`);
}

const numbers = (values) => `[${Array.from(values, number).join(", ")}]`;
const pairs = (points) => `[${pointsOf(points).map(numbers).join(", ")}]`;
const pointsOf = (points) => Array.from({ length: points.length / 2 }, (_, at) => points.slice(2 * at, 2 * at + 2));

/**
 * The faces of a picture as JSON.
 *
 * @param found { name, width, height, scheme, faces }: name of the picture and its size in pixels; faces have box,
 *   confidence, pose, points and scores.
 * @param version Version of canthus.
 */
export function toJson({ name, width, height, scheme, faces }, version) {
  const entries = faces.map(({ box, confidence, pose, points, scores }) => {
    const angles = POSE.map((angle, at) => `"${angle}": ${number(pose[at])}`).join(", ");
    return (
      `{"box": ${numbers(box)}, "confidence": ${number(confidence)}, "pose": {${angles}},` +
      ` "points": ${pairs(points)}, "scores": ${numbers(scores)}}`
    );
  });
  const head = `"image": ${JSON.stringify(name)}, "width": ${width}, "height": ${height}, "scheme": "${scheme}"`;
  return `{"canthus": "${version}", "images": [\n{${head}, "faces": [${entries.join(", ")}]}\n]}\n`;
}

/** The faces of a picture as CSV, one row a face; of a picture without a face one row without numbers. */
export function toCsv({ name, scheme, faces }) {
  const header = ["image", "face", "scheme"];
  if (!faces.length) return `${[header, [cell(name), "", scheme]].map((row) => row.join(",")).join("\n")}\n`;
  const count = faces[0].scores.length;
  const every = Array.from({ length: count }, (_, at) => at);
  header.push(...every.flatMap((at) => AXES.map((axis) => `${axis}${at}`)), ...BOX, "confidence", ...POSE);
  header.push(...every.map((at) => `s${at}`));
  const rows = faces.map(({ points, box, confidence, pose, scores }, index) => [
    cell(name),
    index,
    scheme,
    ...[...points, ...box, confidence, ...pose, ...scores].map(number),
  ]);
  return [header, ...rows].map((row) => `${row.join(",")}\n`).join("");
}

/** A text as a cell of a CSV file. */
function cell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The points of one face as .pts of iBUG; the centre of the first pixel is (1, 1). */
export function toPts(points) {
  const lines = pointsOf(points).map((point) => Array.from(point, (value) => fixed(value + 1)).join(" "));
  return ["version: 1", `n_points: ${lines.length}`, "{", ...lines, "}", ""].join("\n");
}

/** A number with four decimals. */
function fixed(value) {
  return toEven(value.toFixed(4), value.toFixed(100));
}
