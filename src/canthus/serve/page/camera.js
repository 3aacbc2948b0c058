// The camera: one frame after the other goes through the finder, and is shown together with its own points.

const REASONS = {
  NotAllowedError: "The browser does not allow the camera. Allow it beside the address of the page, and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "Another program uses the camera.",
};

/** Runs the camera. */
export class Camera {
  /**
   * @param video Video element, which need not be seen.
   * @param finder Finder.
   * @param show Called with each frame: { bitmap, faces, milliseconds, rate }, rate in frames a second.
   * @param failed Called with an error that ended the run.
   */
  constructor(video, finder, show, failed) {
    Object.assign(this, { video, finder, show, failed });
    this.stream = null;
    this.arrived = false;
    this.wake = () => {};
  }

  get running() {
    return this.stream !== null;
  }

  /**
   * Start; asks for permission.
   *
   * @param device Which camera, by its deviceId; undefined = the one that faces the user.
   * @throws Error in words for the user.
   */
  async start(device) {
    if (!navigator.mediaDevices) throw new Error("The browser gives the camera only to pages at https:// or localhost.");
    this.stop();
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 60 } };
    const which = device ? { deviceId: { exact: device } } : { facingMode: "user" };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, ...which } });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera cannot be used: ${error.message}`);
    }
    const { stream } = this;
    const [track] = stream.getVideoTracks();
    track.onended = () => this.stream === stream && this.failed(new Error("The camera has been disconnected."));
    this.video.srcObject = stream;
    await this.video.play();
    this.watch(stream);
    this.run(stream).catch((error) => {
      if (this.stream === stream) this.failed(error);
    });
  }

  /** Which cameras there are: [{ deviceId, label }]; labels are known once the camera was allowed. */
  static async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return devices.filter(({ kind }) => kind === "videoinput");
  }

  /** Whether the picture should be mirrored, as a camera that faces the user. */
  get facing() {
    const [track] = this.stream?.getVideoTracks() ?? [];
    return track?.getSettings().facingMode !== "environment";
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.wake();
  }

  async run(stream) {
    const times = [];
    for (let first = true; this.stream === stream; first = false) {
      await this.fresh();
      if (this.stream !== stream) return;
      const bitmap = await createImageBitmap(this.video);
      const answer = await this.finder.find("frame", bitmap, { time: performance.now() / 1000, first });
      if (this.stream !== stream) return answer.bitmap.close();
      const now = performance.now();
      times.push(now);
      while (now - times[0] > 2000) times.shift();
      const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : null;
      this.show({ ...answer, rate });
    }
  }

  /** Note each frame that the video shows, as long as this stream runs; nothing happens while the page is hidden. */
  watch(stream) {
    const next = this.video.requestVideoFrameCallback?.bind(this.video) ?? requestAnimationFrame;
    const mark = () => {
      if (this.stream !== stream) return;
      this.arrived = true;
      this.wake();
      next(mark);
    };
    next(mark);
  }

  /** Wait until the video shows a frame that has not been seen, or the camera stops. */
  async fresh() {
    while (this.stream && !this.arrived) await new Promise((done) => (this.wake = done));
    this.arrived = false;
  }
}
