// The image-kernel explorer: mount(host, data) draws it into one element. See kernel_explorer.py for the data.
// Every number on the screen is computed here, in float64, from the pixels and the nine weights.

const STYLE = `
  :host { display: block; max-width: 1180px; margin: 0 auto; overflow-x: auto; }
  .figure { box-sizing: border-box; background: #fff; color: #17202c; padding: 8px 12px; text-align: left;
    font: 15px/1.35 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums;
    display: grid; grid-template-columns: auto minmax(384px, 1fr) auto; gap: 0 24px; align-items: start;
    color-scheme: light; }
  canvas { display: block; margin: 0 auto; touch-action: none; }
  .output { border: 0 solid #fff; }
  canvas[tabindex] { cursor: crosshair; border-radius: 2px; }
  canvas:focus, :focus-visible { outline: 3px solid #1d4ed8; outline-offset: 2px; }
  .caption { height: 22px; color: #4a5565; font-size: 14px; white-space: nowrap; }
  .caption b { color: #17202c; font-size: 15px; }
  .patch { margin-top: 10px; }
  .row { display: flex; align-items: center; justify-content: space-between; gap: 10px; min-height: 34px; }
  select, input, .file { font: inherit; color: inherit; background: #fff; border: 1px solid #8a94a3;
    border-radius: 6px; box-sizing: border-box; }
  select { padding: 4px 6px; margin-left: 6px; font-weight: 600; height: 32px; }
  .file { padding: 4px 10px; cursor: pointer; height: 32px; position: relative; white-space: nowrap; }
  .file:focus-within { outline: 3px solid #1d4ed8; outline-offset: 2px; }
  .file input { position: absolute; inset: 0; opacity: 0; width: 100%; cursor: pointer; }
  .weights { display: grid; grid-template-columns: repeat(3, 84px); gap: 5px; justify-content: center; margin: 8px 0; }
  .weights input { height: 34px; width: 84px; text-align: center; font-size: 16px; font-weight: 600; margin: 0;
    appearance: textfield; }
  .weights input::-webkit-inner-spin-button { display: none; }
  .weights input[aria-invalid=true] { border: 2px solid #b91c1c; }
  .products { display: grid; grid-template-columns: repeat(3, minmax(118px, 1fr)); border: 3px solid #d9480f; }
  .products div { padding: 5px 2px 4px; text-align: center; box-shadow: inset 0 0 0 .5px #c6ccd5; overflow: hidden;
    white-space: nowrap; }
  .products small { display: block; font-size: 14px; color: #333d4b; }
  .products b { font-size: 19px; line-height: 1.2; }
  .sum { margin-top: 8px; text-align: center; font-size: 17px; white-space: nowrap; }
  .sum b { display: block; font-size: 29px; line-height: 1.2; }
  .sum i { display: inline-block; width: 18px; height: 18px; border: 3px solid #d9480f; vertical-align: -5px;
    margin-right: 8px; }
  .note { margin: 6px 0 0; color: #4a5565; font-size: 13.5px; text-align: center; }
  .problem { color: #b91c1c; font-weight: 600; text-align: center; }
  .problem:empty { display: none; }
`;
const LAYOUT = `<style>${STYLE}</style><div class="figure">
  <div><div class="caption"><b>Input</b> <span class="input-size"></span></div>
    <canvas class="input" tabindex="0" role="application"
      aria-label="Input picture. Arrow keys move the 3 by 3 window, with Shift by ten pixels."></canvas>
    <canvas class="patch input-patch" aria-hidden="true"></canvas></div>
  <div><div class="row"><label>Kernel<select></select></label>
      <label class="file">Your own picture…<input type="file" accept="image/*"></label></div>
    <div class="weights"></div>
    <div class="caption"><b>Window × kernel</b>: nine products, pixel × weight</div>
    <div class="products"></div>
    <div class="sum" aria-live="polite"></div>
    <div class="problem" role="alert"></div>
    <p class="note">Hover or touch, or click and press the arrow keys.<br>
      No padding: the window stays inside the picture,<br>so the output loses one pixel on every side.</p></div>
  <div><div class="caption"><b>Output</b> <span class="output-size"></span></div>
    <canvas class="output" tabindex="0" role="application"
      aria-label="Output picture. Arrow keys move the 3 by 3 window, with Shift by ten pixels."></canvas>
    <canvas class="patch output-patch" aria-hidden="true"></canvas></div></div>`;
const BOX = [352, 256], PATCH = [11, 7], CELL = 32; // CSS pixels, cells, CSS pixels
const SHARP = 2; // canvas pixels per CSS pixel: slides are scaled up on large screens
const WINDOW = "#ff5a0a";

// Twelve significant digits: all that is exact stays, the rounding dust of decimal weights (0.1 + 0.2) goes.
const number = x => String(+x.toPrecision(12)).replace("-", "−");
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const shown = x => clamp(Math.round(x), 0, 255);

function mount(host, data) {
  host.textContent = "";
  // JupyterLab would otherwise take arrow keys and letters typed in the figure as its own shortcuts, and reveal.js
  // a finger's movement as a swipe.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  host.setAttribute("data-prevent-swipe", "true");
  const root = host.attachShadow({ mode: "open" }); // the page's styles stay out, and this one's stay in
  root.innerHTML = LAYOUT;
  const find = selector => root.querySelector(selector);
  const select = find("select"), problem = find(".problem");

  let picture, weights, output, row, col; // row, col: the centre of the window, in pixels of the input

  for (const name of [...Object.keys(data.kernels), "custom"]) select.add(new Option(name));
  const inputs = Array.from({ length: 9 }, (_, i) => {
    const input = Object.assign(document.createElement("input"), { type: "number", step: "any", required: true });
    input.setAttribute("aria-label", `Weight in row ${Math.floor(i / 3) + 1}, column ${i % 3 + 1}`);
    input.addEventListener("input", () => edit(i));
    return find(".weights").appendChild(input);
  });
  const cells = inputs.map(() => find(".products").appendChild(document.createElement("div")));

  /** The nine products of the window centred on (r, c), row by row: pixel × weight, cross-correlation. */
  function products(r, c) {
    return weights.map((w, i) => w * picture.pixels[(r - 1 + Math.floor(i / 3)) * picture.width + c - 1 + i % 3]);
  }
  const total = values => values.reduce((a, b) => a + b, 0);

  function correlate() {
    const width = picture.width - 2, height = picture.height - 2;
    const values = new Float64Array(width * height);
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) values[r * width + c] = total(products(r + 1, c + 1));
    output = { width, height, values, pixels: values.map(shown) };
  }

  /** Pixels as a canvas of their own size, to be drawn enlarged. */
  function bitmap({ width, height, pixels }) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const image = new ImageData(width, height);
    pixels.forEach((p, i) => image.data.set([p, p, p, 255], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }
  function context(canvas, width, height) {
    Object.assign(canvas, { width: width * SHARP, height: height * SHARP });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const pen = canvas.getContext("2d");
    pen.scale(SHARP, SHARP);
    pen.imageSmoothingEnabled = false;
    return pen;
  }
  function frame(pen, x, y, width, height, line, colour) {
    pen.lineWidth = line;
    pen.strokeStyle = colour;
    pen.strokeRect(x - line / 2, y - line / 2, width + line, height + line); // outside the pixels it marks
  }

  const scale = () => Math.min(BOX[0] / picture.width, BOX[1] / picture.height);

  /** The whole picture, with size × size pixels marked around (r, c) and, finer, what the patch below magnifies. */
  function drawPicture(selector, image, r, c, size) {
    const s = scale(), reach = (size - 1) / 2;
    const pen = context(find(selector), image.width * s, image.height * s);
    pen.drawImage(image.bitmap, 0, 0, image.width * s, image.height * s);
    frame(pen, (c - 5) * s, (r - 3) * s, PATCH[0] * s, PATCH[1] * s, 1, "#fff");
    for (const [line, colour] of [[4, "#fff"], [2, WINDOW]]) // white outside: seen on any ground
      frame(pen, (c - reach) * s, (r - reach) * s, size * s, size * s, line, colour);
  }
  /** The pixels around (r, c), each with its number; those beyond the edge stay empty. */
  function drawPatch(selector, image, r, c, size) {
    const pen = context(find(selector), PATCH[0] * CELL, PATCH[1] * CELL), reach = (size - 1) / 2;
    Object.assign(pen, { font: "14px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    for (let y = 0; y < PATCH[1]; y++)
      for (let x = 0; x < PATCH[0]; x++) {
        const [pr, pc] = [r + y - 3, c + x - 5];
        const inside = pr >= 0 && pc >= 0 && pr < image.height && pc < image.width;
        const p = inside ? image.pixels[pr * image.width + pc] : 255;
        pen.fillStyle = `rgb(${p} ${p} ${p})`;
        pen.fillRect(x * CELL, y * CELL, CELL, CELL);
        frame(pen, x * CELL + 0.5, y * CELL + 0.5, CELL - 1, CELL - 1, 0.5, "#99a2ae");
        pen.fillStyle = p > 117 ? "#000" : "#fff";
        if (inside) pen.fillText(p, (x + 0.5) * CELL, (y + 0.5) * CELL + 1);
      }
    frame(pen, (5 - reach) * CELL + 1, (3 - reach) * CELL + 1, size * CELL - 2, size * CELL - 2, 3, WINDOW);
  }


  function draw() {
    drawPicture(".input", picture, row, col, 3);
    drawPatch(".input-patch", picture, row, col, 3);
    drawPicture(".output", output, row - 1, col - 1, 1);
    find(".output").style.borderWidth = `${scale()}px`; // the pixel lost on every side: both pictures align
    drawPatch(".output-patch", output, row - 1, col - 1, 1);
    const values = products(row, col), sum = total(values);
    const strongest = Math.max(...values.map(Math.abs), 1);
    values.forEach((value, i) => {
      const pixel = picture.pixels[(row - 1 + Math.floor(i / 3)) * picture.width + col - 1 + i % 3];
      cells[i].innerHTML = `<small>${pixel} × ${number(weights[i])}</small><b>${number(value)}</b>`;
      const strength = 0.3 * Math.abs(value) / strongest;
      cells[i].style.background = value < 0 ? `rgb(220 38 38 / ${strength})` : `rgb(37 99 235 / ${strength})`;
    });
    find(".sum").innerHTML = `<b>sum = ${number(sum)}</b>` +
      `<i style="background: rgb(${Array(3).fill(shown(sum))})"></i>` +
      `shown as ${shown(sum)} at row ${row - 1}, column ${col - 1}`;
    find(".input-size").textContent = `${picture.height} × ${picture.width}, window at row ${row}, column ${col}`;
    find(".output-size").textContent = `${output.height} × ${output.width}, shown clipped to 0…255`;
  }

  function compute() {
    correlate();
    output.bitmap = bitmap(output);
    draw();
  }
  function moveTo(r, c) {
    row = clamp(r, 1, picture.height - 2);
    col = clamp(c, 1, picture.width - 2);
    draw();
  }
  function setKernel(name) {
    weights = [...data.kernels[name]];
    inputs.forEach((input, i) => {
      input.value = weights[i];
      input.removeAttribute("aria-invalid");
    });
    problem.textContent = "";
    select.value = name;
    compute();
  }
  function edit(i) {
    const value = inputs[i].valueAsNumber, valid = Math.abs(value) <= 1000; // false for NaN, an empty cell
    inputs[i].setAttribute("aria-invalid", !valid);
    problem.textContent = inputs.some(input => input.getAttribute("aria-invalid") === "true")
      ? "A weight must be a number from −1000 to 1000; the last good one is used." : "";
    select.value = "custom";
    if (valid) weights[i] = value;
    compute();
  }
  function setPicture(width, height, pixels) {
    picture = { width, height, pixels };
    picture.bitmap = bitmap(picture);
    correlate();
    // Begin where the kernel answers most strongly, not on a wall or in the sky.
    const best = output.values.reduce((best, value, i) => value > output.values[best] ? i : best, 0);
    row = Math.floor(best / output.width) + 1;
    col = best % output.width + 1;
    compute();
  }
  async function readPicture(file) {
    problem.textContent = "";
    let image;
    try {
      image = await createImageBitmap(file);
    } catch {
      problem.textContent = `The browser cannot read “${file.name}” as a picture; try a PNG or JPEG file.`;
      return;
    }
    const ratio = Math.min(data.maxWidth / image.width, data.maxHeight / image.height, 1);
    const [width, height] = [image.width, image.height].map(side => Math.round(side * ratio));
    if (Math.min(width, height) < 3) {
      problem.textContent = `“${file.name}” is too narrow: reduced, it must still be at least 3×3 pixels.`;
      return;
    }
    const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    pen.fillStyle = "#fff"; // under what is transparent
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, 0, 0, width, height);
    const rgba = pen.getImageData(0, 0, width, height).data; // grey is the luma of ITU-R BT.601
    setPicture(width, height, Uint8Array.from({ length: width * height },
      (_, i) => Math.round(0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2])));
  }

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  for (const canvas of [find(".input"), find(".output")]) {
    const point = event => {
      const area = canvas.getBoundingClientRect(); // scaled as the slide is; the output's with its lost pixels
      moveTo(Math.floor((event.clientY - area.top) / area.height * picture.height),
        Math.floor((event.clientX - area.left) / area.width * picture.width));
    };
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("keydown", event => {
      if (!(event.key in steps)) return;
      event.preventDefault(); // the page would scroll
      event.stopPropagation(); // the slides would turn
      const [down, right] = steps[event.key].map(step => step * (event.shiftKey ? 10 : 1));
      moveTo(row + down, col + right);
    });
  }
  for (const field of [select, ...inputs]) field.addEventListener("keydown", event => event.stopPropagation());
  select.addEventListener("change", () => select.value in data.kernels && setKernel(select.value));
  find(".file input").addEventListener("change", event => {
    if (event.target.files.length) readPicture(event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });

  // Drawn for 1160 pixels, as on a slide; a narrower place, such as an output in JupyterLab, shows it smaller.
  new ResizeObserver(() => { find(".figure").style.zoom = clamp(host.clientWidth / 1160, 0.6, 1); }).observe(host);
  weights = data.kernels[data.kernel];
  setPicture(data.width, data.height, Uint8Array.from(atob(data.pixels), character => character.charCodeAt(0)));
  setKernel(data.kernel);
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    moveTo,
    get picture() { return picture; },
    get output() { return output; },
    get weights() { return [...weights]; },
    get window() { return { row, col, products: products(row, col), sum: total(products(row, col)) }; },
  };
}
