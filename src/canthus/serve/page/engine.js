// The networks in onnxruntime-web (WebAssembly), loaded from the folder of the page.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const WASM = "ort/ort-wasm-simd-threaded.wasm";
const place = (name) => new URL(name, import.meta.url);

/**
 * Loads model.json, the networks and the engine.
 *
 * @param progress Called with the share of bytes that are there, 0..1.
 * @returns { model, engine, threads }; `engine` runs the networks as landmarks.js wants them.
 */
export async function open(progress) {
  const answer = await fetch(place("model.json"));
  if (!answer.ok) throw new Error(`model.json is missing (${answer.status}); make the folder with scripts/page`);
  const model = await answer.json();
  const files = await fetched(model.files, progress);
  // Several threads need memory that they share, which browsers give to isolated pages alone.
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = files[WASM].buffer;
  const [detector, landmarks, score] = [
    await session(files["detector.onnx"]),
    await session(files["landmarks.onnx"]),
    await session(files["face_score.onnx"]),
  ];
  const { strides } = model.detector;
  const engine = {
    detector: async ({ data, width, height }) => {
      const out = await run(detector, data, [1, height, width, 3]);
      return strides.map((stride) => {
        const { data: map, dims } = out[`maps${stride}`];
        return { data: map, height: dims[2], width: dims[3] };
      });
    },
    landmarks: async ({ data, count, size }) => {
      const { points, scores, pose } = await run(landmarks, data, [count, size, size, 3]);
      return { points: points.data, scores: scores.data, pose: pose.data };
    },
    faceScore: async ({ data, count, size }) => (await run(score, data, [count, size, size, 3])).scores.data,
  };
  return { model, engine, threads };
}

/** Files by name, loaded at once. */
async function fetched(sizes, progress) {
  const whole = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  let there = 0;
  const load = async ([name, size]) => {
    const answer = await fetch(place(name));
    if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status})`);
    const data = new Uint8Array(size);
    let at = 0;
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > size) throw new Error(`${name} is not the file that model.json names; make the folder again`);
      data.set(value, at);
      at += value.length;
      there += value.length;
      progress(there / whole);
    }
    if (at !== size) throw new Error(`${name} was cut short while loading; reload the page`);
    return [name, data];
  };
  return Object.fromEntries(await Promise.all(Object.entries(sizes).map(load)));
}

function session(data) {
  return ort.InferenceSession.create(data, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
}

function run(network, pixels, dims) {
  return network.run({ [network.inputNames[0]]: new ort.Tensor("uint8", pixels, dims) });
}
