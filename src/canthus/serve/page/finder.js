// The page's end of worker.js: pictures go in, faces come out.

/** Finds faces in a worker. */
export class Finder {
  /** @param progress Called with the share of the networks that is loaded, 0..1. */
  constructor(progress) {
    this.waiting = new Map();
    this.next = 0;
    // A worker from a blob is under the content security policy of the page, as one from a file is not.
    const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.worker = new Worker(address, { type: "module" });
    /** { model, threads } when the networks are loaded. */
    this.ready = new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker cannot be started"));
      this.worker.onmessage = ({ data }) => {
        if (data.share !== undefined) progress(data.share);
        else if (data.model) resolve(data);
        else if (data.failure) reject(new Error(data.failure));
        else this.settle(data);
      };
    });
  }

  settle({ id, error, ...answer }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  }

  /**
   * Finds the faces of a picture.
   *
   * @param kind "picture", or "frame" of a camera, with `time` in seconds and `first` to start anew.
   * @param bitmap ImageBitmap; it comes back with the answer.
   * @returns { faces, bitmap, milliseconds }
   */
  async find(kind, bitmap, details = {}) {
    await this.ready;
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, kind, bitmap, ...details }, [bitmap]);
    });
  }
}
