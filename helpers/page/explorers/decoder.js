// A decoder that reads and writes, without a kernel, whatever joins the picture to its words. In float64 throughout.
// A state is what it has read: {length, blocks: keys and values of each, logits: of the next token, shares: for each block,
// how much the picture counted for the last token, looks: for each block, where in the picture that token looked}.

const embeddings = (w, { width }, ids) => Float64Array.from(ids.flatMap(id =>
  [...w["decoder.token_embedding.weight"].subarray(id * width, (id + 1) * width)]));

/** The mean over heads of what a token gathered from each of the first n keys: [heads][keys] -> [n]. */
const meanLook = (shares, n) => Array.from({ length: n }, (_, place) => shares.reduce((sum, head) => sum + head[place] / shares.length, 0));

/** The state after n more tokens x [n · D], which see all before and one another. In each block, after its attention,
 *  `join(x, kept, block, shares)` brings in the picture, and says of the last token {x, share, look}. */
function readVectors(w, { width, heads }, before, x, join) {
  const n = x.length / width, from = before.length * width, shares = [], looks = [];
  x = plus(x, w["decoder.position_embedding.weight"].subarray(from, from + n * width));
  const blocks = before.blocks.map((kept, i) => {
    const part = name => w[`decoder.blocks.${i}.${name}`];
    const normed = name => layerNorm(x, n, part(`${name}.weight`), part(`${name}.bias`), 1e-5);
    const through = (y, name) => linear(y, n, part(`${name}.weight`), part(`${name}.bias`));
    const qkv = linear(normed("ln_1"), n, part("self_attention.in_proj_weight"), part("self_attention.in_proj_bias"));
    const vectors = which => Array.from({ length: n }, (_, j) => qkv.subarray((3 * j + which) * width, (3 * j + which + 1) * width));
    const keys = [...kept.keys, ...vectors(1)], values = [...kept.values, ...vectors(2)], gathered = new Float64Array(n * width);
    const found = vectors(0).map(query => gather(query, keys, values, heads));
    found.forEach(({ y }, j) => gathered.set(y, j * width));
    x = plus(x, through(gathered, "self_attention.out_proj"));
    const joined = join(x, kept, part, found.at(-1).shares);
    x = joined.x;
    x = plus(x, through(through(normed("ln_2"), "mlp.0").map(ACTIVATIONS.gelu), "mlp.3"));
    shares.push(joined.share);
    looks.push(joined.look);
    return { ...kept, keys, values };
  });
  const last = layerNorm(x.subarray((n - 1) * width), 1, w["decoder.ln_final.weight"], w["decoder.ln_final.bias"], 1e-5);
  return { length: before.length + n, blocks, logits: linear(last, 1, w["decoder.token_embedding.weight"]), shares, looks };
}

/** Greedy writing, one token a turn, the end token last: {id, p, logits, shares, looks}, all of the place that wrote it.
 *  `speaker.read(w, settings, state, id)` is the state after one more token. */
function* written(speaker, w, settings, state, end, most = 40) {
  const room = Math.min(most, settings.length - state.length + 1);
  for (let turn = 0, id = null; turn < room && id !== end; turn++) {
    if (id !== null) state = speaker.read(w, settings, state, id);
    const { logits, shares, looks } = state, p = softmax(logits);
    id = p.indexOf(Math.max(...p));
    yield { id, p: p[id], logits, shares, looks };
  }
}

/** The most probable texts, at most k, the first the most probable: [{ids, p}]. Of all that is begun, the most probable is
 *  always written on; what is less probable than `least`, or left over after `turns` tokens, is given up. */
function likeliest(speaker, w, settings, state, end, k, least = 1e-3, turns = 80) {
  const found = [], begun = [];
  const begin = (from, ids, p) => softmax(from.logits).forEach((share, id) => {
    if (p * share >= least) begun.push({ from, ids: [...ids, id], p: p * share });
  });
  begin(state, [], 1);
  while (begun.length && found.length < k) {
    const best = begun.reduce((a, b) => b.p > a.p ? b : a), id = best.ids.at(-1);
    begun.splice(begun.indexOf(best), 1);
    if (id === end) found.push({ ids: best.ids.slice(0, -1), p: best.p });
    else if (turns-- > 0 && best.from.length < settings.length) begin(speaker.read(w, settings, best.from, id), best.ids, best.p);
  }
  if (found.length) return found;
  const turn = [...written(speaker, w, settings, state, end)]; // all texts are improbable: then the one it would write
  return [{ ids: turn.map(({ id }) => id).filter(id => id !== end), p: turn.reduce((p, step) => p * step.p, 1) }];
}
