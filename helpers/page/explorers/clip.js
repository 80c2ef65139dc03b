// CLIP by hand: words against one street, and one sentence against all streets. See clip.py for the data.

const STYLE = `
  .scene { flex: 0 0 272px; } .texts { flex: 1 1 380px; min-width: 280px; } .best { flex: 0 0 376px; max-width: 100%; }
  .tile { display: block; background-image: var(--sheet); border-radius: 3px; }
  .scene > .tile, canvas { border: 1px solid var(--line); box-sizing: border-box; display: block; }
  [hidden] { display: none !important; }
  .dozen { display: grid; grid-template-columns: repeat(6, 42px); gap: 4px; margin: 8px 0; position: relative; border: 0;
    padding: 0; }
  .dozen label { cursor: pointer; border-radius: 4px; }
  .dozen label:has(:checked) { outline: 3px solid var(--second); outline-offset: 0; }
  .row { display: grid; grid-template-columns: minmax(150px, 1fr) 110px 70px; gap: 8px; align-items: center;
    margin: 0 0 5px; }
  .row input { width: 100%; height: 40px; font-size: 19px; }
  .row.asked input { border: 2px solid var(--second); }
  .bar { height: 22px; background: var(--faint); border-radius: 3px; overflow: hidden; }
  .bar i { display: block; height: 100%; background: var(--accent); }
  .row b { text-align: right; font-size: 18px; }
  .gallery { display: grid; grid-template-columns: repeat(4, 88px); gap: 6px; }
  .gallery button { padding: 2px; font-size: 15px; line-height: 1.4; }
  .gallery .tile { margin: 0 auto; }
`;
const LAYOUT = `<div class="figure">
  <div class="scene"><p class="title">One street</p>
    <span class="tile big" role="img"></span><canvas class="own" hidden role="img" aria-label="Your own picture"></canvas>
    <fieldset class="dozen" aria-label="Choose a street"></fieldset>
    <label class="file">Your own picture…<input type="file" accept="image/*"></label></div>
  <div class="texts"><p class="title">Any words: which of them fits it best?</p><div class="rows"></div>
    <p class="note">Softmax of <span class="scale"></span> × the cosines of the picture and each text. An empty line does
      not count.</p><p class="note check" aria-live="polite"></p></div>
  <div class="best"><p class="title" aria-live="polite">The best of <span class="count"></span> streets for
    “<span class="asked-text"></span>”</p><div class="gallery"></div>
    <p class="note">The number is the cosine. Click on a street to ask about it.</p></div>
  <div class="problem" role="alert"></div></div>`;

function mount(host, data) {
  const find = prepare(host, STYLE, LAYOUT);
  host.style.setProperty("--sheet", `url(${data.sprite})`);
  const { settings, captions, columns } = data, encode = tokenizer(settings.tokenizer);
  const width = settings.width, features = unpack(data.features), count = features.length / width;
  const known = unpack(data.textFeatures); // torch's, shown until the model is there
  const kept = new Map(data.texts.map((text, i) => [text, known.subarray(i * width, (i + 1) * width)]));
  let weights = null, chosen = data.chosen, feature = null, asked = 0, last = 0;

  const tile = (element, index, side) => {
    element.className = `${element.className.replace(/\btile\b/, "").trim()} tile`.trim();
    const sheet = columns * side, rows = Math.ceil(count / columns);
    element.style.cssText = `width: ${side}px; height: ${side}px; background-size: ${sheet}px ${rows * side}px; ` +
      `background-position: ${-(index % columns) * side}px ${-Math.floor(index / columns) * side}px`;
    return element;
  };
  const textFeature = text => {
    if (!kept.has(text) && weights) kept.set(text, clipText(weights, settings, clipIds(encode, text, settings.tokenizer)));
    return kept.get(text);
  };
  const pictureFeature = () => feature ?? features.subarray(chosen * width, (chosen + 1) * width);

  // The dozen to choose from, the lines of words, the places of the best.
  const radios = data.dozen.map((index, i) => {
    const label = find(".dozen").appendChild(document.createElement("label"));
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "street", className: "unseen" });
    radio.setAttribute("aria-label", `Street ${i + 1}: ${captions[index]}`);
    radio.addEventListener("change", () => choose(index));
    label.append(radio, tile(document.createElement("span"), index, 42));
    label.title = captions[index];
    return radio;
  });
  const rows = data.texts.map((text, i) => {
    const row = find(".rows").appendChild(document.createElement("div"));
    row.className = "row";
    row.innerHTML = `<input type="text" maxlength="120" spellcheck="false" aria-label="Words, line ${i + 1}">` +
      `<span class="bar" aria-hidden="true"><i></i></span><b></b>`;
    const input = row.querySelector("input");
    input.value = text;
    input.addEventListener("input", () => { asked = i; draw(); });
    input.addEventListener("focus", () => { asked = i; draw(); });
    return { row, input, bar: row.querySelector("i"), share: row.querySelector("b") };
  });
  const places = Array.from({ length: 12 }, () => {
    const button = find(".gallery").appendChild(Object.assign(document.createElement("button"), { type: "button" }));
    button.append(document.createElement("span"), document.createElement("b"));
    button.addEventListener("click", () => choose(Number(button.dataset.index)));
    return button;
  });
  find(".count").textContent = count;
  find(".scale").textContent = settings.scale.toFixed(1);

  /** For each line of words its probability for the picture, null for an empty or unknown one. */
  function probabilities() {
    const found = rows.map(({ input }) => input.value.trim() && textFeature(input.value.trim()) || null);
    const shares = softmax(found.filter(Boolean).map(f => settings.scale * cosines(f, pictureFeature())[0]));
    return found.map(f => f && shares.shift());
  }
  function draw() {
    const start = performance.now();
    const shares = probabilities();
    rows.forEach(({ row, bar, share }, i) => {
      row.classList.toggle("asked", i === asked);
      bar.style.width = `${100 * (shares[i] ?? 0)}%`;
      share.textContent = shares[i] === null ? "–" : `${(100 * shares[i]).toFixed(1)} %`;
    });
    const text = rows[asked].input.value.trim(), found = text && textFeature(text);
    find(".asked-text").textContent = text || "…";
    const values = found ? cosines(found, features) : [];
    const best = largest(values, places.length);
    places.forEach((button, i) => {
      button.style.visibility = best[i] === undefined ? "hidden" : "visible";
      if (best[i] === undefined) return;
      tile(button.firstChild, best[i], 78);
      button.lastChild.textContent = values[best[i]].toFixed(2);
      button.dataset.index = best[i];
      button.title = captions[best[i]];
      button.setAttribute("aria-label", `${i + 1}: ${captions[best[i]]}, cosine ${values[best[i]].toFixed(2)}`);
    });
    const big = tile(find(".big"), chosen, 270);
    big.hidden = Boolean(feature);
    big.setAttribute("aria-label", `The street: ${captions[chosen]}`);
    find("canvas").hidden = !feature;
    radios.forEach((radio, i) => { radio.checked = !feature && data.dozen[i] === chosen; });
    last = performance.now() - start;
  }
  function choose(index) {
    [chosen, feature] = [index, null];
    draw();
  }
  function setText(i, text) {
    rows[i].input.value = text;
    asked = i;
    draw();
  }

  async function readPicture(file) {
    const problem = find(".problem");
    problem.textContent = "";
    try {
      const image = await createImageBitmap(file), { side } = settings.image;
      const canvas = Object.assign(find("canvas"), { width: side, height: side }), cut = Math.min(image.width, image.height);
      canvas.style.width = canvas.style.height = "270px";
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.fillStyle = "#fff"; // under what is transparent
      pen.fillRect(0, 0, side, side);
      pen.imageSmoothingQuality = "high";
      pen.drawImage(image, (image.width - cut) / 2, (image.height - cut) / 2, cut, cut, 0, 0, side, side);
      const rgba = pen.getImageData(0, 0, side, side).data;
      feature = clipImage(await weightsOf("street-clip"), settings, rgba.filter((_, i) => i % 4 !== 3));
      draw();
    } catch (error) {
      problem.textContent = weights ? `The browser cannot read “${file.name}” as a picture; try a PNG or JPEG file.`
        : `A picture needs the model, which is not here: ${error.message}.`;
    }
  }
  find("input[type=file]").addEventListener("change", event => {
    if (event.target.files.length) readPicture(event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });

  draw();
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    choose, setText, probabilities,
    best: text => largest(cosines(textFeature(text), features), count),
    ids: text => clipIds(encode, text, settings.tokenizer),
    textFeature: text => [...clipText(weights, settings, clipIds(encode, text, settings.tokenizer))],
    imageFeature: pixels => [...clipImage(weights, settings, Uint8Array.from(pixels))],
    get milliseconds() { return last; },
    ready: weightsOf("street-clip").then(found => {
      weights = found;
      const ours = data.texts.flatMap(text => [...clipText(weights, settings, clipIds(encode, text, settings.tokenizer))]);
      const difference = Math.max(...ours.map((value, i) => Math.abs(value - known[i])));
      find(".check").textContent = `The model runs in this page; its features differ from torch’s by ` +
        `${difference.toExponential(0)} at most.`;
      draw();
      return difference;
    }, error => {
      find(".problem").textContent = `Words of your own need the model, which is not here: ${error.message}.`;
    }),
  };
}
