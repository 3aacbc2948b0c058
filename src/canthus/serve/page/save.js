// Results as downloads.

import { drawFaces } from "./drawing.js";
import { toCsv, toJson, toPts } from "./formats.js";

/** Name of a picture without its extension. */
export function stem(name) {
  return name.replace(/\.[^.]+$/, "") || "picture";
}

function download(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A picture as PNG, with what `draw` adds. */
async function pngOf({ bitmap, width, height }, draw = () => {}) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  draw(context);
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * Save the results of a picture.
 *
 * @param kind "json", "csv", "pts", "drawn" or "plain".
 * @param shown { name, bitmap, width, height, faces }
 * @param face Number of the face for .pts.
 */
export async function save(kind, shown, face, model, options) {
  const { scheme, canthus } = model;
  const { name, width, height, faces } = shown;
  const found = { name, width, height, faces, scheme: scheme.name };
  const base = stem(name);
  if (kind === "json") download(`${base}.json`, toJson(found, canthus), "application/json");
  else if (kind === "csv") download(`${base}.csv`, toCsv(found), "text/csv");
  else if (kind === "pts") {
    const number = faces.length > 1 ? `_${face}` : "";
    download(`${base}${number}.pts`, toPts(faces[face].points), "text/plain");
  } else if (kind === "plain") download(name, await pngOf(shown), "image/png");
  else {
    const view = { scale: 1, left: 0, top: 0, mirror: false, width };
    const draw = (context) => drawFaces(context, faces, scheme, view, { ...options, point: null });
    download(`${base}_points.png`, await pngOf(shown, draw), "image/png");
  }
}
