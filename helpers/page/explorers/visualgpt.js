// VisualGPT without a kernel: the eye, the decoder that looks, and two ways to let it write. In float64 throughout: a gate
// jumps at its threshold, so a number near it must not be rounded to another side than in torch.

const relu = x => x.map(v => Math.max(v, 0));

/** A convolution without bias and the normalisation behind it as one convolution, made once: {weight, bias}. */
function folded(w, convolution, norm, eps = 1e-5) {
  return w[`${norm}.folded`] ??= (() => {
    const weight = new Float64Array(w[`${convolution}.weight`]), bias = new Float64Array(w[`${norm}.bias`].length);
    const size = weight.length / bias.length; // numbers of each output channel
    for (let j = 0; j < bias.length; j++) {
      const scale = w[`${norm}.weight`][j] / Math.sqrt(w[`${norm}.running_var`][j] + eps);
      bias[j] = w[`${norm}.bias`][j] - w[`${norm}.running_mean`][j] * scale;
      for (let i = j * size; i < (j + 1) * size; i++) weight[i] *= scale;
    }
    return { weight, bias };
  })();
}

/** A convolution over side × side places of C numbers each, padded with zeros: x [side², C] -> [(side / stride)², out]. */
function convolve(x, side, { weight, bias }, stride) {
  const channels = x.length / side ** 2, k = Math.sqrt(weight.length / bias.length / channels), pad = (k - 1) / 2;
  const n = side / stride, windows = new Float64Array(n * n * channels * k * k);
  let at = 0;
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++)
      for (let c = 0; c < channels; c++)
        for (let dy = -pad; dy <= pad; dy++)
          for (let dx = -pad; dx <= pad; dx++, at++) {
            const y = row * stride + dy, z = column * stride + dx;
            if (y >= 0 && y < side && z >= 0 && z < side) windows[at] = x[(y * side + z) * channels + c];
          }
  return linear(windows, n * n, weight, bias);
}

/** A residual block: relu(F(x) + x), where the shortcut is a 1 × 1 convolution if the shape changes. */
function basicBlock(x, side, w, name, stride) {
  const inner = relu(convolve(x, side, folded(w, `${name}.conv1`, `${name}.bn1`), stride));
  const residual = convolve(inner, side / stride, folded(w, `${name}.conv2`, `${name}.bn2`), 1);
  const short = w[`${name}.shortcut.0.weight`]
    ? convolve(x, side, folded(w, `${name}.shortcut.0`, `${name}.shortcut.1`), stride) : x;
  return relu(plus(residual, short));
}

/** The eye: RGB bytes of a picture -> a token for each place, row by row. */
function look(w, { side, heads, strides }, pixels) {
  let x = Float64Array.from(pixels, value => (value - 128) / 64), size = side / 2;
  x = relu(convolve(x, side, folded(w, "eye.0.stem.0", "eye.0.stem.1"), 2));
  strides.forEach((stride, i) => {
    x = basicBlock(x, size, w, `eye.0.blocks.${i}`, stride);
    size /= stride;
  });
  const n = size ** 2;
  x = plus(linear(x, n, w["eye.1.weight"], w["eye.1.bias"]), w["place_embedding"]);
  x = layerNorm(x, n, w["encoder.0.weight"], w["encoder.0.bias"], 1e-5);
  ({ x } = block(x, n, w, "encoder.1", { parts: TORCHVISION, heads }));
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

/** A decoder that has read nothing yet, in front of the places that it may look at: [n · D]. */
function unread(w, { layers, width }, seen) {
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

/** The decoder after one more token, beside the one before, which stays as it was: with the logits of the next token, and
 *  for each block its mean gate and where it looks, the mean over heads. */
function readToken(w, { width, heads, layers, tau }, before, id) {
  const row = (table, i) => w[table].subarray(i * width, (i + 1) * width), gates = [], looks = [], blocks = [];
  let x = plus(Float64Array.from(row("decoder.token_embedding.weight", id)), row("decoder.position_embedding.weight", before.length));
  before.blocks.forEach((kept, i) => {
    const part = name => w[`decoder.blocks.${i}.${name}`];
    const normed = name => layerNorm(x, 1, part(`${name}.weight`), part(`${name}.bias`), 1e-5);
    const through = (y, name) => linear(y, 1, part(`${name}.weight`), part(`${name}.bias`));
    const qkv = linear(normed("ln_1"), 1, part("self_attention.in_proj_weight"), part("self_attention.in_proj_bias"));
    const keys = [...kept.keys, qkv.subarray(width, 2 * width)], values = [...kept.values, qkv.subarray(2 * width)];
    x = plus(x, through(gather(qkv.subarray(0, width), keys, values, heads).y, "self_attention.out_proj"));
    const query = linear(normed("ln_cross"), 1, part("cross_attention.in_proj_weight").subarray(0, width ** 2),
      part("cross_attention.in_proj_bias").subarray(0, width));
    const { y, shares } = gather(query, kept.placeKeys, kept.placeValues, heads);
    const mixed = srau(x, through(y, "cross_attention.out_proj"), tau);
    x = mixed.x;
    x = plus(x, through(through(normed("ln_2"), "mlp.0").map(ACTIVATIONS.gelu), "mlp.3"));
    gates.push(mixed.gate);
    looks.push(shares[0].map((_, place) => shares.reduce((sum, head) => sum + head[place] / heads, 0)));
    blocks.push({ ...kept, keys, values });
  });
  x = layerNorm(x, 1, w["decoder.ln_final.weight"], w["decoder.ln_final.bias"], 1e-5);
  return { length: before.length + 1, blocks, logits: linear(x, 1, w["decoder.token_embedding.weight"]), gates, looks };
}

/** The decoder after several tokens. */
const readTokens = (w, settings, before, ids) => ids.reduce((state, id) => readToken(w, settings, state, id), before);

/** Greedy writing, one token a turn, the end token last: {id, p, logits, gates, looks}, all of the place that wrote it. */
function* written(w, settings, state, end, most = 40) {
  const room = Math.min(most, settings.length - state.length + 1);
  for (let turn = 0, id = null; turn < room && id !== end; turn++) {
    if (id !== null) state = readToken(w, settings, state, id);
    const { logits, gates, looks } = state, p = softmax(logits);
    id = p.indexOf(Math.max(...p));
    yield { id, p: p[id], logits, gates, looks };
  }
}

/** The most probable texts, at most k, the first the most probable: [{ids, p}]. Of all that is begun, the most probable is
 *  always written on; what is less probable than `least`, or left over after `turns` tokens, is given up. */
function likeliest(w, settings, state, end, k, least = 1e-3, turns = 80) {
  const found = [], begun = [];
  const begin = (from, ids, p) => softmax(from.logits).forEach((share, id) => {
    if (p * share >= least) begun.push({ from, ids: [...ids, id], p: p * share });
  });
  begin(state, [], 1);
  while (begun.length && found.length < k) {
    const best = begun.reduce((a, b) => b.p > a.p ? b : a), id = best.ids.at(-1);
    begun.splice(begun.indexOf(best), 1);
    if (id === end) found.push({ ids: best.ids.slice(0, -1), p: best.p });
    else if (turns-- > 0 && best.from.length < settings.length) begin(readToken(w, settings, best.from, id), best.ids, best.p);
  }
  if (found.length) return found;
  const turn = [...written(w, settings, state, end)]; // all texts are improbable: then the one it would write
  return [{ ids: turn.map(({ id }) => id).filter(id => id !== end), p: turn.reduce((p, step) => p * step.p, 1) }];
}
