// Where each head of each layer of the Vision Transformer looks, for any patch that asks. See attention.py for the data.

const STYLE = `
  .scene { flex: 0 0 292px; } .heads { flex: 1 1 440px; max-width: 500px; } .answer { flex: 0 0 320px; max-width: 100%; }
  canvas { display: block; }
  .big { width: 288px; height: 288px; cursor: crosshair; touch-action: none; border: 1px solid var(--line); }
  .dozen { display: grid; grid-template-columns: repeat(6, 44px); gap: 4px; margin: 8px 0 0; border: 0; padding: 0; }
  .dozen label, .grid label { cursor: pointer; border-radius: 3px; }
  .dozen label:has(:checked), .grid label:has(:checked) { outline: 3px solid var(--second); outline-offset: 0; }
  .dozen canvas { width: 44px; height: 44px; border-radius: 3px; }
  .grid { display: grid; grid-template-columns: auto repeat(var(--layers), minmax(40px, 72px)); gap: 4px 6px; border: 0;
    padding: 0; margin: 0; align-items: center; font-size: 15px; color: var(--quiet); }
  .grid canvas { width: 100%; aspect-ratio: 1; border-radius: 2px; }
  .grid span { text-align: center; }
  .map { width: 264px; height: 264px; border: 1px solid var(--line); }
  .who { margin: 8px 0 0; height: 34px; }
  .who[aria-pressed=true] { border: 2px solid var(--second); }
  table { border-collapse: collapse; width: 100%; margin-top: 6px; font-size: 16px; }
  td, th { padding: 1px 6px 1px 0; text-align: left; font-weight: normal; color: var(--quiet); }
  td { color: var(--ink); font-weight: 600; } td:last-child { text-align: right; font-weight: normal; }
`;
const LAYOUT = `<div class="figure">
  <div class="scene"><p class="title">Who asks? <span class="asks"></span></p>
    <canvas class="big" tabindex="0" role="application"></canvas>
    <button type="button" class="who" aria-pressed="false">[CLS], the token that answers</button>
    <fieldset class="dozen" aria-label="Choose a street"></fieldset></div>
  <div class="heads"><p class="title">Where it looks, in each layer and head</p>
    <fieldset class="grid" aria-label="Choose a layer and head"></fieldset>
    <p class="note">Bright: much attention. Each map is as bright as its largest weight allows.</p></div>
  <div class="answer"><p class="title" aria-live="polite"></p><canvas class="map" role="img"></canvas>
    <p class="note to-cls"></p>
    <table aria-label="The model’s answers"><tbody></tbody></table></div>
  <div class="problem" role="alert"></div></div>`;

async function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT);
  const { settings, classes, scenes } = data, { side, patch, layers, heads } = settings, n = side / patch;
  host.style.setProperty("--layers", layers);
  let pictures, weights = null, scene = 0, asks = data.asks, layer = data.layer, head = data.head, read = null, last = 0;
  const kept = new Map(); // what the model made of a scene
  const problem = find(".problem");

  const paint = (canvas, rgba) => {
    if (canvas.width !== side) Object.assign(canvas, { width: side, height: side });
    canvas.getContext("2d").putImageData(new ImageData(rgba, side, side), 0, 0);
  };
  const name = token => token ? `patch ${token}, row ${Math.ceil(token / n)}, column ${(token - 1) % n + 1}` : "[CLS]";
  const percent = share => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

  function choice(place, group, label, change) {
    const box = place.appendChild(document.createElement("label"));
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: group, className: "unseen" });
    radio.setAttribute("aria-label", label);
    radio.addEventListener("change", change);
    box.append(radio, document.createElement("canvas"));
    return { radio, canvas: box.lastChild };
  }
  const dozen = scenes.map((text, i) => choice(find(".dozen"), "scene", `Street ${i + 1}: ${text}`, () => choose(i)));
  const words = text => find(".grid").appendChild(Object.assign(document.createElement("span"), { textContent: text }));
  words("");
  for (let l = 0; l < layers; l++) words(`layer ${l + 1}`);
  const grid = Array.from({ length: layers }, () => []);
  for (let h = 0; h < heads; h++) {
    words(`head ${h + 1}`);
    for (let l = 0; l < layers; l++)
      grid[l].push(choice(find(".grid"), "head", `Layer ${l + 1}, head ${h + 1}`, () => { [layer, head] = [l, h]; draw(); }));
  }

  /** A canvas of its size on the screen, twice as sharp, with the picture on it. */
  function enlarge(canvas, size, rgba) {
    const small = document.createElement("canvas");
    paint(small, rgba);
    Object.assign(canvas, { width: 2 * size, height: 2 * size });
    const pen = canvas.getContext("2d");
    pen.drawImage(small, 0, 0, 2 * size, 2 * size);
    pen.scale(2, 2);
    return pen;
  }
  function frame(pen, token, step) {
    const [row, column] = [Math.floor((token - 1) / n), (token - 1) % n];
    for (const [width, colour] of [[6, "#000"], [3, "#fff"]]) { // seen on any ground
      Object.assign(pen, { lineWidth: width, strokeStyle: colour });
      pen.strokeRect(column * step + 2, row * step + 2, step - 4, step - 4);
    }
  }
  function draw() {
    if (!read) return;
    const start = performance.now(), pixels = pictures[scene];
    find(".asks").textContent = name(asks);
    const pen = enlarge(find(".big"), 288, opaque(pixels, side));
    if (asks) frame(pen, asks, 288 / n);
    find(".big").setAttribute("aria-label", `${scenes[scene]}. ${name(asks)} asks; arrow keys move to another patch.`);
    find(".who").setAttribute("aria-pressed", String(!asks));
    grid.forEach((row, l) => row.forEach(({ radio, canvas }, h) => {
      paint(canvas, lit(pixels, side, read.maps[l][h][asks].slice(1)));
      radio.checked = l === layer && h === head;
    }));
    dozen.forEach(({ radio }, i) => { radio.checked = i === scene; });
    const shares = read.maps[layer][head][asks], patches = shares.slice(1), step = 264 / n;
    find(".answer .title").textContent = `Layer ${layer + 1}, head ${head + 1}: its weights in %`;
    const map = enlarge(find(".map"), 264, lit(pixels, side, patches));
    Object.assign(map, { font: "600 14px system-ui, sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 3 });
    patches.forEach((share, i) => {
      const place = [Math.round(100 * share), (i % n + 0.5) * step, (Math.floor(i / n) + 0.5) * step];
      Object.assign(map, { strokeStyle: "#000", fillStyle: "#fff" });
      if (share >= 0.005) { map.strokeText(...place); map.fillText(...place); }
    });
    const top = patches.indexOf(Math.max(...patches));
    find(".map").setAttribute("aria-label", `Most attention, ${percent(patches[top])}, goes to ${name(top + 1)}.`);
    find(".to-cls").textContent = `${percent(shares[0])} of its attention goes to [CLS], the rest to the patches.`;
    find("tbody").innerHTML = "";
    settings.labels.forEach((label, i) => {
      const p = softmax(read.logits[label]), best = p.indexOf(Math.max(...p)), right = best === data.truth[scene][i];
      const row = find("tbody").insertRow();
      row.append(Object.assign(document.createElement("th"), { textContent: label, scope: "row" }));
      row.insertCell().textContent = `${classes[label][best]} ${right ? "✓" : `✗ (${classes[label][data.truth[scene][i]]})`}`;
      row.insertCell().textContent = percent(p[best]);
    });
    last = performance.now() - start;
  }
  /** Show another street; the model reads it when it is first asked for. */
  function choose(index) {
    scene = index;
    if (weights && !kept.has(scene)) kept.set(scene, vitRead(weights, settings, pictures[scene]));
    read = kept.get(scene) ?? null;
    draw();
  }
  function ask(token) {
    asks = token;
    draw();
  }

  const big = find(".big");
  const point = event => {
    const area = big.getBoundingClientRect(), at = (x, size) => Math.min(Math.max(Math.floor(x / size * n), 0), n - 1);
    ask(at(event.clientY - area.top, area.height) * n + at(event.clientX - area.left, area.width) + 1);
  };
  big.addEventListener("pointerdown", point);
  big.addEventListener("pointermove", event => event.buttons && point(event));
  big.addEventListener("keydown", event => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault(); // the page would scroll
    const [row, column] = [Math.floor(Math.max(asks - 1, 0) / n) + move[0], Math.max(asks - 1, 0) % n + move[1]];
    if (row >= 0 && row < n && column >= 0 && column < n) ask(row * n + column + 1);
  });
  find(".who").addEventListener("click", () => ask(0));

  async function begin() {
    const all = await inflate(data.pictures, side), size = 3 * side * side;
    pictures = scenes.map((_, i) => all.subarray(i * size, (i + 1) * size));
    dozen.forEach(({ canvas }, i) => paint(canvas, opaque(pictures[i], side)));
    try {
      weights = await weightsOf("street-vit");
    } catch (error) {
      problem.textContent = `This figure needs its model, which is not here: ${error.message}.`;
      return;
    }
    choose(scene);
  }
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    choose, ask,
    read: pixels => vitRead(weights, settings, Uint8Array.from(pixels)),
    pixels: index => [...pictures[index]],
    get state() { return { scene, asks, layer, head }; },
    get milliseconds() { return last; },
    ready: begin(),
  };
}
