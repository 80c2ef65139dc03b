// The contrastive grid: which picture each text finds, step by step of the training. See grid.py for the data.

const STYLE = `
  .panel { flex: 0 0 auto; max-width: 100%; } .beside { flex: 1 1 300px; min-width: 260px; }
  .controls { flex: 1 0 100%; } .controls label { display: flex; align-items: center; gap: 12px; font-weight: 600; }
  input[type=range] { width: 320px; height: 30px; accent-color: var(--accent); }
  svg { display: block; width: 430px; max-width: 100%; height: auto; }
  .cells { cursor: pointer; } .own { fill: none; stroke: var(--ink); stroke-width: 1.2; }
  .best { fill: var(--second); } .chosen { fill: none; stroke: var(--second); stroke-width: 2.4; }
  .number { fill: var(--quiet); font: 7px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central; }
  .pair { display: flex; gap: 14px; margin: 4px 0; } .pair figure { margin: 0; width: 130px; }
  .thumb { width: 130px; height: 130px; border-radius: 6px; background-size: auto 100%; }
  figcaption { font-size: 15px; color: var(--quiet); } .count { font-size: 21px; font-weight: 600; margin: 0 0 8px; }
`;
const LAYOUT = `<div class="figure">
  <div class="controls"><label>Step of the training <input type="range" class="step" step="1" min="0"><output></output></label></div>
  <div class="panel"><p class="title">Texts (rows) by pictures (columns)</p>
    <svg class="cells" tabindex="0" role="application" aria-label="the grid; move with the arrow keys"></svg></div>
  <div class="beside"><p class="count"></p><p class="title said"></p>
    <div class="pair"><figure><div class="thumb mine"></div><figcaption>its own picture</figcaption></figure>
      <figure><div class="thumb found"></div><figcaption class="which"></figcaption></figure></div>
    <p class="note told" aria-live="polite"></p>
    <p class="note">Framed: the own picture of each text. Dot: the picture that the text finds. Stronger blue: a higher
    cosine.</p></div></div>`;
const CELL = 14, LEFT = 12, TOP = 16; // of the drawing

function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT), { texts, steps, grids } = data, n = texts.length;
  const cells = find(".cells"), slider = find(".step");
  const all = grids.flat(2), low = Math.min(...all), high = Math.max(...all);
  let at = 0, row = 0, column = 0;
  const best = (k, i) => grids[k][i].indexOf(Math.max(...grids[k][i]));
  const right = k => texts.filter((_, i) => best(k, i) === i).length;
  cells.setAttribute("viewBox", `0 0 ${LEFT + n * CELL + 1} ${TOP + n * CELL + 1}`);

  function thumb(selector, i) {
    const element = find(selector);
    element.style.backgroundImage = `url(${data.pictures})`;
    element.style.backgroundPosition = n > 1 ? `${100 * i / (n - 1)}% 0` : "0 0";
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", texts[i]);
  }
  function draw() {
    const grid = grids[at], parts = [];
    for (let i = 0; i < n; i++) {
      parts.push(`<text class="number" x="${LEFT / 2}" y="${TOP + (i + 0.5) * CELL}">${i + 1}</text>`);
      parts.push(`<svg x="${LEFT + i * CELL + 0.5}" y="0" width="${CELL - 1}" height="${CELL - 1}" viewBox="${i} 0 1 1">` +
        `<image href="${data.pictures}" width="${n}" height="1" preserveAspectRatio="none"/></svg>`);
      for (let j = 0; j < n; j++) {
        const share = Math.round(100 * (grid[i][j] - low) / (high - low || 1));
        parts.push(`<rect x="${LEFT + j * CELL}" y="${TOP + i * CELL}" width="${CELL}" height="${CELL}" ` +
          `fill="color-mix(in srgb, var(--accent) ${share}%, var(--paper))"/>`);
      }
    }
    const box = (i, j, inset) => `x="${LEFT + j * CELL + inset}" y="${TOP + i * CELL + inset}" ` +
      `width="${CELL - 2 * inset}" height="${CELL - 2 * inset}"`;
    for (let i = 0; i < n; i++) {
      const j = best(at, i);
      parts.push(`<rect class="own" ${box(i, i, 0.6)}/>`);
      parts.push(`<circle class="best" cx="${LEFT + (j + 0.5) * CELL}" cy="${TOP + (i + 0.5) * CELL}" r="2.2" ` +
        `stroke="var(--paper)" stroke-width="0.8"/>`);
    }
    parts.push(`<rect class="chosen" ${box(row, column, 1.2)}/>`);
    cells.innerHTML = parts.join("");
    find("output").textContent = String(steps[at]);
    slider.setAttribute("aria-valuetext", `step ${steps[at]}`);
    find(".count").textContent = `${right(at)} of ${n} texts find their picture`;
    find(".said").textContent = `${row + 1}: “${texts[row]}”`;
    thumb(".mine", row);
    thumb(".found", column);
    const first = best(at, row);
    find(".which").textContent = column === row ? "the chosen one: its own" : `the chosen one: number ${column + 1}`;
    find(".told").textContent = `Text ${row + 1} and picture ${column + 1} have the cosine ${grid[row][column].toFixed(2)}. ` +
      (first === row ? "This text finds its own picture." : `This text finds picture ${first + 1}.`);
  }
  function choose(i, j) {
    const keep = k => Math.min(Math.max(k, 0), n - 1);
    [row, column] = [keep(i), keep(j)];
    draw();
  }
  cells.addEventListener("pointerdown", event => {
    const box = cells.getBoundingClientRect(), unit = (LEFT + n * CELL + 1) / box.width;
    const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
    choose(Math.floor((y - TOP) / CELL), Math.floor((x - LEFT) / CELL));
  });
  cells.addEventListener("keydown", event => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (move) { event.preventDefault(); choose(row + move[0], column + move[1]); }
  });
  slider.max = steps.length - 1;
  slider.value = 0;
  slider.addEventListener("input", () => { at = Number(slider.value); draw(); });
  draw();
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = { ready: 0, right, best, get state() { return { step: steps[at], row, column }; } };
}
