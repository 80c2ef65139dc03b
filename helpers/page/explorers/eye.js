// A street's picture as tokens: the residual blocks that VisualGPT and SimVLM begin with. In float64 throughout.

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

/** The convolutions `name` and the 1 × 1 convolution behind them: RGB bytes of a picture -> a token for each place. */
function convolutions(w, { side, strides }, pixels, name = "eye") {
  let x = Float64Array.from(pixels, value => (value - 128) / 64), size = side / 2;
  x = relu(convolve(x, side, folded(w, `${name}.0.stem.0`, `${name}.0.stem.1`), 2));
  strides.forEach((stride, i) => {
    x = basicBlock(x, size, w, `${name}.0.blocks.${i}`, stride);
    size /= stride;
  });
  return linear(x, size ** 2, w[`${name}.1.weight`], w[`${name}.1.bias`]);
}
