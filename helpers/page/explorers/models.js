// The street models without a kernel: their forward passes in plain functions, from the same weights as in torch.
// A sequence of n tokens of k numbers is one array, row by row: a Float32Array, or a Float64Array where a model begins
// with one, since each result has the type of its input. Sums are kept in float64.

/** Floats of which the upper three bytes are stored, little-endian, as Float32Array. */
function unpack(text) {
  const stored = bytes(text), all = new Uint8Array(stored.length / 3 * 4);
  for (let i = 0, j = 1; i < stored.length; i += 3, j += 4) {
    all[j] = stored[i];
    all[j + 1] = stored[i + 1];
    all[j + 2] = stored[i + 2];
  }
  return new Float32Array(all.buffer);
}

/** {name: Float32Array} of a .safetensors file: the length of its header, the header, the numbers. */
function fromSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete header.__metadata__;
  return Object.fromEntries(Object.entries(header).map(([name, { data_offsets: [from, to] }]) =>
    [name, new Float32Array(buffer.slice(8 + length + from, 8 + length + to))]));
}

/** {name: Float32Array} of a stored model, as helpers.page.explorers.weights writes it. */
function fromScript({ tensors, numbers: text }) {
  const numbers = unpack(text);
  let at = 0;
  return Object.fromEntries(tensors.map(([name, size]) => [name, numbers.subarray(at, at += size)]));
}

/** The weights of a model, read once for all explorers of the page: inline, from Jupyter's server, or a sibling file. */
function weightsOf(name) {
  const kept = globalThis.courseLoaded ??= {};
  return kept[name] ??= (async () => {
    const stored = globalThis.courseWeights ??= {};
    const jupyter = document.getElementById("jupyter-config-data");
    if (!stored[name] && jupyter) {
      const base = JSON.parse(jupyter.textContent).baseUrl ?? "/";
      // The course may lie in a folder below the one that Jupyter shows; the page's address tells which.
      const folders = location.pathname.split("/tree/")[1]?.split("/") ?? [];
      for (let depth = 0; depth <= Math.max(0, folders.length - 1); depth++) {
        const place = [...folders.slice(0, depth), "data", "weights", `${name}.safetensors`].join("/");
        const answer = await fetch(`${base}files/${place}`);
        if (answer.ok) return fromSafetensors(await answer.arrayBuffer());
      }
      throw new Error(`Jupyter's server has no data/weights/${name}.safetensors`);
    }
    if (!stored[name]) await new Promise((done, fail) => {
      const script = Object.assign(document.createElement("script"), { src: `assets/models/${name}.js` });
      script.onload = done;
      script.onerror = () => fail(new Error(`assets/models/${name}.js is not beside this page`));
      document.head.append(script);
    });
    return fromScript(stored[name]);
  })();
}

/** x Wᵀ + b: n tokens of k numbers, W [m, k] -> n tokens of m numbers. */
function linear(x, n, weight, bias) {
  const k = x.length / n, m = weight.length / k, y = new x.constructor(n * m);
  for (let j = 0; j < m; j++) {
    const w = j * k, b = bias ? bias[j] : 0;
    let i = 0;
    for (; i + 4 <= n; i += 4) { // four tokens at once, so that each weight is read once for them
      let s0 = b, s1 = b, s2 = b, s3 = b, x0 = i * k;
      const x1 = x0 + k, x2 = x1 + k, x3 = x2 + k;
      for (let l = 0; l < k; l++) {
        const v = weight[w + l];
        s0 += x[x0 + l] * v; s1 += x[x1 + l] * v; s2 += x[x2 + l] * v; s3 += x[x3 + l] * v;
      }
      y[i * m + j] = s0; y[(i + 1) * m + j] = s1; y[(i + 2) * m + j] = s2; y[(i + 3) * m + j] = s3;
    }
    for (; i < n; i++) {
      let s = b;
      for (let l = 0; l < k; l++) s += x[i * k + l] * weight[w + l];
      y[i * m + j] = s;
    }
  }
  return y;
}

/** Each token brought to mean 0 and variance 1, then scaled and shifted. */
function layerNorm(x, n, weight, bias, eps) {
  const k = x.length / n, y = new x.constructor(x.length);
  for (let i = 0; i < n; i++) {
    let mean = 0, variance = 0;
    for (let l = 0; l < k; l++) mean += x[i * k + l] / k;
    for (let l = 0; l < k; l++) variance += (x[i * k + l] - mean) ** 2 / k;
    const scale = 1 / Math.sqrt(variance + eps);
    for (let l = 0; l < k; l++) y[i * k + l] = (x[i * k + l] - mean) * scale * weight[l] + bias[l];
  }
  return y;
}

/** Two sequences, or vectors, added number by number. */
const plus = (x, y) => x.map((value, i) => value + y[i]);

/** The error function, by the series of Abramowitz and Stegun 7.1.6: right to the last digits of float64. */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) sum += term *= 2 * x * x / n;
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}
const ACTIVATIONS = {
  gelu: x => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  quick_gelu: x => x / (1 + Math.exp(-1.702 * x)),
};

/** Numbers as shares of 1 that keep their order. */
function softmax(scores) {
  const top = Math.max(...scores), powers = Array.from(scores, s => Math.exp(s - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(p => p / sum);
}

/** What one query [D] gathers from n keys and values [D] each: {y: [D], shares: [heads][n]}. */
function gather(query, keys, values, heads) {
  const d = query.length / heads, y = new query.constructor(query.length), shares = [];
  for (let from = 0; from < query.length; from += d) {
    const p = softmax(keys.map(key => {
      let s = 0;
      for (let l = from; l < from + d; l++) s += query[l] * key[l];
      return s / Math.sqrt(d);
    }));
    for (let l = from; l < from + d; l++) {
      let s = 0;
      for (let j = 0; j < p.length; j++) s += p[j] * values[j][l];
      y[l] = s;
    }
    shares.push(p);
  }
  return { y, shares };
}

/** What n tokens gather from each other, and the weights of it: qkv [n, 3D] -> [n, D] and [heads][n][n]. */
function attend(qkv, n, heads, causal) {
  const width = qkv.length / n / 3, y = new qkv.constructor(n * width);
  const vectors = part => Array.from({ length: n }, (_, i) => qkv.subarray((3 * i + part) * width, (3 * i + part + 1) * width));
  const queries = vectors(0), keys = vectors(1), values = vectors(2);
  const rows = queries.map((query, i) => {
    const seen = causal ? i + 1 : n, found = gather(query, keys.slice(0, seen), values.slice(0, seen), heads);
    y.set(found.y, i * width);
    return found.shares;
  });
  return { y, maps: Array.from({ length: heads }, (_, h) => rows.map(shares => shares[h])) };
}

// What the libraries call the parts of a block.
const OPEN_CLIP = { attention: "attn", first: "mlp.c_fc", second: "mlp.c_proj" };
const TORCHVISION = { attention: "self_attention", first: "mlp.0", second: "mlp.3" };

/** One pre-norm block of a Transformer: n tokens -> n tokens, and its attention maps. */
function block(x, n, weights, name, { parts, heads, eps = 1e-5, activation = "gelu", causal = false }) {
  const w = part => weights[`${name}.${part}`];
  const normed = part => layerNorm(x, n, w(`${part}.weight`), w(`${part}.bias`), eps);
  const through = (y, part) => linear(y, n, w(`${part}.weight`), w(`${part}.bias`));
  const attention = parts.attention, act = ACTIVATIONS[activation];
  const qkv = linear(normed("ln_1"), n, w(`${attention}.in_proj_weight`), w(`${attention}.in_proj_bias`));
  const { y, maps } = attend(qkv, n, heads, causal);
  x = plus(x, through(y, `${attention}.out_proj`));
  return { x: plus(x, through(through(normed("ln_2"), parts.first).map(act), parts.second)), maps };
}

/** A picture's patches, each through the same linear map, behind the class token: RGB bytes, row by row -> tokens. */
function embed(pixels, side, patch, mean, std, weight, bias, token) {
  const n = side / patch, vectors = new Float32Array(n * n * 3 * patch * patch);
  let at = 0;
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++)
      for (let c = 0; c < 3; c++)
        for (let y = 0; y < patch; y++)
          for (let x = 0; x < patch; x++)
            vectors[at++] = (pixels[((row * patch + y) * side + column * patch + x) * 3 + c] - mean[c]) / std[c];
  const patches = linear(vectors, n * n, weight, bias), x = new Float32Array(token.length + patches.length);
  x.set(token);
  x.set(patches, token.length);
  return x;
}

/** A vector brought to length 1. */
function unit(x) {
  const length = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
  return x.map(value => value / length);
}
/** x P: one vector through a matrix [k, m] that stands the other way round than `linear` has it. */
function project(x, matrix) {
  const m = matrix.length / x.length;
  return Float32Array.from({ length: m }, (_, j) => x.reduce((sum, value, l) => sum + value * matrix[l * m + j], 0));
}

/** CLIP's image tower: RGB bytes of a picture -> its feature, of length 1. */
function clipImage(weights, settings, pixels) {
  const { side, patch, mean, std, layers, heads, activation } = settings.image, w = weights;
  let x = embed(pixels, side, patch, mean, std, w["visual.conv1.weight"], null, w["visual.class_embedding"]);
  const n = (side / patch) ** 2 + 1;
  x = plus(x, w["visual.positional_embedding"]);
  x = layerNorm(x, n, w["visual.ln_pre.weight"], w["visual.ln_pre.bias"], 1e-5);
  for (let i = 0; i < layers; i++)
    ({ x } = block(x, n, w, `visual.transformer.resblocks.${i}`, { parts: OPEN_CLIP, heads, activation }));
  const token = layerNorm(x.subarray(0, x.length / n), 1, w["visual.ln_post.weight"], w["visual.ln_post.bias"], 1e-5);
  return unit(project(token, w["visual.proj"]));
}

/** CLIP's text tower: ids, the end token last -> the text's feature, of length 1. */
function clipText(weights, settings, ids) {
  const { layers, heads, activation } = settings.text, w = weights, n = ids.length;
  const table = w["token_embedding.weight"], width = w["ln_final.weight"].length;
  let x = new Float32Array(n * width);
  ids.forEach((id, i) => x.set(table.subarray(id * width, (id + 1) * width), i * width));
  x = plus(x, w["positional_embedding"]);
  for (let i = 0; i < layers; i++)
    ({ x } = block(x, n, w, `transformer.resblocks.${i}`, { parts: OPEN_CLIP, heads, activation, causal: true }));
  const end = layerNorm(x.subarray((n - 1) * width), 1, w["ln_final.weight"], w["ln_final.bias"], 1e-5);
  return unit(project(end, w["text_projection"]));
}

/** The Vision Transformer: RGB bytes -> {maps: [layers][heads][n][n], logits: {label: [classes]}}. */
function vitRead(weights, settings, pixels) {
  const { side, patch, mean, std, layers, heads, labels } = settings, w = weights;
  let x = embed(pixels, side, patch, mean, std, w["conv_proj.weight"], w["conv_proj.bias"], w["class_token"]);
  const n = (side / patch) ** 2 + 1, maps = [], logits = {};
  x = plus(x, w["encoder.pos_embedding"]);
  for (let i = 0; i < layers; i++) {
    const options = { parts: TORCHVISION, heads, eps: 1e-6 };
    const out = block(x, n, w, `encoder.layers.encoder_layer_${i}`, options);
    x = out.x;
    maps.push(out.maps);
  }
  const token = layerNorm(x.subarray(0, x.length / n), 1, w["encoder.ln.weight"], w["encoder.ln.bias"], 1e-6);
  for (const label of labels) logits[label] = [...linear(token, 1, w[`heads.${label}.weight`], w[`heads.${label}.bias`])];
  return { maps, logits };
}

// The street tokenizer: byte-level pieces of lower-cased text (data/tokenizer/street.json).

// The white space of Unicode, which JavaScript's \s is not exactly.
const SPACES = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = new RegExp(`'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACES}\\p{L}\\p{N}]+` +
  `|[${SPACES}]+(?![^${SPACES}])|[${SPACES}]+`, "gu");

/** Every byte as the character that the vocabulary writes it with: itself if it can be printed. */
const LETTERS = (() => {
  const letters = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = byte > 32 && byte < 127 || byte > 160 && byte !== 173;
    letters.push(String.fromCodePoint(printable ? byte : next++));
  }
  return letters;
})();

/** From {pieces: [piece of each id], merges: [[left, right]]} a function from a text to its ids. */
function tokenizer({ pieces, merges }) {
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
  const split = word => {
    const parts = [...word];
    for (;;) {
      let best = -1, rank = Infinity;
      for (let i = 0; i + 1 < parts.length; i++) {
        const own = ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (own < rank) [best, rank] = [i, own];
      }
      if (best < 0) return parts;
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
  };
  return text => {
    if (!text) return [];
    // Letter by letter: as a whole, JavaScript would write another sigma at the end of a Greek word.
    const lower = [...` ${text}`].map(letter => letter.toLowerCase()).join("");
    return (lower.match(WORDS) ?? []).flatMap(word => {
      const letters = Array.from(new TextEncoder().encode(word), byte => LETTERS[byte]).join("");
      return split(letters).map(piece => ids.get(piece)).filter(id => id !== undefined);
    });
  };
}

/** From {pieces, specials: how many there are before all others, eot} a function from ids to their text. */
function detokenizer({ pieces, specials, eot }) {
  const numbers = new Map(LETTERS.map((letter, byte) => [letter, byte])), reader = new TextDecoder("utf-8", { ignoreBOM: true });
  return ids => {
    const letters = ids.filter(id => id >= specials && id < eot).flatMap(id => [...pieces[id]]);
    return reader.decode(Uint8Array.from(letters, letter => numbers.get(letter))).replace(/^ /, "");
  };
}

/** <sot>, the text, <eot>, at most `length` ids: what clipText takes. */
const clipIds = (encode, text, { sot, eot, length }) => [sot, ...encode(text).slice(0, length - 2), eot];

/** Cosines of one feature with many, all of length 1: [d], [n · d] -> [n]. */
function cosines(one, many) {
  const d = one.length;
  return Array.from({ length: many.length / d }, (_, i) => {
    let sum = 0;
    for (let l = 0; l < d; l++) sum += one[l] * many[i * d + l];
    return sum;
  });
}
/** The numbers of the k largest values, the largest first. */
const largest = (values, k) => [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, k);
