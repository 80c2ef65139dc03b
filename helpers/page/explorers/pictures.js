// Pictures of the street world in a page: from stored bytes to a canvas, and darkened where no attention falls.

/** Bytes that were stored as differences from the pixel to the left, and then compressed. */
async function inflate(text, side) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const found = new Uint8Array(await new Response(stream).arrayBuffer()), line = 3 * side;
  for (let i = 0; i < found.length; i++) if (i % line >= 3) found[i] += found[i - 3];
  return found;
}

/** RGB bytes -> RGBA. */
function opaque(pixels, side) {
  const out = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let i = 0; i < side * side; i++) out.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
  return out;
}

/** A picture dark where little attention falls: RGB bytes, weights of n · n patches -> RGBA. */
function lit(pixels, side, patches) {
  const n = Math.sqrt(patches.length), step = side / n, top = Math.max(...patches);
  const out = new Uint8ClampedArray(4 * side * side);
  for (let i = 0; i < side * side; i++) {
    const patch = Math.floor(Math.floor(i / side) / step) * n + Math.floor(i % side / step);
    const light = 0.2 + 0.9 * patches[patch] / top;
    for (let c = 0; c < 3; c++) out[4 * i + c] = pixels[3 * i + c] * light;
    out[4 * i + 3] = 255;
  }
  return out;
}
