// Pictures in other sizes, as OpenCV makes them. A picture is { width, height, data }, data RGBA row by row, 8 bits.

/** Rounds to the nearest integer, halves to the even one, as OpenCV and Python do. */
export function rounded(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** A new picture, opaque black. */
export function blank(width, height) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let at = 3; at < data.length; at += 4) data[at] = 255;
  return { width, height, data };
}

/**
 * A picture in a smaller size: halved by means of 2 x 2 pixels as long as possible, then interpolated.
 * `_reduced` of detect/own.py.
 */
export function reduced(picture, width, height) {
  let image = picture;
  while (image.width >= 2 * width && image.height >= 2 * height) image = halved(image);
  return image.width === width && image.height === height ? image : interpolated(image, width, height);
}

/** The picture in half its size, each pixel a mean: cv2.resize with INTER_AREA. */
export function halved(picture) {
  const { width, height } = picture;
  if (width % 2 || height % 2) return averaged(picture, Math.floor(width / 2), Math.floor(height / 2));
  const half = blank(width / 2, height / 2);
  for (let y = 0, to = 0; y < half.height; y++) {
    for (let x = 0, from = 8 * y * width; x < half.width; x++, from += 8, to += 4) {
      for (let c = 0; c < 3; c++) {
        const upper = picture.data[from + c] + picture.data[from + 4 + c];
        const lower = picture.data[from + 4 * width + c] + picture.data[from + 4 * width + 4 + c];
        half.data[to + c] = (upper + lower + 2) >> 2;
      }
    }
  }
  return half;
}

/** Which pixels of a side make up each pixel of a shorter one: [first, weights] each. */
function shares(length, shorter) {
  const scale = length / shorter;
  return Array.from({ length: shorter }, (_, index) => {
    const start = index * scale;
    const end = start + scale;
    const cell = Math.min(scale, length - start);
    const last = Math.min(Math.floor(end), length - 1);
    const whole = Math.min(Math.ceil(start), last);
    const weights = [];
    if (whole - start > 1e-3) weights.push((whole - start) / cell);
    const first = weights.length ? whole - 1 : whole;
    for (let at = whole; at < last; at++) weights.push(1 / cell);
    if (end - last > 1e-3) weights.push(Math.min(end - last, 1, cell) / cell);
    return [first, weights];
  });
}

/** The picture in a smaller size whose pixels are means of areas of any size. */
function averaged(picture, width, height) {
  const result = blank(width, height);
  const across = shares(picture.width, width);
  const down = shares(picture.height, height);
  for (let y = 0, to = 0; y < height; y++) {
    const [top, heights] = down[y];
    for (let x = 0; x < width; x++, to += 4) {
      const [left, widths] = across[x];
      let [red, green, blue] = [0, 0, 0];
      for (let row = 0; row < heights.length; row++) {
        for (let column = 0; column < widths.length; column++) {
          const from = 4 * ((top + row) * picture.width + left + column);
          const weight = heights[row] * widths[column];
          red += weight * picture.data[from];
          green += weight * picture.data[from + 1];
          blue += weight * picture.data[from + 2];
        }
      }
      result.data[to] = rounded(red);
      result.data[to + 1] = rounded(green);
      result.data[to + 2] = rounded(blue);
    }
  }
  return result;
}

/** Where each pixel of a side lies on another one: its first neighbour and the weights of both, times 2048. */
function neighbours(length, shorter) {
  const scale = 1 / (shorter / length);
  const places = { first: new Int32Array(shorter), second: new Int32Array(shorter), weights: new Int32Array(2 * shorter) };
  for (let index = 0; index < shorter; index++) {
    const place = Math.fround((index + 0.5) * scale - 0.5);
    let first = Math.floor(place);
    let share = place - first;
    if (first < 0) [first, share] = [0, 0];
    if (first >= length - 1) [first, share] = [length - 1, 0];
    places.first[index] = first;
    places.second[index] = Math.min(first + 1, length - 1);
    places.weights[2 * index] = rounded(2048 * (1 - share));
    places.weights[2 * index + 1] = rounded(2048 * share);
  }
  return places;
}

/** The picture in another size, bilinear in the integers of cv2.resize with INTER_LINEAR. */
export function interpolated(picture, width, height) {
  const result = blank(width, height);
  const across = neighbours(picture.width, width);
  const down = neighbours(picture.height, height);
  const line = (row) => {
    const sums = new Int32Array(3 * width);
    const start = row * picture.width;
    for (let x = 0; x < width; x++) {
      const [first, second] = [4 * (start + across.first[x]), 4 * (start + across.second[x])];
      for (let c = 0; c < 3; c++) {
        sums[3 * x + c] =
          across.weights[2 * x] * picture.data[first + c] + across.weights[2 * x + 1] * picture.data[second + c];
      }
    }
    return sums;
  };
  const lines = new Map();
  const known = (row) => lines.get(row) ?? lines.set(row, line(row)).get(row);
  for (let y = 0, to = 0; y < height; y++) {
    const [upper, lower] = [known(down.first[y]), known(down.second[y])];
    const [high, low] = [down.weights[2 * y], down.weights[2 * y + 1]];
    for (const row of lines.keys()) if (row < down.first[y]) lines.delete(row);
    for (let x = 0; x < width; x++, to += 4) {
      for (let c = 0; c < 3; c++) {
        const sum = ((high * (upper[3 * x + c] >> 4)) >> 16) + ((low * (lower[3 * x + c] >> 4)) >> 16);
        result.data[to + c] = (sum + 2) >> 2;
      }
    }
  }
  return result;
}

/** A part of a picture as the input of a network: RGB, padded with `grey` on the right and below to multiples of `unit`. */
export function padded(picture, [x0, y0, x1, y1], unit, grey) {
  const [width, height] = [x1 - x0, y1 - y0].map((side) => Math.ceil(side / unit) * unit);
  const data = new Uint8Array(3 * width * height).fill(grey);
  for (let y = y0; y < y1; y++) {
    for (let x = x0, to = 3 * (y - y0) * width, from = 4 * (y * picture.width + x0); x < x1; x++, from += 4) {
      data[to++] = picture.data[from];
      data[to++] = picture.data[from + 1];
      data[to++] = picture.data[from + 2];
    }
  }
  return { width, height, data };
}
