// The receptive field: which pixels reach one place of a layer. See receptive.py for the data.

const STYLE = `
  .panel { flex: 0 0 auto; } .chain { flex: 1 1 260px; min-width: 240px; }
  .controls { flex: 1 0 100%; } .controls label { display: flex; align-items: center; gap: 12px; font-weight: 600; }
  input[type=range] { width: 300px; height: 30px; accent-color: var(--accent); }
  svg { display: block; width: 380px; max-width: 100%; height: auto; touch-action: none; }
  .map { cursor: crosshair; } .shade { fill: #000; fill-opacity: 0.55; fill-rule: evenodd; }
  .field { fill: none; stroke: #fff; stroke-width: 2.5; } .edge { fill: none; stroke: #000; stroke-width: 5; }
  .place { fill: var(--faint); stroke: var(--line); stroke-width: 0.4; } .chosen { fill: var(--accent); }
  ol { margin: 0; padding: 0; list-style: none; } li { padding: 1px 0; }
  li b { display: inline-block; min-width: 4.2em; }
`;
const LAYOUT = `<div class="figure">
  <div class="controls"><label>Layer <input type="range" class="layer" step="1" min="1"><output class="name"></output></label></div>
  <div class="panel"><p class="title">What it sees</p><svg class="seen" role="img"></svg></div>
  <div class="panel"><p class="title">Choose a place of the layer</p>
    <svg class="map" tabindex="0" role="application" aria-label="places of the layer; move with the arrow keys"></svg></div>
  <div class="chain"><p class="title">From there back to the pixels</p><ol></ol></div>
  <p class="note said" aria-live="polite"></p></div>`;

/** The places of each layer, from `depth` back to the picture, that reach one place along one side: [first, last].
 *  With `sides` only those that exist; without, padding counts too, below 0 and above a layer's side. */
function reach(layers, depth, place, sides) {
  const ranges = [[place, place]];
  for (let k = depth - 1; k >= 0; k--) {
    const { kernel, stride, padding } = layers[k], [first, last] = ranges[0];
    const [low, high] = [first * stride - padding, last * stride - padding + kernel - 1];
    ranges.unshift(sides ? [Math.max(low, 0), Math.min(high, sides[k] - 1)] : [low, high]);
  }
  return ranges;
}

function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT), { layers, sides } = data, side = sides[0];
  const length = ([first, last]) => last - first + 1;
  const seen = find(".seen"), map = find(".map"), slider = find(".layer");
  let depth = 1, row = 0, column = 0;
  seen.setAttribute("viewBox", `0 0 ${side} ${side}`);

  /** What one place of layer `depth` sees, for tests: its rows and columns of pixels, cut at the picture's edges. */
  const field = (depth, row, column) => [row, column].map(place => reach(layers, depth, place, sides)[0]);

  function draw() {
    const n = sides[depth], [rows, columns] = [row, column].map(place => reach(layers, depth, place));
    const [[top, bottom], [left, right]] = field(depth, row, column);
    const frame = `x="${left}" y="${top}" width="${right - left + 1}" height="${bottom - top + 1}"`;
    seen.innerHTML = `<image href="${data.picture}" width="${side}" height="${side}"/>` +
      `<path class="shade" d="M0 0H${side}V${side}H0Z M${left} ${top}H${right + 1}V${bottom + 1}H${left}Z"/>` +
      `<rect class="edge" ${frame}/><rect class="field" ${frame}/>`;
    map.setAttribute("viewBox", `0 0 ${n} ${n}`);
    // One path for all places: a layer may have thousands of them.
    let lines = "";
    for (let k = 0; k <= n; k++) lines += `M${k} 0V${n}M0 ${k}H${n}`;
    map.innerHTML = `<rect class="place" width="${n}" height="${n}"/>` +
      `<path d="${lines}" fill="none" stroke="var(--line)" stroke-width="${n / 500}"/>` +
      `<rect class="chosen" x="${column}" y="${row}" width="1" height="1"/>`;
    const whole = length(rows[0]), share = (bottom - top + 1) * (right - left + 1) / side ** 2;
    find(".name").textContent = `${layers[depth - 1].name}: ${n} × ${n} places`;
    slider.setAttribute("aria-valuetext", layers[depth - 1].name);
    find("ol").innerHTML = rows.map((range, k) => {
      const name = k ? layers[k - 1].name : "pixels";
      return `<li><b>${name}</b> ${length(range)} × ${length(columns[k])}</li>`;
    }).reverse().join("");
    find(".said").textContent = `One place of ${layers[depth - 1].name} sees ${whole} × ${whole} pixels, padding included: ` +
      `here ${(100 * share).toFixed(share < 0.1 ? 1 : 0)} % of the picture. The next place sees ` +
      `${layers.slice(0, depth).reduce((jump, layer) => jump * layer.stride, 1)} pixels further.`;
    seen.setAttribute("aria-label", `The picture; the chosen place, row ${row + 1}, column ${column + 1}, sees the pixels ` +
      `${left} to ${right} from the left and ${top} to ${bottom} from the top.`);
  }
  function choose(r, c) {
    const keep = place => Math.min(Math.max(place, 0), sides[depth] - 1);
    [row, column] = [keep(r), keep(c)];
    draw();
  }
  const point = event => {
    const box = map.getBoundingClientRect(), n = sides[depth];
    choose(Math.floor((event.clientY - box.top) / box.height * n), Math.floor((event.clientX - box.left) / box.width * n));
  };
  map.addEventListener("pointerdown", event => { map.setPointerCapture(event.pointerId); point(event); });
  map.addEventListener("pointermove", event => { if (event.buttons) point(event); });
  map.addEventListener("keydown", event => {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (down || right) { event.preventDefault(); choose(row + down, column + right); }
  });
  slider.max = layers.length;
  slider.value = depth;
  slider.addEventListener("input", () => {
    const before = sides[depth];
    depth = Number(slider.value); // about the same part of the picture stays chosen
    choose(Math.floor((row + 0.5) / before * sides[depth]), Math.floor((column + 0.5) / before * sides[depth]));
  });
  choose(Math.floor(sides[depth] / 2), Math.floor(sides[depth] / 2));
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = { field, get state() { return { depth, row, column }; } };
}
