// The canvas with the picture: zoom, shift, and which point lies under the pointer.

import { drawFaces, placed } from "./drawing.js";

const NEAR = { mouse: 14, pen: 18, touch: 26 };
const CLOSEST = 40;

/** Shows a picture with its faces, and tells which point is pointed at. */
export class Stage {
  /**
   * @param canvas Canvas that fills its parent.
   * @param pointed Called with (face, point), or (null, null).
   */
  constructor(canvas, pointed) {
    this.canvas = canvas;
    this.pointed = pointed;
    this.options = { lines: true, points: true, boxes: false, byScore: false, chosen: 0, point: null };
    this.shown = null;
    this.zoom = 1;
    this.centre = [0, 0];
    this.fingers = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => this.up(event));
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.pointed(null, null));
    canvas.addEventListener("dblclick", () => (this.zoom > 1 ? this.fit() : this.near()));
  }

  /** @param shown { bitmap, width, height, faces, scheme, mirror }, or null for an empty stage. */
  show(shown) {
    const before = this.shown;
    this.shown = shown;
    if (shown && (!before || before.width !== shown.width || before.height !== shown.height)) this.fit();
    this.draw();
  }

  /** Show the whole picture. */
  fit() {
    this.zoom = 1;
    if (this.shown) this.centre = [this.shown.width / 2, this.shown.height / 2];
    this.draw();
  }

  /** Zoom to the chosen face. */
  near() {
    const face = this.shown?.faces[this.options.chosen];
    if (!face) return;
    const [x0, y0, x1, y1] = face.box;
    const { clientWidth, clientHeight } = this.canvas;
    const whole = this.view().scale / this.zoom;
    const wanted = Math.min(clientWidth / (x1 - x0), clientHeight / (y1 - y0)) / 1.6;
    this.zoom = Math.min(Math.max(wanted / whole, 1), Math.max(1, CLOSEST / whole));
    const middle = (x0 + x1) / 2;
    this.centre = [this.shown.mirror ? this.shown.width - middle : middle, (y0 + y1) / 2];
    this.draw();
  }

  /** Zoom by a factor around a place of the canvas; without one around its middle. */
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    if (!this.shown) return;
    const before = this.view();
    const held = [(x - before.left) / before.scale, (y - before.top) / before.scale];
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), Math.max(1, CLOSEST / (before.scale / this.zoom)));
    const { scale } = this.view();
    this.centre = [held[0] + (this.canvas.clientWidth / 2 - x) / scale, held[1] + (this.canvas.clientHeight / 2 - y) / scale];
    this.draw();
  }

  /** Bring a point of a face into sight. */
  reveal(face, point) {
    const { clientWidth, clientHeight } = this.canvas;
    const { points } = this.shown.faces[face];
    const view = this.view();
    const [x, y] = placed(points[2 * point], points[2 * point + 1], view);
    if (x < 20 || y < 20 || x > clientWidth - 20 || y > clientHeight - 20) {
      this.centre = [(x - view.left) / view.scale, (y - view.top) / view.scale];
    }
    this.draw();
  }

  /** Where the picture lies: { scale, left, top, mirror, width }. */
  view() {
    const { clientWidth: wide, clientHeight: high } = this.canvas;
    const { width, height, mirror } = this.shown;
    const scale = Math.min(wide / width, high / height) * this.zoom;
    const along = (middle, room, length) => {
      const free = room - length * scale;
      return free >= 0 ? free / 2 : Math.min(0, Math.max(free, room / 2 - middle * scale));
    };
    return { scale, left: along(this.centre[0], wide, width), top: along(this.centre[1], high, height), mirror, width };
  }

  draw() {
    const { canvas, shown } = this;
    const density = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * density), Math.round(canvas.clientHeight * density)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!shown || !width || !height) return;
    const view = this.view();
    context.save();
    context.imageSmoothingEnabled = view.scale * density < 6;
    context.imageSmoothingQuality = "high";
    context.translate(view.left + (shown.mirror ? shown.width * view.scale : 0), view.top);
    context.scale(shown.mirror ? -view.scale : view.scale, view.scale);
    context.drawImage(shown.bitmap, 0, 0);
    context.restore();
    drawFaces(context, shown.faces, shown.scheme, view, this.options);
  }

  wheel(event) {
    if (!this.shown) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), event.offsetX, event.offsetY);
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (event.pointerType !== "mouse") this.point(event);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
  }

  /** A finger shifts the picture, two zoom it, a mouse without a button names points. */
  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return this.point(event);
    if (!this.shown) return;
    const [x, y] = [event.offsetX, event.offsetY];
    const others = [...this.fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (others.length) {
      const [other] = others;
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
      this.zoomBy(apart([x, y]) / Math.max(apart(before), 1), (x + other[0]) / 2, (y + other[1]) / 2);
    }
    const { scale } = this.view();
    const share = others.length ? 0.5 : 1;
    this.centre = [this.centre[0] - (share * (x - before[0])) / scale, this.centre[1] - (share * (y - before[1])) / scale];
    this.fingers.set(event.pointerId, [x, y]);
    this.draw();
  }

  /** Tell which point lies nearest to the pointer. */
  point({ offsetX, offsetY, pointerType }) {
    if (!this.shown) return;
    const view = this.view();
    let best = { face: null, point: null, distance: NEAR[pointerType] ?? NEAR.mouse };
    this.shown.faces.forEach(({ points }, face) => {
      for (let point = 0; point < points.length / 2; point++) {
        const [x, y] = placed(points[2 * point], points[2 * point + 1], view);
        const distance = Math.hypot(x - offsetX, y - offsetY);
        if (distance < best.distance) best = { face, point, distance };
      }
    });
    this.pointed(best.face, best.point);
  }
}
