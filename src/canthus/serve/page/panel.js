// The texts beside the picture: faces, pose, the point that is pointed at, the legend.

import { PARTS, reliability } from "./drawing.js";

const at = (id) => document.getElementById(id);

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** "eye_left_inner" -> "Eye left inner". */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** The list of faces; `choose` is called with the number of a face. */
export function showFaces(faces, chosen, choose) {
  const list = at("list");
  while (list.children.length > faces.length) list.lastChild.remove();
  faces.forEach((face, index) => {
    const entry = list.children[index] ?? list.appendChild(entryOf(index, choose));
    entry.querySelector("input").checked = index === chosen;
    entry.querySelector(".confidence").textContent = percent(face.confidence);
  });
  const face = faces[chosen];
  const pose = at("pose");
  pose.hidden = !face;
  if (!face) return;
  const values = [["Yaw", face.pose[0]], ["Pitch", face.pose[1]], ["Roll", face.pose[2]]];
  pose.replaceChildren(
    ...values.map(([name, angle]) => {
      const cell = element("div");
      cell.append(element("dt", name), element("dd", `${angle.toFixed(0).replace(/^-0$/, "0").replace("-", "\u2212")}\u00b0`));
      return cell;
    }),
  );
}

function entryOf(index, choose) {
  const entry = element("label", "", { class: "face" });
  const input = element("input", "", { type: "radio", name: "face", value: index });
  input.addEventListener("change", () => choose(index));
  entry.append(input, element("span", `Face ${index + 1}`), element("span", "", { class: "confidence" }));
  entry.title = "Confidence that this is a face";
  return entry;
}

/** The point that is pointed at; `point` null = none. */
export function showPoint(face, point, scheme) {
  at("hint").hidden = point !== null;
  at("facts").hidden = point === null;
  if (point === null) return;
  const [x, y] = face.points.slice(2 * point, 2 * point + 2);
  const score = face.scores[point];
  const bar = barOf(score);
  const place = element("p", `x ${x.toFixed(1)}, y ${y.toFixed(1)}`, { class: "place" });
  const reliable = element("p", `reliability ${percent(score)} `, { class: "place" });
  reliable.append(bar);
  at("facts").replaceChildren(element("p", `${words(scheme.names[point])} (${point})`, { class: "name" }), place, reliable);
}

/** A drawing of the legend, in pixels of its own. */
function drawing(width, height, shapes) {
  const make = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  svg.append(...shapes.map(([tag, attributes]) => make(tag, attributes)));
  return svg;
}

/** A bar as long as a reliability, in its colour. */
function barOf(score) {
  const shape = { x: 0.5, y: 0.5, height: 9, rx: 4 };
  return drawing(101, 10, [
    ["rect", { ...shape, width: 100, class: "trough" }],
    ["rect", { ...shape, width: Math.max(100 * score, 4), fill: reliability(score), class: "full" }],
  ]);
}

/** The legend: parts of the face, or the scale of reliabilities. */
export function showLegend(byScore) {
  const parts = at("parts");
  at("ramp").hidden = !byScore;
  parts.hidden = byScore;
  parts.replaceChildren(
    ...PARTS.map(({ title, colour }) => {
      const entry = element("li");
      entry.append(drawing(12, 12, [["circle", { cx: 6, cy: 6, r: 5, fill: colour }]]), title);
      return entry;
    }),
  );
  const context = at("scale").getContext("2d");
  const { width, height } = context.canvas;
  for (let x = 0; x < width; x++) {
    context.fillStyle = reliability(x / (width - 1));
    context.fillRect(x, 0, 1, height);
  }
}

/** What is going on; `trouble` is an error in words, or empty. */
export function say(text, trouble = "") {
  at("status").textContent = text;
  at("trouble").textContent = trouble;
  at("trouble").hidden = !trouble;
}

/** Short name of a point at its place on the stage. */
export function showLabel(text, [x, y] = [0, 0], [width, height] = [0, 0]) {
  const label = at("label");
  label.hidden = !text;
  if (!text) return;
  label.textContent = text;
  const left = Math.min(Math.max(x + 12, 4), width - label.offsetWidth - 4);
  const top = y - label.offsetHeight - 10 < 4 ? y + 16 : y - label.offsetHeight - 10;
  label.style.translate = `${left}px ${Math.min(top, height - label.offsetHeight - 4)}px`;
}
