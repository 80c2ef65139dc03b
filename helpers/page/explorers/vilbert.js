// ViLBERT without a kernel: a stream of words and one of regions, which look at each other. Where the streams differ in
// width, a layer's queries, keys and values lie in three matrices, else in one.

/** n tokens as n vectors, which share the memory of x. */
const vectorsOf = (x, n) => Array.from({ length: n }, (_, i) => x.subarray(i * x.length / n, (i + 1) * x.length / n));

/** What n tokens gather from m tokens of the other stream: x [n · D], other [m · C] -> [n · D] and shares [n][heads][m]. */
function gatherAcross(x, n, other, m, w, name, heads) {
  const width = x.length / n, part = (tokens, count, i) => vectorsOf(linear(tokens, count,
    w[`${name}.in_proj_weight`]?.subarray(i * width ** 2, (i + 1) * width ** 2) ?? w[`${name}.${"qkv"[i]}_proj_weight`],
    w[`${name}.in_proj_bias`].subarray(i * width, (i + 1) * width)), count);
  const queries = part(x, n, 0), keys = part(other, m, 1), values = part(other, m, 2), y = new x.constructor(x.length);
  const shares = queries.map((query, i) => {
    const found = gather(query, keys, values, heads);
    y.set(found.y, i * width);
    return found.shares;
  });
  return { y: linear(y, n, w[`${name}.out_proj.weight`], w[`${name}.out_proj.bias`]), shares };
}

/** The words of a text among themselves: ids -> [T · D]. The same for every picture. */
function readWords(w, { heads, textLayers }, ids) {
  const table = w["token_embedding.weight"], width = w["ln_language.weight"].length, n = ids.length;
  let x = new Float32Array(n * width);
  ids.forEach((id, i) => x.set(table.subarray(id * width, (id + 1) * width), i * width));
  x = plus(x, w["position_embedding.weight"]);
  for (let i = 0; i < textLayers; i++) ({ x } = block(x, n, w, `text_blocks.${i}`, { parts: TORCHVISION, heads }));
  return x;
}

/** Words [T · D], of readWords, and the regions of a picture {features: [N · F], boxes: [N · 5]}, the first the whole of it
 *  -> {pooled: h_IMG ⊙ h_CLS [D], looks: [layers][T][N], where each word looks, the mean over heads}. */
function readPair(w, { heads, coLayers }, words, { features, boxes }) {
  const n = boxes.length / 5, norm = (x, m, name) => layerNorm(x, m, w[`${name}.weight`], w[`${name}.bias`], 1e-5);
  const through = (x, m, name) => linear(x, m, w[`${name}.weight`], w[`${name}.bias`]);
  let visual = norm(plus(through(features, n, "feature_projection"), through(boxes, n, "box_projection")), n, "ln_region");
  let language = words;
  const count = language.length / w["ln_language.weight"].length, looks = [];
  for (let i = 0; i < coLayers; i++) {
    const name = `co_layers.${i}`, v = norm(visual, n, `${name}.ln_visual`), l = norm(language, count, `${name}.ln_language`);
    const toVisual = gatherAcross(v, n, l, count, w, `${name}.co_attention.for_visual`, heads);
    const toLanguage = gatherAcross(l, count, v, n, w, `${name}.co_attention.for_language`, heads);
    visual = block(plus(visual, toVisual.y), n, w, `${name}.visual`, { parts: TORCHVISION, heads }).x;
    language = block(plus(language, toLanguage.y), count, w, `${name}.language`, { parts: TORCHVISION, heads }).x;
    looks.push(toLanguage.shares.map(all => all[0].map((_, j) => all.reduce((sum, head) => sum + head[j] / heads, 0))));
  }
  // The first region is <IMG>, the first token <sot>: they stand for the whole picture and the whole text.
  const first = (x, m, stream) =>
    through(norm(x, m, `ln_${stream}`).subarray(0, x.length / m), 1, `pool_${stream}`).map(value => Math.max(value, 0));
  const picture = first(visual, n, "visual"), text = first(language, count, "language");
  return { pooled: picture.map((value, i) => value * text[i]), looks };
}

/** The probability that text and picture belong together. */
const alignment = (w, pooled) => 1 / (1 + Math.exp(-linear(pooled, 1, w["alignment_head.weight"], w["alignment_head.bias"])[0]));

/** The probability of each answer. */
function answerShares(w, pooled) {
  const hidden = linear(pooled, 1, w["answer_head.0.weight"], w["answer_head.0.bias"]).map(ACTIVATIONS.gelu);
  return softmax(linear(hidden, 1, w["answer_head.2.weight"], w["answer_head.2.bias"]));
}
