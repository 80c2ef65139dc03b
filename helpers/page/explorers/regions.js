// Two streams by hand: which street a sentence belongs to, the answers to a question, and where each word of both looks
// among the regions. See regions.py for the data.

const STYLE = `
  .scene { flex: 0 1 342px; min-width: 280px; } .said { flex: 1 1 540px; min-width: 280px; max-width: 100%; }
  .big { position: relative; width: 340px; max-width: 100%; aspect-ratio: 1; border: 1px solid var(--line); box-sizing: border-box; }
  .big > * { position: absolute; inset: 0; width: 100%; height: 100%; }
  rect { fill: none; stroke: #fff; stroke-width: 2; } rect.edge { stroke: #000; stroke-width: 4.5; }
  svg text { font: 600 13px system-ui, sans-serif; fill: #000; stroke: #fff; stroke-width: 4px; paint-order: stroke; }
  .layers { display: flex; gap: 4px; align-items: center; margin: 8px 0 0; border: 0; padding: 0; }
  .layers legend { float: left; margin-right: 6px; padding: 0; }
  .layers label, .words label { padding: 0 7px 2px; border-radius: 6px; cursor: pointer; border: 1px solid var(--line); }
  .layers label:has(:checked), .words label.lit { border-color: var(--second); box-shadow: 0 0 0 2px var(--second); }
  .looks { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  /* Four lines, always: words that moved away from under the pointer would be lit and unlit without end. */
  .detail { min-height: 5.4em; font-size: 16px; overflow-wrap: anywhere; }
  .words label { max-width: 100%; box-sizing: border-box; overflow-wrap: anywhere; }
  .words { display: flex; flex-wrap: wrap; gap: 4px; margin: 7px 0 0; border: 0; padding: 0; min-height: 32px;
    font-size: 19px; }
  .verdict { margin: 6px 0 4px; } .verdict b { font-size: 20px; }
  .dozen { display: grid; grid-template-columns: repeat(auto-fill, minmax(58px, 1fr)); gap: 6px; margin: 4px 0 0; border: 0;
    padding: 0; }
  .dozen label { cursor: pointer; border-radius: 4px; text-align: center; font-size: 15px; line-height: 1.25; width: 58px; }
  .dozen label:has(:checked) { outline: 3px solid var(--second); outline-offset: 1px; }
  .tile { display: block; width: 58px; height: 58px; border-radius: 3px 3px 0 0; background-image: var(--sheet); }
  .ask { margin-top: 9px; } .answered .verdict { margin-top: 0; }
  .dozen .share { height: 9px; border-radius: 0 0 3px 3px; }
`;
const wordsOf = (kind, label) => `<fieldset class="words ${kind}" aria-label="${label}"></fieldset>`;
const LAYOUT = `<div class="figure">
  <div class="scene"><p class="title looks"></p>
    <div class="big" role="img"><canvas></canvas><svg viewBox="0 0 300 300" aria-hidden="true"></svg></div>
    <fieldset class="layers"><legend>Co-attention</legend></fieldset>
    <p class="note detail"></p></div>
  <div class="said">
    ${box("sentence", "A sentence", "Find", "Sentences to try")}
    ${wordsOf("sentence", "The sentence, word by word")}
    <p class="verdict sentence" aria-live="polite"></p>
    <fieldset class="dozen" aria-label="The streets, the most probable first; choose one"></fieldset>
    <p class="note strange sentence"></p>
    <div class="ask"><div class="asked">${box("question", "A question", "Answer", "Questions to try")}
        ${wordsOf("question", "The question, word by word")}</div>
      <div class="answered"><p class="verdict question" aria-live="polite"></p><dl class="answers"></dl>
        <p class="note strange question"></p></div></div></div>
  <div class="problem" role="alert"></div></div>`;
const HINT = "Point at a word, or move to it with Tab and the arrow keys: the frames at which it looks light up. Their names "
  + "are the detector’s, which errs at times.";
const DIM = 0.3; // what is left of the light where nothing is looked at
const KINDS = ["sentence", "question"];
const MARKS = /^[!-/:-@[-`{-~]+$/; // pieces that are a word of their own

async function mount(host, data) {
  const find = prepare(host, ANSWERS_STYLE + STYLE, LAYOUT), all = selector => [...host.shadowRoot.querySelectorAll(selector)];
  host.style.setProperty("--sheet", `url(${data.pictures})`);
  const { settings, columns } = data, { tokenizer: told } = settings, known = new Set(data.words);
  const encode = tokenizer(told), decode = detokenizer(told), sheet = new Image();
  const numbers = unpack(data.features), regions = data.scenes.reduce((sum, { boxes }) => sum + boxes.length, 0);
  let from = 0;
  const streets = data.scenes.map(street => ({ ...street, boxes: Float32Array.from(street.boxes.flat()),
    features: numbers.subarray(from, from += street.boxes.length * numbers.length / regions) }));
  // What stands in each box: its text, its ids, its words, and of each street what the model makes of it.
  const texts = { sentence: null, question: null };
  let weights = null, scene = 0, layer = data.layer - 1, turn = 0, last = 0, lastOfAll = 0;
  const dozen = streets.map(({ text }, i) => {
    const label = made(find(".dozen"), "label", { title: text });
    const radio = made(label, "input", { type: "radio", name: "street", className: "unseen" }), rows = Math.ceil(streets.length / columns);
    radio.addEventListener("change", () => choose(i));
    made(label, "span", { className: "tile" }).style.cssText = `background-size: ${100 * columns}% ${100 * rows}%; `
      + `background-position: ${-58 * (i % columns)}px ${-58 * Math.floor(i / columns)}px`;
    const bar = made(made(label, "span", { className: "share" }), "i");
    return { label, radio, bar, p: made(label, "span") };
  });
  for (let i = 0; i < settings.coLayers; i++) {
    const label = made(find(".layers"), "label");
    const radio = made(label, "input", { type: "radio", name: "layer", className: "unseen", checked: i === layer });
    label.append(i + 1);
    radio.setAttribute("aria-label", `Co-attention ${i + 1} of ${settings.coLayers}`);
    radio.addEventListener("change", () => { layer = i; point(); });
  }

  /** The pieces of a text put together to words: {text, places: of its tokens}. */
  function words(ids) {
    const found = [];
    ids.forEach((id, place) => {
      if (id < told.specials || id === told.eot) return;
      if (!found.length || told.pieces[id].startsWith("Ġ") || MARKS.test(told.pieces[id])) found.push({ ids: [], places: [] });
      found.at(-1).ids.push(id);
      found.at(-1).places.push(place);
    });
    return found.map(({ ids, places }) => ({ text: decode(ids), places }));
  }
  const idsOf = (kind, text) => [told.sot, ...encode(text), ...(kind === "sentence" ? [told.eot] : [])];
  /** A text of a kind, not yet read with any street; `reason` says why it cannot be. */
  function entered(kind, text) {
    const ids = idsOf(kind, text), marks = kind === "sentence" ? 2 : 1; // <sot> and <eot> take a place each
    const reason = !text ? `Type a ${kind} and press Enter.` : ids.length > settings.length
      ? `This ${kind} has ${ids.length - marks} pieces, the model reads ${settings.length - marks} at most: shorten it.` : "";
    return { kind, text, ids, reason, words: reason ? [] : words(ids), found: new Map() };
  }
  /** What the model makes of a text and a street: {p or answers, looks}; undefined without the model. */
  function reading(own, index) {
    if (weights && !own.reason && !own.found.has(index)) {
      own.alone ??= readWords(weights, settings, own.ids);
      const { pooled, looks } = readPair(weights, settings, own.alone, streets[index]);
      own.found.set(index, own.kind === "sentence" ? { p: alignment(weights, pooled), looks } : { answers: answerShares(weights, pooled), looks });
    }
    return own.found.get(index);
  }
  /** Where a word looks among the regions of the street: of several pieces, the mean. */
  function looksOf(own, word) {
    const maps = reading(own, scene)?.looks?.[layer];
    return maps?.[0].map((_, j) => word.places.reduce((sum, place) => sum + maps[place][j] / word.places.length, 0));
  }

  /** The street with its frames: named, or dark where a word does not look. */
  function show(word, looks) {
    const { text, names, boxes } = streets[scene], big = find(".big"), pen = find(".big canvas").getContext("2d"), { canvas } = pen;
    const side = sheet.width / columns, top = looks ? Math.max(...looks) : 1;
    canvas.width = canvas.height = side;
    const frames = names.map((name, i) => ({ name, share: looks?.[i] ?? 1, edges: [...boxes.subarray(5 * i, 5 * i + 4)] }));
    const brightest = [...frames].sort((a, b) => b.share - a.share);
    const paint = ([x, y, right, bottom], light) => {
      const [column, row] = [scene % columns, Math.floor(scene / columns)].map(place => place * side), part = [x, y, right - x, bottom - y];
      pen.drawImage(sheet, column + x, row + y, right - x, bottom - y, ...part);
      pen.fillStyle = `rgba(0, 0, 0, ${1 - light})`;
      pen.fillRect(...part);
    };
    paint([0, 0, side, side], looks ? DIM : 1);
    if (looks) [...brightest].reverse().forEach(({ share, edges }) => // the brightest is painted over the others
      paint(edges.map(edge => Math.round(edge * side)), DIM + (1 - DIM) * share / top));
    const svg = find(".big svg");
    svg.textContent = "";
    const draw = (tag, attributes, text = "") => {
      const element = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
      Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
      element.textContent = text;
    };
    frames.slice(1).forEach(({ share, edges }) => {
      const [x, y, right, bottom] = edges.map(edge => 300 * edge);
      const frame = { x, y, width: right - x, height: bottom - y, opacity: looks ? Math.max(0.15, share / top) : 1 };
      draw("rect", { ...frame, class: "edge" });
      draw("rect", frame);
    });
    frames.forEach(({ name, share, edges }, i) => {
      const text = looks ? percent(share) : name, [x, y] = edges.map(edge => 300 * edge);
      if (i && share >= 0.02) draw("text", { x: Math.min(x + 4, 296 - 8 * text.length), y: Math.max(y + 15, 15) }, text);
      if (!i && looks) draw("text", { x: 5, y: 293 }, `whole picture ${text}`);
    });
    const order = brightest.slice(0, 3).map(({ name, share }) => `${percent(share)} at ${name}`);
    find(".looks").textContent = looks ? `Where “${word.text}” looks` : "The street and its regions";
    find(".detail").textContent = looks ? `“${word.text}” in co-attention ${layer + 1}, mean of the heads: ${order.join(", ")}.` : HINT;
    big.setAttribute("aria-label", looks ? `Where “${word.text}” looks: ${order.join(", ")}.`
      : `The street: ${text}. Its regions: ${names.slice(1).join(", ")}.`);
  }
  let pointed = null; // [kind, number of the word] under the pointer
  /** Show where the word looks that the pointer is on, else the one that the keyboard is on, else none. */
  function point() {
    const focused = KINDS.flatMap(kind => all(`.words.${kind} label`).map((label, i) => [kind, i, label]))
      .find(([, , label]) => label.contains(host.shadowRoot.activeElement));
    const [kind, i] = pointed ?? focused ?? [], word = texts[kind]?.words[i];
    KINDS.forEach(k => all(`.words.${k} label`).forEach((label, j) => label.classList.toggle("lit", k === kind && j === i)));
    show(word, word && looksOf(texts[kind], word));
  }
  for (const kind of KINDS) {
    const list = find(`.words.${kind}`);
    list.addEventListener("pointerleave", () => { pointed = null; point(); });
    list.addEventListener("focusin", () => point());
    list.addEventListener("focusout", event => event.relatedTarget?.name !== kind && point());
    listen(find, kind, data.examples[kind], text => enter(kind, text));
  }
  function layWords(kind) {
    const list = find(`.words.${kind}`);
    list.textContent = "";
    texts[kind].words.forEach(({ text }, i) => {
      const label = made(list, "label"), radio = made(label, "input", { type: "radio", name: kind, className: "unseen" });
      label.append(text);
      radio.setAttribute("aria-label", text);
      label.addEventListener("pointerenter", () => { pointed = [kind, i]; point(); });
    });
    find(`.strange.${kind}`).textContent = texts[kind].words.length ? newWords(texts[kind].text, known) : "";
  }

  /** What the model says about the sentence and the street that is shown. */
  function judge() {
    const own = texts.sentence, { p } = reading(own, scene) ?? {}, verdict = find(".verdict.sentence");
    verdict.textContent = own.reason || (p === undefined ? "" : "Probability that it belongs to this street: ");
    if (p !== undefined) {
      made(verdict, "b", { textContent: percent(p) });
      verdict.append(". All streets, the most probable first:");
    }
    mark();
  }
  /** The probability below each street, as far as it is known. */
  function mark() {
    dozen.forEach(({ radio, bar, p }, i) => {
      const share = texts.sentence.found.get(i)?.p;
      bar.style.width = `${100 * (share ?? 0)}%`;
      p.textContent = share === undefined ? "–" : percent(share);
      radio.checked = i === scene;
      radio.setAttribute("aria-label", `${share === undefined ? "" : `${percent(share)}: `}${streets[i].text}`);
    });
  }
  function sort() {
    const held = host.shadowRoot.activeElement, share = i => texts.sentence.found.get(i)?.p ?? -1;
    const order = [...streets.keys()].sort((a, b) => share(b) - share(a));
    find(".dozen").append(...order.map(i => dozen[i].label));
    if (held !== host.shadowRoot.activeElement) held.focus({ preventScroll: true }); // an element that is moved loses the focus
    return order;
  }
  /** Read the sentence with each street, one after the other, unless another sentence comes between; then sort them. */
  async function search() {
    const own = ++turn, start = performance.now();
    for (const i of streets.keys()) {
      if (texts.sentence.found.has(i)) continue;
      await pause(0); // what is known by now is seen before
      if (turn !== own) return;
      reading(texts.sentence, i);
      mark();
    }
    sort();
    lastOfAll = performance.now() - start;
  }
  function answer() {
    const own = texts.question, list = find(".answers"), verdict = find(".verdict.question"), { answers } = reading(own, scene) ?? {};
    list.textContent = "";
    verdict.textContent = own.reason;
    if (!answers) return;
    const best = largest(answers, data.shown).map(i => ({ text: settings.answers[i], p: answers[i] }));
    tellAnswers(verdict, list, best, data.sure, "any other");
  }
  /** Take a sentence or a question, and say at once what it is with the street that is shown. */
  async function enter(kind, text) {
    const start = performance.now();
    find(`#${kind}`).value = text;
    texts[kind] = entered(kind, text.trim());
    pointed = null;
    layWords(kind);
    (kind === "sentence" ? judge : answer)();
    point();
    last = performance.now() - start;
    if (kind === "sentence") await search();
  }
  function choose(index) {
    const start = performance.now();
    scene = index;
    judge();
    answer();
    point();
    last = performance.now() - start;
  }

  async function begin() {
    sheet.src = data.pictures;
    await sheet.decode();
    const { known } = data;
    for (const kind of KINDS) {
      const text = data.examples[kind][0];
      find(`#${kind}`).value = text;
      texts[kind] = entered(kind, text);
      [known[kind]].flat().forEach((reading, i) => texts[kind].found.set(i, reading)); // torch's, until the model is there
      layWords(kind);
    }
    choose(0);
    sort();
    try {
      weights = await weightsOf("street-vilbert");
    } catch (error) {
      find(".problem").textContent = `Other texts, and words in other streets, need the model, which is not here: ${error.message}.`;
      return null;
    }
    KINDS.forEach(kind => { texts[kind] = entered(kind, texts[kind].text); });
    choose(scene);
    await search();
    const apart = (a, b) => Math.max(...[a].flat(3).map((value, i) => Math.abs(value - [b].flat(3)[i])));
    const read = (kind, i) => reading(texts[kind].text === data.examples[kind][0] ? texts[kind] : entered(kind, data.examples[kind][0]), i);
    const own = read("question", 0);
    return Math.max(apart(own.answers, known.question.answers), apart(own.looks, known.question.looks),
      apart(read("sentence", 0).looks, known.sentence[0].looks), ...known.sentence.map(({ p }, i) => apart(read("sentence", i).p, p)));
  }
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    choose, enter,
    read: (kind, text, index) => reading(entered(kind, text), index),
    ids: idsOf,
    get state() {
      const place = dozen.map(({ label }) => [...find(".dozen").children].indexOf(label));
      return { scene, layer: layer + 1, shown: find(".looks").textContent, order: largest(place, place.length).reverse(),
        words: Object.fromEntries(KINDS.map(kind => [kind, texts[kind].words.map(({ text }) => text)])) };
    },
    get milliseconds() { return last; },
    get millisecondsOfAll() { return lastOfAll; },
    ready: begin(),
  };
}
