// Is my picture in the data set? By the perceptual hash, and by the features of CLIP. See mine.py for the data.

const STYLE = `
  .asked { flex: 0 0 272px; } .way { flex: 1 1 400px; min-width: 280px; max-width: 450px; }
  [hidden] { display: none !important; }
  .big { display: block; height: 196px; max-width: 270px; border: 1px solid var(--line); box-sizing: border-box;
    object-fit: contain; }
  .dozen { display: grid; grid-template-columns: repeat(6, 42px); gap: 4px; margin: 8px 0; position: relative; border: 0;
    padding: 0; }
  .dozen label { cursor: pointer; border-radius: 4px; }
  .dozen label:has(:checked) { outline: 3px solid var(--second); outline-offset: 0; }
  .dozen canvas { display: block; width: 42px; height: 42px; border-radius: 3px; }
  .name { margin: 0 0 6px; min-height: 2.7em; }
  .verdict { margin: 0; font-size: 19px; font-weight: 600; } .truth { margin: 0; min-height: 1.35em; }
  svg { display: block; width: 100%; height: 118px; margin: 4px 0; font-size: 14px; }
  ol { list-style: none; margin: 0; padding: 0; }
  li { display: flex; gap: 10px; align-items: center; padding: 3px; border: 3px solid transparent; border-radius: 6px;
    font-size: 15px; line-height: 1.25; }
  li.origin { border-color: var(--second); }
  .tile { flex: none; width: 74px; height: 74px; border-radius: 3px; background-image: var(--sheet); }
  li span + span { overflow-wrap: anywhere; } li b { font-size: 17px; }
`;
const LAYOUT = `<div class="figure">
  <div class="asked"><p class="title">My picture</p><canvas class="big" role="img"></canvas>
    <p class="name" aria-live="polite"></p>
    <fieldset class="dozen" aria-label="Choose a picture"></fieldset>
    <label class="file">A picture of your own…<input type="file" accept="image/*"></label>
    <p class="note">It stays in this page. <span class="check" aria-live="polite"></span></p></div>
  <div class="way hash"><p class="title">By its look: 64 bits, of which few may differ</p>
    <p class="verdict" aria-live="polite"></p><p class="truth"></p><svg role="img"></svg>
    <ol aria-label="Nearest by the hash"></ol></div>
  <div class="way clip"><p class="title">By CLIP: somebody is always nearest</p>
    <p class="verdict" aria-live="polite"></p><p class="truth"></p><svg role="img"></svg>
    <ol aria-label="Nearest by CLIP’s features"></ol></div>
  <div class="problem" role="alert"></div></div>`;

// Pictures as Pillow makes them smaller, to the last bit. A picture is {width, height, channels, row: y => bytes}.

const sinc = x => x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
const FILTERS = { // how far a filter reaches, in pixels of the result, and its weight at a distance
  lanczos: [3, x => Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0],
  bicubic: [2, x => {
    x = Math.abs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  }],
};

/** For each of `out` pixels of a line the first of `size` pixels that it is made of, and their weights × 2²². */
function taps(size, out, [reach, weight]) {
  const scale = size / out, wide = Math.max(scale, 1);
  return Array.from({ length: out }, (_, i) => {
    const centre = (i + 0.5) * scale, first = Math.max(Math.trunc(centre - reach * wide + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach * wide + 0.5), size);
    const weights = Array.from({ length: end - first }, (_, k) => weight((k + first - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map(w => Math.trunc(w / sum * 2 ** 22 + (w / sum < 0 ? -0.5 : 0.5))) };
  });
}
const byte = sum => Math.min(Math.max(sum >> 22, 0), 255);

/** A picture of another size: first its rows, then its columns, rounded to bytes after each. */
function resample({ width, height, channels: n, row }, outWidth, outHeight, filter) {
  const middle = new Uint8Array(height * outWidth * n), across = taps(width, outWidth, filter);
  for (let y = 0, at = 0; y < height; y++) {
    const line = row(y);
    if (width === outWidth) { middle.set(line.subarray(0, width * n), y * width * n); continue; }
    for (const { first, weights } of across)
      for (let c = 0; c < n; c++) {
        let sum = 2 ** 21;
        for (let k = 0, from = first * n + c; k < weights.length; k++, from += n) sum += line[from] * weights[k];
        middle[at++] = byte(sum);
      }
  }
  if (height === outHeight) return middle;
  const length = outWidth * n, out = new Uint8Array(outHeight * length);
  taps(height, outHeight, filter).forEach(({ first, weights }, y) => {
    for (let x = 0; x < length; x++) {
      let sum = 2 ** 21;
      for (let k = 0; k < weights.length; k++) sum += middle[(first + k) * length + x] * weights[k];
      out[y * length + x] = byte(sum);
    }
  });
  return out;
}

/** RGB bytes of a whole picture as a picture. */
const picture = (pixels, width, height) =>
  ({ width, height, channels: 3, row: y => pixels.subarray(3 * width * y, 3 * width * (y + 1)) });

/** A picture in greys, as ITU-R 601 weighs the three colours. */
function grey({ width, height, row }) {
  const line = new Uint8Array(width);
  return { width, height, channels: 1, row: y => {
    const rgb = row(y);
    for (let x = 0; x < width; x++)
      line[x] = rgb[3 * x] * 19595 + rgb[3 * x + 1] * 38470 + rgb[3 * x + 2] * 7471 + 0x8000 >> 16;
    return line;
  } };
}

/** The largest centred square, scaled to [side, side]: what CLIP is shown. */
function centreSquare({ width, height, row }, side) {
  const edge = Math.min(width, height), top = height - edge >> 1, left = width - edge >> 1;
  const cut = y => row(top + y).subarray(3 * left, 3 * (left + edge));
  return resample({ width: edge, height: edge, channels: 3, row: cut }, side, side, FILTERS.bicubic);
}

/** The perceptual hash, 64 times 0 or 1: of 32 × 32 greys the 8 × 8 slowest waves, each above the median or not. */
function perceptualHash(shown) {
  const n = 32, pixels = resample(grey(shown), n, n, FILTERS.lanczos);
  const wave = (k, i) => 2 * Math.cos(Math.PI * k * (2 * i + 1) / (2 * n));
  const columns = Array.from({ length: 8 }, (_, u) => Float64Array.from({ length: n }, (_, x) => {
    let sum = 0;
    for (let y = 0; y < n; y++) sum += pixels[y * n + x] * wave(u, y);
    return sum;
  }));
  const waves = columns.flatMap(line => Array.from({ length: 8 }, (_, v) => {
    const sum = line.reduce((sum, value, x) => sum + value * wave(v, x), 0);
    return Math.round(sum * 1e6) / 1e6; // a wave that is not there is 0, as in Python, and not a rounding error
  }));
  const sorted = [...waves].sort((a, b) => a - b), median = (sorted[31] + sorted[32]) / 2;
  return waves.map(wave => Number(wave > median));
}

const toHex = bits => bits.join("").replace(/.{4}/g, four => parseInt(four, 2).toString(16));
const fromHex = text => [...text].flatMap(digit => [...parseInt(digit, 16).toString(2).padStart(4, "0")].map(Number));
/** In how many bits two hashes differ. */
const hamming = (a, b) => a.reduce((sum, bit, i) => sum + (bit !== b[i]), 0);

/** A decoded picture of the browser's as a picture: read in parts, as a canvas of 50 million pixels is too large. */
function fromBitmap(bitmap) {
  const { width, height } = bitmap, high = Math.min(64, height), wide = Math.min(2048, width);
  const canvas = new OffscreenCanvas(wide, high), pen = canvas.getContext("2d", { willReadFrequently: true });
  const strip = new Uint8Array(3 * width * high);
  let top = -1;
  const read = () => {
    for (let left = 0; left < width; left += wide) {
      pen.fillStyle = "#fff"; // under what is transparent
      pen.fillRect(0, 0, wide, high);
      pen.drawImage(bitmap, -left, -top);
      const rgba = pen.getImageData(0, 0, wide, high).data, n = Math.min(wide, width - left);
      for (let y = 0; y < high; y++)
        for (let x = 0, from = 4 * y * wide, to = 3 * (y * width + left); x < n; x++, from += 4, to += 3) {
          strip[to] = rgba[from];
          strip[to + 1] = rgba[from + 1];
          strip[to + 2] = rgba[from + 2];
        }
    }
  };
  return { width, height, channels: 3, row: y => {
    const start = y - y % high;
    if (start !== top) { top = start; read(); }
    return strip.subarray(3 * width * (y - top), 3 * width * (y - top + 1));
  } };
}

/** A file as a decoded picture; an error is a sentence for the reader. */
async function decode(file, { bytes: most, pixels }) {
  const name = `The picture “${file.name}”`;
  if (!file.size) throw new Error(`${name} is empty (0 bytes): save or upload it again.`);
  if (file.size > most) throw new Error(`${name} has more than ${most >> 20} MB: save it smaller and try again.`);
  const image = new Image(); // tells the size before the pixels are unpacked
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((done, fail) => Object.assign(image, { onload: done, onerror: fail }));
    if (image.naturalWidth * image.naturalHeight > pixels)
      throw new RangeError(`${name} has more than ${pixels.toLocaleString("en")} pixels: make it smaller, try again.`);
    return await createImageBitmap(file, { colorSpaceConversion: "none" }); // as in Python, no colour profile
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new Error(`${name} is not a picture that this browser can read: save it as PNG or JPEG.`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

async function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT);
  host.style.setProperty("--sheet", `url(${data.sprite})`);
  const { settings, columns, facts, queries, limit } = data, { width } = settings, { side } = settings.image;
  const features = unpack(data.features), known = unpack(data.queryFeatures), hashes = data.hashes.map(fromHex);
  const count = facts.length, shown = [], kept = []; // the pictures to choose from, and what the model made of them
  let weights = null, query = null, turn = 0, last = 0;

  const paint = (canvas, source, size) => { // at most `size` pixels wide and high
    const scale = Math.min(1, size / Math.max(source.width, source.height));
    const [w, h] = [source.width, source.height].map(length => Math.max(1, Math.round(length * scale)));
    const rgb = resample(source, w, h, FILTERS.bicubic), image = new ImageData(w, h);
    for (let i = 0, j = 0; j < rgb.length; i++) image.data[i] = i % 4 === 3 ? 255 : rgb[j++];
    Object.assign(canvas, { width: w, height: h }).getContext("2d").putImageData(image, 0, 0);
  };
  /** What is to be drawn of a way to search: how near each stored picture is, in order, and in words. */
  function ranked(values, near, words) {
    const order = [...values.keys()].sort((a, b) => near(values[a], values[b]) || a - b);
    const place = query.origin === null ? null : values.filter(v => near(v, values[query.origin]) < 0).length + 1;
    return { values, order, words, place, best: values[order[0]] };
  }
  function drawHits(way, { values, order, words }) {
    find(`.${way} ol`).replaceChildren(...order.slice(0, 3).map(index => {
      const [item, tile, text, first] = ["li", "span", "span", "b"].map(tag => document.createElement(tag));
      item.className = index === query.origin ? "origin" : "";
      item.dataset.index = index;
      tile.className = "tile";
      tile.style.cssText = `background-size: ${columns * 74}px auto; ` +
        `background-position: ${-(index % columns) * 74}px ${-Math.floor(index / columns) * 74}px`;
      const { page, site, licence, optOut } = facts[index];
      first.textContent = words(values[index]) + (index === query.origin ? " · the original" : "");
      text.append(first, document.createElement("br"), `page: ${page}`, document.createElement("br"), `site: ${site}`,
        document.createElement("br"), `licence: ${licence} · opt-out: ${optOut}`);
      item.append(tile, text);
      return item;
    }));
  }
  /** How many stored pictures are how near; the nearest and the original are marked. */
  function drawCounts(svg, { values, best, words }, { from, to, step, unit, left = 0, limit = null }) {
    const [w, base, n] = [430, 88, Math.round((to - from) / step)], wide = (w - left - 16) / n;
    const at = value => left + 8 + wide * (value - from) / step;
    const bin = value => Math.min(Math.max(Math.floor((value - from) / step + 1e-9), 0), n - 1);
    const counts = new Array(n).fill(0);
    values.forEach(value => counts[bin(value)]++);
    const tall = Math.max(...counts), top = value => base - 4 - 56 * counts[bin(value)] / tall;
    const parts = counts.map((count, i) => count && `<rect x="${at(from + i * step) + 0.5}" width="${wide - 1}"
      y="${base - 4 - 56 * count / tall}" height="${4 + 56 * count / tall}"
      fill="var(--${i === bin(best) ? "second" : "accent"})"/>`);
    for (let tick = 0; tick < 4; tick++) {
      const value = from + tick * (to - from) / 3;
      parts.push(`<text x="${at(value)}" y="102" text-anchor="${["start", "middle", "middle", "end"][tick]}"
        fill="var(--quiet)">${+value.toFixed(2)}</text>`);
    }
    parts.push(`<text x="${(w + left) / 2}" y="116" text-anchor="middle" fill="var(--quiet)">${unit}</text>`);
    if (limit !== null) {
      const x = at(from + (bin(limit) + 1) * step);
      parts.push(`<line x1="${x}" x2="${x}" y1="6" y2="${base}" stroke="var(--ink)" stroke-dasharray="4 3"/>
        <text x="${x + 5}" y="16" fill="var(--ink)">limit: ${limit}</text>`);
    }
    if (query.origin !== null) {
      const x = at(from + (bin(values[query.origin]) + 0.5) * step);
      const y = top(values[query.origin]) - 4;
      parts.push(`<text x="${x}" y="${y}" text-anchor="middle" fill="var(--ink)">▼</text>`);
    }
    svg.setAttribute("viewBox", `0 0 ${w} 118`);
    svg.setAttribute("aria-label", `How near the ${count} stored pictures are: the nearest ${words(best)}` +
      (query.origin === null ? "." : `, the original ${words(values[query.origin])}.`));
    return parts.filter(Boolean).join("");
  }
  /** The 64 bits of a hash as squares; those that differ from another one's are framed. */
  function drawBits(bits, other, left, title) {
    const squares = bits.map((bit, i) => {
      const [x, y] = [left + i % 8 * 9, 16 + Math.floor(i / 8) * 9], differs = bit !== other[i];
      return `<rect x="${x + 0.5}" y="${y + 0.5}" width="8" height="8" fill="var(--${bit ? "ink" : "faint"})"
        ${differs ? 'stroke="var(--second)" stroke-width="2.5"' : ""}/>`;
    });
    return `<text x="${left}" y="11" fill="var(--quiet)">${title}</text>${squares.join("")}`;
  }
  const bitsThatDiffer = d => `${d} ${d === 1 ? "bit that differs" : "bits that differ"}`;
  /** Whether what a way found is right: nobody knows it of the reader's own picture. */
  function truth({ place }, found) {
    if (query.own) return "";
    if (query.origin === null)
      return found ? "✗ Another picture: mine is not in the data set." : "✓ Right: it is not in the data set.";
    if (found && place === 1) return "✓ Right: this is the original.";
    return place === 1 ? "✗ Missed: it is the nearest, beyond the limit."
      : `✗ Missed: the original is number ${place} of ${count}.`;
  }

  function draw() {
    const { hash, feature } = query, ones = hash.reduce((a, b) => a + b);
    const look = ranked(hashes.map(other => hamming(hash, other)), (a, b) => a - b, bitsThatDiffer);
    const found = look.best <= limit, nearest = hashes[look.order[0]];
    find(".hash .verdict").textContent = Math.min(ones, 64 - ones) < data.flat
      ? "This picture is too plain: its hash says nothing."
      : found ? `Found, with ${bitsThatDiffer(look.best)}` : `Not found: ${look.best} bits differ, or more`;
    find(".hash .truth").textContent = truth(look, found);
    find(".hash svg").innerHTML = drawBits(hash, nearest, 0, "mine") + drawBits(nearest, hash, 86, "nearest") +
      drawCounts(find(".hash svg"), look, { from: 0, to: 48, step: 2, unit: "bits that differ", left: 172, limit });
    drawHits("hash", look);
    for (const part of [".verdict", ".truth", "svg", "ol"]) find(`.clip ${part}`).toggleAttribute("hidden", !feature);
    if (feature) {
      const near = ranked(cosines(feature, features), (a, b) => b - a, c => `cosine ${c.toFixed(2)}`);
      find(".clip .verdict").textContent = `The nearest has cosine ${near.best.toFixed(2)}`;
      find(".clip .truth").textContent = truth(near, true);
      const scale = { from: -0.5, to: 1, step: 0.025, unit: "cosine" };
      find(".clip svg").innerHTML = drawCounts(find(".clip svg"), near, scale);
      drawHits("clip", near);
    }
    find(".name").textContent = query.name;
    find(".big").setAttribute("aria-label", `My picture: ${query.name}`);
    radios.forEach((radio, i) => { radio.checked = query.number === i; });
  }
  const read = source => clipImage(weights, settings, centreSquare(source, side));
  function choose(i) {
    const start = performance.now(), { name, origin } = queries[i], source = shown[i];
    turn++;
    query = { name, origin, number: i, own: false, hash: perceptualHash(source),
      feature: weights ? kept[i] ??= read(source) : known.subarray(i * width, (i + 1) * width) };
    find(".problem").textContent = "";
    paint(find(".big"), source, 392);
    draw();
    last = performance.now() - start;
  }
  async function readPicture(file) {
    const mine = ++turn; // of two uploads the later one counts, whichever is read first
    find(".problem").textContent = "Reading…";
    try {
      const bitmap = await decode(file, data.most);
      await new Promise(done => setTimeout(done)); // let the sentence be seen
      if (mine !== turn) return;
      const source = fromBitmap(bitmap);
      query = { name: `“${file.name}”, your own`, origin: null, number: -1, own: true, hash: perceptualHash(source),
        feature: weights && read(source) };
      paint(find(".big"), source, 392);
      draw();
      bitmap.close();
      find(".problem").textContent = weights ? "" : missing;
    } catch (error) {
      if (mine === turn) find(".problem").textContent = error.message;
    }
  }
  find("input[type=file]").addEventListener("change", event => {
    if (event.target.files.length) readPicture(event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });

  const radios = queries.map(({ name }, i) => {
    const label = find(".dozen").appendChild(document.createElement("label"));
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "mine", className: "unseen" });
    radio.setAttribute("aria-label", `Picture ${i + 1}: ${name}`);
    radio.addEventListener("change", () => choose(i));
    label.append(radio, document.createElement("canvas"));
    label.title = name;
    return radio;
  });
  let missing = "CLIP’s features of your own picture need the model, which is not here yet.";

  async function begin() {
    const stream = new Blob([bytes(data.pixels)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const all = new Uint8Array(await new Response(stream).arrayBuffer());
    let at = 0;
    for (const { width: w, height: h } of queries) { // stored as differences from the pixel to the left
      const pixels = all.subarray(at, at += 3 * w * h);
      for (let i = 0; i < pixels.length; i++) if (i % (3 * w) >= 3) pixels[i] += pixels[i - 3];
      shown.push(picture(pixels, w, h));
    }
    radios.forEach((radio, i) => paint(radio.nextSibling, shown[i], 84));
    choose(0);
    try {
      weights = await weightsOf("street-clip");
    } catch (error) {
      missing = `CLIP’s features of your own picture need the model, which is not here: ${error.message}.`;
      find(".problem").textContent = missing;
      return;
    }
    for (const [i, source] of shown.entries()) {
      await new Promise(done => setTimeout(done)); // between two pictures the page may answer
      kept[i] ??= read(source);
    }
    const ours = kept.flatMap(feature => [...feature]);
    const difference = Math.max(...ours.map((value, i) => Math.abs(value - known[i])));
    find(".check").textContent = `The model runs here, too: its features differ from torch’s by ` +
      `${difference.toExponential(0)} at most.`;
    return difference;
  }
  // What a test, or a curious reader in the browser's console, can ask.
  const given = (pixels, w, h) => picture(Uint8Array.from(pixels), w, h);
  host.explorer = {
    choose, readPicture,
    pixels: i => [...Array(shown[i].height).keys()].flatMap(y => [...shown[i].row(y)]),
    hash: (pixels, w, h) => toHex(perceptualHash(given(pixels, w, h))),
    square: (pixels, w, h) => [...centreSquare(given(pixels, w, h), side)],
    feature: (pixels, w, h) => [...read(given(pixels, w, h))],
    get state() { return { ...query, hash: toHex(query.hash), feature: query.feature && [...query.feature] }; },
    get distances() { return hashes.map(other => hamming(query.hash, other)); },
    get cosines() { return cosines(query.feature, features); },
    get milliseconds() { return last; },
    ready: begin(),
  };
}
