// The networks of the stored experiment, by their depth: loss curves and gradients. See depth.py for the data.

const STYLE = `
  .panel { flex: 1 1 520px; min-width: 280px; } .controls { flex: 1 0 100%; display: flex; flex-wrap: wrap; gap: 6px 44px; }
  .controls label { display: flex; align-items: center; gap: 12px; font-weight: 600; }
  input[type=range] { width: 240px; height: 30px; accent-color: var(--accent); }
  output { min-width: 7em; }
  svg { display: block; width: 100%; height: auto; max-height: 340px; }
  text { fill: var(--ink); font-size: 15px; } .quiet { fill: var(--quiet); }
  .axis { stroke: var(--line); } .guess { stroke: var(--quiet); stroke-dasharray: 2 5; }
  polyline { fill: none; stroke-linejoin: round; }
  .plain { stroke: var(--second); stroke-dasharray: 7 4; } .residual { stroke: var(--accent); }
  .seed { stroke-width: 1.2; opacity: 0.5; } .mean { stroke-width: 3.5; }
  .now { stroke: var(--quiet); }
  text.plain, text.residual { stroke: none; font-weight: 600; font-size: 17px; }
  text.plain { fill: var(--second); } text.residual { fill: var(--accent); }
`;
const LAYOUT = `<div class="figure">
  <div class="controls"><label>Layers <input type="range" class="depth" step="1"><output class="layers"></output></label>
    <label>Gradients at <input type="range" class="moment" step="1"><output class="step"></output></label></div>
  <div class="panel"><p class="title">Training loss: every seed, and their mean</p><svg viewBox="0 0 560 320" role="img"></svg></div>
  <div class="panel"><p class="title">Norm of the gradient of each layer’s weights</p><svg viewBox="0 0 560 320" role="img"></svg></div>
  <p class="note said" aria-live="polite"></p></div>`;
const KINDS = ["plain", "residual"];
const LEFT = 52, RIGHT = 470, TOP = 14, BOTTOM = 276;

const mean = values => values.reduce((a, b) => a + b, 0) / values.length;
/** Lists of equal length -> the list of their means, place by place. */
const means = lists => lists[0].map((_, i) => mean(lists.map(list => list[i])));

function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT);
  const [lossPlot, gradientPlot] = host.shadowRoot.querySelectorAll("svg");
  const depths = [...new Set(data.runs.map(run => run.depth))].sort((a, b) => a - b), moments = data.moments;
  let depth = depths[depths.length - 1], moment = moments[0];

  const of = kind => data.runs.filter(run => run.kind === kind && run.depth === depth);
  /** What is shown of one kind of network: curves and gradients, seed by seed and in the mean. */
  function shown(kind) {
    const curves = of(kind).map(run => run.curve), norms = of(kind).map(run => run.norms[moment]);
    return { curves, norms, curve: means(curves), norm: means(norms), loss: mean(of(kind).map(run => run.loss)) };
  }
  const line = (points, name) => `<polyline class="${name}" points="${points.map(p => p.map(v => v.toFixed(1)).join()).join(" ")}"/>`;
  const word = (x, y, text, name = "", anchor = "middle") =>
    `<text x="${x}" y="${y}" class="${name}" text-anchor="${anchor}">${text}</text>`;
  const axes = `<path class="axis" fill="none" d="M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}"/>`;
  /** The names at the ends of the two lines, moved apart where they would lie on one another. */
  function names(ends) {
    const [high, low] = ends[KINDS[0]] < ends[KINDS[1]] ? KINDS : [...KINDS].reverse();
    const apart = Math.max(0, 20 - (ends[low] - ends[high])) / 2;
    return word(RIGHT + 8, ends[high] - apart + 5, high, high, "start") + word(RIGHT + 8, ends[low] + apart + 5, low, low, "start");
  }

  function draw() {
    const both = Object.fromEntries(KINDS.map(kind => [kind, shown(kind)]));
    const y = loss => BOTTOM - (BOTTOM - TOP) * loss / data.top;
    const at = i => LEFT + (RIGHT - LEFT) * (i + 0.5) / data.runs[0].curve.length, steps = data.steps;
    const step = Math.min(moment, steps), x = LEFT + (RIGHT - LEFT) * step / steps;
    let text = axes + `<path class="guess" d="M${LEFT} ${y(data.guess)}H${RIGHT}"/><path class="now" d="M${x} ${TOP}V${BOTTOM}"/>`;
    text += word(RIGHT + 8, y(data.guess) + 5, "guessing", "quiet", "start");
    for (const value of [0, 0.5, 1, 1.5, 2]) text += word(LEFT - 8, y(value) + 5, value, "quiet", "end");
    for (const value of [0, steps / 2, steps]) text += word(LEFT + (RIGHT - LEFT) * value / steps, BOTTOM + 20, value, "quiet");
    text += word((LEFT + RIGHT) / 2, BOTTOM + 40, "step", "quiet");
    for (const kind of KINDS) {
      for (const curve of both[kind].curves) text += line(curve.map((loss, i) => [at(i), y(loss)]), `${kind} seed`);
      text += line(both[kind].curve.map((loss, i) => [at(i), y(loss)]), `${kind} mean`);
    }
    lossPlot.innerHTML = text + names(Object.fromEntries(KINDS.map(kind => [kind, y(both[kind].curve.at(-1))])));

    const layers = both.plain.norm.length, [low, high] = data.range.map(Math.log10);
    const place = i => LEFT + (RIGHT - LEFT) * (i + 0.5) / layers;
    const level = norm => BOTTOM - (BOTTOM - TOP) * (Math.log10(norm) - low) / (high - low);
    text = axes;
    for (let power = -4; power <= 3; power++)
      for (const norm of [10 ** power, 3 * 10 ** power])
        if (norm >= data.range[0] && norm <= data.range[1])
          text += word(LEFT - 8, level(norm) + 5, `${+norm.toPrecision(1)}`, "quiet", "end");
    for (let i = 0; i < layers; i += Math.ceil(layers / 10)) text += word(place(i), BOTTOM + 20, i + 1, "quiet");
    text += word((LEFT + RIGHT) / 2, BOTTOM + 40, "convolution, from the picture to the answer", "quiet");
    for (const kind of KINDS) {
      for (const norm of both[kind].norms) text += line(norm.map((value, i) => [place(i), level(value)]), `${kind} seed`);
      text += line(both[kind].norm.map((value, i) => [place(i), level(value)]), `${kind} mean`);
    }
    gradientPlot.innerHTML = text + names(Object.fromEntries(KINDS.map(kind => [kind, level(both[kind].norm.at(-1))])));

    const when = moment === 0 ? "the start" : `step ${moment + (moment === steps - 1 ? 1 : 0)}`;
    find(".layers").textContent = depth;
    find(".step").textContent = when;
    find(".depth").setAttribute("aria-valuetext", `${depth} layers`);
    find(".moment").setAttribute("aria-valuetext", when);
    const told = KINDS.map(kind => `${kind} ${both[kind].loss.toFixed(2)}`).join(", ");
    const ratio = kind => (both[kind].norm[0] / both[kind].norm.at(-1)).toFixed(1);
    find(".said").textContent = `${depth} layers: mean training loss in the end ${told}. The first layer’s gradient at ` +
      `${when} is ${ratio("plain")} times the last one’s in plain networks, ${ratio("residual")} times in residual ones.`;
    lossPlot.setAttribute("aria-label", `Training loss of networks of ${depth} layers; in the end ${told}.`);
    gradientPlot.setAttribute("aria-label", `Gradient norms of ${layers} convolutions at ${when}; first over last: ` +
      KINDS.map(kind => `${kind} ${ratio(kind)}`).join(", "));
  }
  const sliders = { depth: [depths, value => { depth = value; }], moment: [moments, value => { moment = value; }] };
  for (const [name, [values, set]] of Object.entries(sliders)) {
    const slider = Object.assign(find(`.${name}`), { min: 0, max: values.length - 1 });
    slider.value = values.indexOf(name === "depth" ? depth : moment);
    slider.addEventListener("input", () => { set(values[slider.value]); draw(); });
  }
  draw();
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = { shown, get state() { return { depth, moment }; } };
}
