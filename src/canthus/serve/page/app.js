// The page: what the user does, and what is shown.

import { Camera } from "./camera.js";
import { placed } from "./drawing.js";
import { Finder } from "./finder.js";
import { say, showFaces, showLabel, showLegend, showPoint, words } from "./panel.js";
import { save } from "./save.js";
import { Stage } from "./stage.js";

const at = (id) => document.getElementById(id);
/** Largest picture, as canthus limits it. */
const MAX_PIXELS = 178_000_000;

const finder = new Finder((share) => {
  at("progress").value = share;
  at("share").textContent = `${Math.floor(100 * share)} %`;
  if (shown || camera.running) say(`Loading the networks: ${Math.floor(100 * share)} %`);
});
const stage = new Stage(at("canvas"), (face, point) => choose(face ?? stage.options.chosen, point));
const camera = new Camera(at("video"), finder, showFrame, (error) => {
  stopCamera();
  say("", error.message);
});

/** The picture that is shown: { name, bitmap, width, height, faces, scheme, mirror, live }. */
let shown = null;
let model = null;
/** Number of the picture that was asked for last; answers to earlier ones are dropped. */
let asked = 0;

finder.ready.then(
  (loaded) => {
    model = loaded.model;
    at("loading").hidden = true;
    at("version").textContent = `canthus ${model.canthus}, ${loaded.threads} thread${loaded.threads > 1 ? "s" : ""}.`;
    at("licence").textContent = model.licence;
    document.documentElement.dataset.state = "ready";
  },
  (error) => {
    at("loading").hidden = true;
    say("", `The page cannot start: ${error.message}`);
    document.documentElement.dataset.state = "failed";
  },
);

/** Show a picture and what belongs to it. */
function show(next) {
  const before = shown;
  shown = next;
  for (const id of ["welcome", "about"]) at(id).hidden = Boolean(next);
  at("actions").hidden = !next && !camera.running;
  const faces = next?.faces ?? [];
  if (stage.options.chosen >= faces.length) Object.assign(stage.options, { chosen: 0, point: null });
  stage.show(next);
  if (before && before.bitmap !== next?.bitmap) before.bitmap.close();
  const found = faces.length > 0;
  for (const id of ["faces", "point", "display"]) at(id).hidden = !found;
  at("save").hidden = !next || next.live || !next.searched;
  at("zooms").hidden = !next || next.live;
  at("facts").setAttribute("aria-live", next?.live ? "off" : "polite");
  at("near").hidden = !found;
  at("plain").hidden = !next?.taken;
  for (const button of document.querySelectorAll("[data-save=pts]")) button.disabled = !found;
  at("pts-note").textContent = faces.length > 1 ? `.pts holds one face: face ${stage.options.chosen + 1}.` : "";
  const count = faces.length === 1 ? "1 face" : `${faces.length || "no"} faces`;
  at("canvas").setAttribute("aria-label", next ? `${next.name}: ${count}` : "No picture");
  choose(stage.options.chosen, stage.options.point);
}

/** Choose a face, and a point of it or none. */
function choose(face, point) {
  Object.assign(stage.options, { chosen: face, point });
  const faces = shown?.faces ?? [];
  if (faces.length) {
    showFaces(faces, face, (other) => choose(other, null));
    showPoint(faces[face], point, model.scheme);
    at("pts-note").textContent = faces.length > 1 ? `.pts holds one face: face ${face + 1}.` : "";
  }
  stage.draw();
  label();
}

/** The name of the chosen point beside it. */
function label() {
  const { chosen, point } = stage.options;
  const face = shown?.faces[chosen];
  if (!face || point === null) return showLabel("");
  const spot = placed(face.points[2 * point], face.points[2 * point + 1], stage.view());
  const { clientWidth, clientHeight } = at("canvas");
  showLabel(words(model.scheme.names[point]), spot, [clientWidth, clientHeight]);
}

/** Find the faces of a picture file. */
async function open(blob, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    return say("", `${name}: the browser cannot read it. Choose a JPEG, PNG, WebP or AVIF picture.`);
  }
  stopCamera();
  await search(bitmap, name, false);
}

/** Find the faces of a bitmap; `taken` = it comes from the camera. */
async function search(bitmap, name, taken) {
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    bitmap.close();
    return say("", `${name}: ${width} x ${height} pixels are too many; shrink the picture first.`);
  }
  const number = ++asked;
  const copy = await createImageBitmap(bitmap);
  if (number !== asked) return [bitmap, copy].forEach((unused) => unused.close());
  Object.assign(stage.options, { chosen: 0, point: null });
  const common = { name, width, height, mirror: false, live: false, taken };
  say(model ? "Looking for faces" : "Loading the networks");
  show({ ...common, bitmap: copy, faces: [], searched: false });
  at("canvas").setAttribute("aria-busy", "true");
  try {
    const answer = await finder.find("picture", bitmap);
    if (number !== asked) return answer.bitmap.close();
    const { faces } = answer;
    show({ ...common, bitmap: answer.bitmap, faces, scheme: model.scheme, searched: true });
    const count = faces.length === 1 ? "1 face" : `${faces.length} faces`;
    const time = `${Math.round(answer.milliseconds)} ms`;
    say(faces.length ? `${count} in ${width} x ${height} pixels, ${time}` : `No face was found (${width} x ${height} pixels, ${time}).`);
  } catch (error) {
    if (number === asked) say("", `${name}: ${error.message}`);
  }
  at("canvas").removeAttribute("aria-busy");
}

/** A frame of the camera with its faces. */
function showFrame({ bitmap, faces, milliseconds, rate }) {
  const { width, height } = bitmap;
  const first = !shown?.live;
  show({ name: "Camera", bitmap, width, height, faces, scheme: model.scheme, mirror: at("mirror").checked, live: true });
  if (first) say("");
  at("rate").hidden = false;
  at("rate").textContent = rate ? `${rate.toFixed(0)} frames a second, ${milliseconds.toFixed(0)} ms each` : "";
}

async function startCamera(device) {
  say(model ? "Starting the camera" : "Loading the networks");
  try {
    await camera.start(device);
  } catch (error) {
    return say("", error.message);
  }
  asked++;
  at("canvas").removeAttribute("aria-busy");
  at("mirror").checked = camera.facing;
  at("actions").hidden = false;
  at("camera").textContent = "Stop";
  for (const id of ["take", "mirrors"]) at(id).hidden = false;
  const cameras = await Camera.list();
  at("devices").hidden = cameras.length < 2;
  at("device").replaceChildren(...cameras.map(({ deviceId, label: text }, index) => new Option(text || `Camera ${index + 1}`, deviceId)));
  const [track] = camera.stream?.getVideoTracks() ?? [];
  if (track) at("device").value = track.getSettings().deviceId;
}

function stopCamera() {
  if (!camera.running) return;
  camera.stop();
  at("camera").textContent = "Camera";
  for (const id of ["take", "mirrors", "devices", "rate"]) at(id).hidden = true;
  if (!shown || shown.live) show(null);
  say("");
}

/** Keep the frame that is shown, and search it as a picture. */
async function take() {
  if (!shown?.live) return;
  const bitmap = await createImageBitmap(shown.bitmap);
  stopCamera();
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  await search(bitmap, `camera_${time}.png`, true);
}

const actions = {
  choose: () => at("file").click(),
  camera: () => (camera.running ? stopCamera() : startCamera()),
  take,
  async example() {
    const answer = await fetch(new URL("example.jpg", import.meta.url));
    await open(await answer.blob(), "astronaut.jpg");
  },
  closer: () => stage.zoomBy(1.5),
  farther: () => stage.zoomBy(1 / 1.5),
  near: () => stage.near(),
  fit: () => stage.fit(),
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button");
  if (button?.dataset.do) Promise.resolve(actions[button.dataset.do]()).catch((error) => say("", error.message));
  if (button?.dataset.save) {
    save(button.dataset.save, shown, stage.options.chosen, model, stage.options).catch((error) => say("", error.message));
  }
});

at("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) open(file, file.name);
  target.value = "";
});
at("device").addEventListener("change", ({ target }) => startCamera(target.value));
at("mirror").addEventListener("change", () => shown?.live && show({ ...shown, mirror: at("mirror").checked }));

for (const id of ["lines", "points", "boxes"]) {
  at(id).addEventListener("change", ({ target }) => {
    stage.options[id] = target.checked;
    stage.draw();
  });
}
for (const radio of document.querySelectorAll("[name=colour]")) {
  radio.addEventListener("change", ({ target }) => {
    stage.options.byScore = target.value === "score";
    showLegend(stage.options.byScore);
    stage.draw();
  });
}
showLegend(false);
show(null);

/** The picture among dropped or pasted things; a message where there is none. */
function openFirst(transfer) {
  const files = [...transfer.files];
  const picture = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
  if (picture) open(picture, picture.name || "pasted.png");
  else say("", "Only a picture file can be dropped here; save the picture first and drop the file.");
}

let inside = 0;
document.addEventListener("dragenter", (event) => {
  event.preventDefault();
  inside++;
  at("drop").hidden = false;
});
document.addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  at("drop").hidden = inside === 0;
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  at("drop").hidden = true;
  openFirst(event.dataTransfer);
});
document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && openFirst(clipboardData));

/** Go on by some points, or by some faces. */
function step(points, faces) {
  const every = shown?.faces ?? [];
  if (!every.length) return;
  const { chosen, point } = stage.options;
  const face = (chosen + faces + every.length) % every.length;
  const count = model.scheme.names.length;
  const next = point === null ? (points < 0 ? count - 1 : 0) : (point + points + count) % count;
  choose(face, next);
  stage.reveal(face, next);
  label();
}

const keys = {
  ArrowRight: () => step(1, 0),
  ArrowLeft: () => step(-1, 0),
  ArrowDown: () => step(0, 1),
  ArrowUp: () => step(0, -1),
  Escape: () => choose(stage.options.chosen, null),
  "+": actions.closer,
  "=": actions.closer,
  "-": actions.farther,
  0: actions.fit,
  Enter: actions.near,
};

at("canvas").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
  label();
});
at("canvas").addEventListener("wheel", label);
new ResizeObserver(label).observe(at("canvas"));
