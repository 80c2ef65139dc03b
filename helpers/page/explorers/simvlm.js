// SimVLM without a kernel: one decoder reads the picture, then the prompt, each as a whole, and then the text, token by token.

/** The picture's tokens: RGB bytes -> a token for each place, row by row. */
function look(w, settings, pixels) {
  const x = convolutions(w, settings, pixels), places = settings.places, { width } = settings;
  const y = layerNorm(x, places ** 2, w["ln_eye.weight"], w["ln_eye.bias"], 1e-5);
  const rows = w["row_embedding"], columns = w["column_embedding"];
  return y.map((value, i) => {
    const place = Math.floor(i / width), l = i % width;
    return value + rows[Math.floor(place / places) * width + l] + columns[place % places * width + l];
  });
}

/** The state after more tokens; how much a token saw of the picture is its attention there, the rest goes to the text. */
function readTogether(w, settings, before, vectors) {
  return readVectors(w, settings, before, vectors, (x, kept, part, shares) => {
    const seen = meanLook(shares, settings.places ** 2);
    return { x, share: seen.reduce((a, b) => a + b, 0), look: seen };
  });
}

const speaker = {
  look,
  start: (w, settings, seen) => readTogether(w, settings,
    { length: 0, blocks: Array.from({ length: settings.layers }, () => ({ keys: [], values: [] })) }, seen),
  prompt: (w, settings, state, ids) => readTogether(w, settings, state, embeddings(w, settings, ids)),
  read: (w, settings, state, id) => readTogether(w, settings, state, embeddings(w, settings, [id])),
};
