// VisualGPT without a kernel: the eye, and a decoder that looks from the side. In float64, as eye.js and decoder.js are: a
// gate jumps at its threshold, so a number near it must not be rounded to another side than in torch.

/** The eye: RGB bytes of a picture -> a token for each place, row by row. */
function look(w, settings, pixels) {
  let x = plus(convolutions(w, settings, pixels), w["place_embedding"]);
  const n = x.length / settings.width;
  x = layerNorm(x, n, w["encoder.0.weight"], w["encoder.0.bias"], 1e-5);
  ({ x } = block(x, n, w, "encoder.1", { parts: TORCHVISION, heads: settings.heads }));
  return layerNorm(x, n, w["encoder.2.weight"], w["encoder.2.bias"], 1e-5);
}

/** The self-resurrecting activation unit: what is held and what is seen [D], mixed, and the mean gate of the picture. */
function srau(held, seen, tau) {
  let open = 0;
  const x = held.map((h, l) => {
    const alpha = 1 / (1 + Math.exp(-h)), beta = 1 - alpha;
    const visual = alpha > tau ? alpha : 0, language = beta > tau ? beta : 0;
    open += visual / held.length;
    return visual * seen[l] + language * h;
  });
  return { x, gate: open };
}

/** The state of a decoder that has read nothing yet, in front of the places that it may look at: [n · D]. */
function start(w, { layers, width }, seen) {
  const n = seen.length / width;
  const blocks = Array.from({ length: layers }, (_, i) => {
    const name = `decoder.blocks.${i}.cross_attention`, all = [1, 2].map(part => linear(seen, n,
      w[`${name}.in_proj_weight`].subarray(part * width ** 2, (part + 1) * width ** 2),
      w[`${name}.in_proj_bias`].subarray(part * width, (part + 1) * width)));
    const [placeKeys, placeValues] = all.map(x => Array.from({ length: n }, (_, j) => x.subarray(j * width, (j + 1) * width)));
    return { placeKeys, placeValues, keys: [], values: [] };
  });
  return { length: 0, blocks };
}

/** The state after one more token, beside the one before, which stays as it was; the share of the picture is its gate. */
function read(w, settings, before, id) {
  const { width, heads, tau } = settings;
  return readVectors(w, settings, before, embeddings(w, settings, [id]), (x, kept, part) => {
    const query = linear(layerNorm(x, 1, part("ln_cross.weight"), part("ln_cross.bias"), 1e-5), 1,
      part("cross_attention.in_proj_weight").subarray(0, width ** 2), part("cross_attention.in_proj_bias").subarray(0, width));
    const { y, shares } = gather(query, kept.placeKeys, kept.placeValues, heads);
    const seen = linear(y, 1, part("cross_attention.out_proj.weight"), part("cross_attention.out_proj.bias"));
    const mixed = srau(x, seen, tau);
    return { x: mixed.x, share: mixed.gate, look: meanLook(shares, kept.placeKeys.length) };
  });
}

const speaker = { look, start, read, prompt: (w, settings, state, ids) => ids.reduce((s, id) => read(w, settings, s, id), state) };
