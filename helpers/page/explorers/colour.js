// A walk through one colour space, seen in the six others. See colour.py for the data. Colours are sRGB in [0, 1].

// The constants of CIE 1931 and 1976 for daylight D65, as scikit-image has them.
const TO_XYZ = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const WHITE = [0.95047, 1, 1.08883];
const SMALL = 0.008856;
const times = (matrix, v) => matrix.map(row => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
const FROM_XYZ = (() => {
  const [[a, b, c], [d, e, f], [g, h, i]] = TO_XYZ, det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [[e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d]].map(row => row.map(value => value / det));
})();
const light = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const screen = v => v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;

function hue([r, g, b]) {
  const high = Math.max(r, g, b), chroma = high - Math.min(r, g, b);
  if (!chroma) return 0;
  const sector = high === r ? (g - b) / chroma : high === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
  return (sector / 6 + 1) % 1;
}
/** The colour of a hue and a chroma that reaches from `low` up. */
function fromHue(h, chroma, low) {
  return [5, 3, 1].map(shift => {
    const k = (shift + 6 * h) % 6;
    return low + chroma * (1 - Math.max(0, Math.min(k, 4 - k, 1)));
  });
}
const toXyz = rgb => times(TO_XYZ, rgb.map(light));
const fromXyz = xyz => times(FROM_XYZ, xyz).map(screen);
const lightness = y => y > SMALL ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
const luminance = l => l > 7.999592 ? ((l + 16) / 116) ** 3 : l / 903.3;
const chromaticity = ([x, y, z]) => {
  const sum = x + 15 * y + 3 * z;
  return sum ? [4 * x / sum, 9 * y / sum] : [0, 0];
};
const [WHITE_U, WHITE_V] = chromaticity(WHITE);

/** Each space: the names (and short ones) and ranges of its numbers, the way there from RGB, and the way back. */
const SPACES = {
  RGB: { names: ["R", "G", "B"], range: [[0, 1], [0, 1], [0, 1]], to: rgb => [...rgb], from: v => [...v] },
  HSV: { names: ["hue", "saturation", "value"], short: ["H", "S", "V"], range: [[0, 1], [0, 1], [0, 1]],
    to(rgb) {
      const high = Math.max(...rgb);
      return [hue(rgb), high ? (high - Math.min(...rgb)) / high : 0, high];
    },
    from: ([h, s, v]) => fromHue(h, v * s, v - v * s) },
  HSL: { names: ["hue", "saturation", "lightness"], short: ["H", "S", "L"], range: [[0, 1], [0, 1], [0, 1]],
    to(rgb) {
      const high = Math.max(...rgb), low = Math.min(...rgb), middle = (high + low) / 2;
      return [hue(rgb), high === low ? 0 : (high - low) / (1 - Math.abs(2 * middle - 1)), middle];
    },
    from([h, s, l]) {
      const chroma = s * (1 - Math.abs(2 * l - 1));
      return fromHue(h, chroma, l - chroma / 2);
    } },
  XYZ: { names: ["X", "Y", "Z"], range: [[0, 0.95047], [0, 1], [0, 1.08883]], to: toXyz, from: fromXyz },
  Lab: { names: ["L*", "a*", "b*"], range: [[0, 100], [-90, 100], [-110, 96]],
    to(rgb) {
      const [x, y, z] = toXyz(rgb).map((v, i) => v / WHITE[i]).map(t => t > SMALL ? Math.cbrt(t) : 7.787 * t + 16 / 116);
      return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
    },
    from([l, a, b]) {
      const y = (l + 16) / 116;
      return fromXyz([y + a / 500, y, y - b / 200].map((f, i) =>
        WHITE[i] * (f > 0.2068966 ? f ** 3 : (f - 16 / 116) / 7.787)));
    } },
  LUV: { names: ["L*", "u*", "v*"], range: [[0, 100], [-86, 178], [-136, 110]],
    to(rgb) {
      const xyz = toXyz(rgb), l = lightness(xyz[1]), [u, v] = chromaticity(xyz);
      return [l, 13 * l * (u - WHITE_U), 13 * l * (v - WHITE_V)];
    },
    from([l, u, v]) {
      if (l <= 0) return [0, 0, 0];
      const y = luminance(l), a = u / (13 * l) + WHITE_U, b = v / (13 * l) + WHITE_V;
      return fromXyz([9 * y * a / (4 * b), y, y * (12 - 3 * a - 20 * b) / (4 * b)]);
    } },
  CMYK: { names: ["cyan", "magenta", "yellow", "black"], short: ["C", "M", "Y", "K"],
    range: [[0, 1], [0, 1], [0, 1], [0, 1]],
    to(rgb) {
      const high = Math.max(...rgb);
      return [...rgb.map(v => high ? (high - v) / high : 0), 1 - high];
    },
    from: ([c, m, y, k]) => [c, m, y].map(ink => (1 - ink) * (1 - k)) },
};
// Which two numbers a plane shows, across and up; the others have sliders.
const PLANE = { RGB: [0, 1], HSV: [0, 1], HSL: [0, 2], XYZ: [0, 1], Lab: [1, 2], LUV: [1, 2], CMYK: [0, 1] };
const inside = rgb => rgb.every(v => v >= -0.002 && v <= 1.002);

const STYLE = `
  .walk { flex: 0 0 330px; }
  p { margin: 6px 0; } .others { flex: 1 1 560px; display: grid; gap: 8px 16px;
    grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
  canvas { display: block; border: 1px solid var(--line); }
  .plane { width: 300px; height: 300px; cursor: crosshair; touch-action: none; }
  .other canvas { width: 176px; height: 176px; }
  .other { font-size: 15px; } .other b { font-size: 17px; } .small { color: var(--quiet); }
  .other .numbers { white-space: nowrap; }
  .sliders label { display: grid; grid-template-columns: 92px 1fr 60px; gap: 8px; align-items: center; }
  input[type=range] { width: 100%; height: 28px; accent-color: var(--accent); }
  .swatch { display: inline-block; width: 76px; height: 30px; vertical-align: middle; margin-right: 10px;
    border: 1px solid var(--line); }
  .axes { color: var(--quiet); font-size: 15px; margin: 2px 0 4px; }
`;
const LAYOUT = `<div class="figure">
  <div class="walk"><p class="title"><label>Walk in <select></select></label></p>
    <canvas class="plane" tabindex="0" role="application"></canvas><p class="axes"></p><div class="sliders"></div>
    <p><span class="swatch"></span><b class="hex" aria-live="polite"></b></p></div>
  <div class="others"></div>
  <p class="note">The line is the walk since you last pressed; the circle is where you are. Every plane is drawn through
    that point. Hatched: no screen shows it.</p></div>`;

function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT), select = find("select"), plane = find(".plane");
  let space = data.space, rgb = data.rgb, point = SPACES[space].to(rgb), trail = [rgb], last = 0;
  const others = {};
  for (const name of Object.keys(SPACES)) {
    select.add(new Option(name, name, false, name === space));
    const box = find(".others").appendChild(document.createElement("div"));
    box.className = "other";
    box.innerHTML = `<b>${name}</b> <span class="small"></span><canvas aria-hidden="true"></canvas><span class="numbers"></span>`;
    others[name] = box;
  }
  const digits = (name, i) => SPACES[name].range[i][1] > 2 ? 0 : 2;
  const written = (value, n) => value.toFixed(n).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");

  /** The plane through a point of a space, the walk on it and the point itself. */
  function drawPlane(canvas, name, at, size, cells) {
    const { range, from, to } = SPACES[name], [across, up] = PLANE[name], image = new ImageData(cells, cells), v = [...at];
    for (let row = 0; row < cells; row++)
      for (let column = 0; column < cells; column++) {
        v[across] = range[across][0] + (column + 0.5) / cells * (range[across][1] - range[across][0]);
        v[up] = range[up][1] - (row + 0.5) / cells * (range[up][1] - range[up][0]);
        const colour = from(v), hatched = (row + column) % 6 < 2 ? 150 : 186;
        image.data.set(inside(colour) ? [...colour.map(part => 255 * part), 255] : [hatched, hatched, hatched, 255],
          4 * (row * cells + column));
      }
    const small = Object.assign(document.createElement("canvas"), { width: cells, height: cells });
    small.getContext("2d").putImageData(image, 0, 0);
    Object.assign(canvas, { width: 2 * size, height: 2 * size });
    const pen = canvas.getContext("2d");
    pen.drawImage(small, 0, 0, 2 * size, 2 * size);
    pen.scale(2, 2);
    const place = u => [across, up].map((k, i) => {
      const share = (u[k] - range[k][0]) / (range[k][1] - range[k][0]);
      return size * (i ? 1 - share : share);
    });
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      Object.assign(pen, { lineWidth: width, strokeStyle: colour, lineJoin: "round" });
      pen.beginPath();
      trail.forEach(step => pen.lineTo(...place(to(step))));
      pen.stroke();
      pen.beginPath();
      pen.arc(...place(at), size / 26, 0, 7);
      pen.stroke();
    }
  }
  function draw() {
    const start = performance.now(), { names } = SPACES[space], [across, up] = PLANE[space];
    drawPlane(plane, space, point, 300, 75);
    find(".axes").textContent = `→ ${names[across]} ${written(point[across], digits(space, across))}, ` +
      `↑ ${names[up]} ${written(point[up], digits(space, up))}`;
    plane.setAttribute("aria-label", `Plane of ${names[across]} and ${names[up]}; arrow keys walk, with Shift in long steps.`);
    for (const [name, box] of Object.entries(others)) {
      box.style.display = name === space ? "none" : "";
      if (name === space) continue;
      const at = SPACES[name].to(rgb);
      drawPlane(box.querySelector("canvas"), name, at, 176, 44);
      const names = SPACES[name].short ?? SPACES[name].names, [across, up] = PLANE[name];
      box.querySelector(".numbers").textContent = at.map((v, i) => `${names[i]} ${written(v, digits(name, i))}`).join("  ");
      box.querySelector(".small").textContent = `→ ${names[across]}  ↑ ${names[up]}`;
    }
    for (const slider of find(".sliders").querySelectorAll("input")) {
      const k = Number(slider.dataset.k);
      slider.value = point[k];
      slider.nextSibling.textContent = written(point[k], digits(space, k));
    }
    const shown = rgb.map(v => Math.round(255 * v));
    find(".swatch").style.background = `rgb(${shown})`;
    find(".hex").textContent = `R ${shown[0]}, G ${shown[1]}, B ${shown[2]}`;
    last = performance.now() - start;
  }
  /** Go to a point of the space that is walked in; one that no screen can show is refused. */
  function moveTo(v) {
    const { range, from } = SPACES[space];
    v = v.map((value, i) => Math.min(Math.max(value, range[i][0]), range[i][1]));
    const colour = from(v);
    if (!inside(colour)) return false;
    [point, rgb] = [v, colour.map(part => Math.min(Math.max(part, 0), 1))];
    trail.push(rgb);
    draw();
    return true;
  }
  function choose(name) {
    space = select.value = name;
    point = SPACES[space].to(rgb);
    trail = [rgb];
    find(".sliders").textContent = "";
    SPACES[space].names.forEach((label, k) => {
      if (PLANE[space].includes(k)) return;
      const row = find(".sliders").appendChild(document.createElement("label"));
      const [min, max] = SPACES[space].range[k];
      const slider = Object.assign(document.createElement("input"), { type: "range", min, max, step: (max - min) / 200 });
      slider.dataset.k = k;
      row.append(label, slider, document.createElement("span"));
      slider.addEventListener("pointerdown", () => { trail = [rgb]; });
      slider.addEventListener("input", () => moveTo(point.map((v, i) => i === k ? Number(slider.value) : v)) || draw());
    });
    draw();
  }
  const go = event => {
    const area = plane.getBoundingClientRect(), v = [...point], { range } = SPACES[space];
    const share = [(event.clientX - area.left) / area.width, 1 - (event.clientY - area.top) / area.height];
    PLANE[space].forEach((k, i) => { v[k] = range[k][0] + share[i] * (range[k][1] - range[k][0]); });
    moveTo(v);
  };
  plane.addEventListener("pointerdown", event => {
    plane.setPointerCapture(event.pointerId);
    trail = [];
    go(event);
    if (!trail.length) trail = [rgb];
  });
  plane.addEventListener("pointermove", event => event.buttons && go(event));
  plane.addEventListener("keydown", event => {
    const move = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault(); // the page would scroll
    const v = [...point], { range } = SPACES[space];
    PLANE[space].forEach((k, i) => { v[k] += move[i] * (range[k][1] - range[k][0]) / (event.shiftKey ? 10 : 50); });
    moveTo(v);
  });
  select.addEventListener("change", () => choose(select.value));
  choose(space);
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    choose, moveTo,
    to: (name, colours) => colours.map(colour => SPACES[name].to(colour)),
    from: (name, points) => points.map(v => SPACES[name].from(v)),
    get state() { return { space, rgb: [...rgb], point: [...point], walked: trail.length }; },
    get milliseconds() { return last; },
  };
}
