// Caption and ask: what a model writes about a street, word by word, and its answers. See ask.py for the data. `speaker`,
// of visualgpt.js or simvlm.js, is the model.

const STYLE = `
  .scene { flex: 0 0 302px; } .said { flex: 1 1 560px; min-width: 280px; max-width: 100%; }
  canvas { display: block; }
  .big { width: 300px; height: 300px; border: 1px solid var(--line); box-sizing: border-box; }
  .dozen { display: grid; grid-template-columns: repeat(6, 45px); gap: 4px 6px; margin: 8px 0 0; border: 0; padding: 0; }
  .dozen label { cursor: pointer; border-radius: 3px; }
  .dozen label:has(:checked) { outline: 3px solid var(--second); outline-offset: 0; }
  .dozen canvas { width: 45px; height: 45px; border-radius: 3px; }
  .row { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; } .row .title { margin: 0; }
  .words { display: flex; flex-wrap: wrap; gap: 2px; margin: 4px 0 0; border: 0; padding: 0; min-height: 210px;
    align-content: flex-start; }
  .words label { display: inline-block; padding: 0 5px 3px; border-radius: 6px; text-align: center; font-size: 22px;
    line-height: 1.2; cursor: pointer; border: 2px solid transparent; }
  .words label.lit { border-color: var(--second); }
  .words label.unwritten { visibility: hidden; }
  .bars { display: flex; justify-content: center; gap: 4px; height: 36px; margin-top: 2px; }
  .bars span, .key i { width: 14px; background: var(--faint); display: flex; align-items: flex-end; border-radius: 2px; }
  .bars i { display: block; width: 100%; border-radius: 2px; }
  .p i, .key .p { background: var(--accent); }
  .seen i, .key .seen { background: repeating-linear-gradient(45deg, var(--second) 0 3px, var(--paper) 3px 5px);
    box-shadow: inset 0 0 0 1.5px var(--second); }
  .key { margin: 0; font-size: 15px; color: var(--quiet); }
  .key i { display: inline-block; height: 13px; margin: 0 2px 0 10px; vertical-align: -1px; }
  .detail { min-height: 2.7em; margin: 4px 0 6px; font-size: 16px; }
  .verdict { margin: 0 0 4px; font-size: 19px; } .verdict b { font-size: 21px; }
`;
const LAYOUT = `<div class="figure">
  <div class="scene"><p class="title looks"></p><canvas class="big" role="img"></canvas>
    <fieldset class="dozen" aria-label="Choose a street"></fieldset></div>
  <div class="said">
    <div class="row"><p class="title">The model writes</p>
      <button type="button" class="again">▶ write it again</button>
      <p class="key"><i class="p"></i>probability of the word<i class="seen"></i><span class="meant"></span> (full height: 1)</p></div>
    <fieldset class="words" aria-label="The caption, word by word"></fieldset>
    <p class="note detail"></p>
    <div class="ask"><div class="asked">${box("question", "Ask", "Answer", "Questions to try")}</div>
      <div class="answered" aria-live="polite"><p class="verdict"></p><dl class="answers"></dl><p class="note strange"></p></div>
    </div></div>
  <div class="problem" role="alert"></div></div>`;
const HINT = "Point at a word, or move to it with Tab and the arrow keys: the picture shows where the model looked.";
const PACE = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 220; // milliseconds a word

/** The tokens of a text as its words: {text, p, share, shares, looks, rivals}. The probability of a word is the product of
 *  its pieces'; how much of the picture counted, and where, is that of the place that chose the first piece. */
function words(steps, { pieces, specials, eot }, decode) {
  const found = [];
  for (const step of steps) {
    if (step.id < specials || step.id === eot) continue;
    const last = found.at(-1);
    if (!last || pieces[step.id].startsWith("Ġ")) found.push({ ...step, ids: [step.id] });
    else Object.assign(last, { p: last.p * step.p, ids: [...last.ids, step.id] });
  }
  return found.map(word => ({ ...word, text: decode(word.ids) }));
}
const mean = values => values.reduce((a, b) => a + b, 0) / values.length;

async function mount(host, data) {
  const find = prepare(host, ANSWERS_STYLE + STYLE, LAYOUT);
  const { settings, scenes, prompt } = data, { side, tokenizer: told } = settings, known = new Set(data.words);
  const encode = tokenizer(told), decode = detokenizer(told), ids = text => [told.sot, ...encode(text), told.sep];
  const big = find(".big"), problem = find(".problem"), input = find("#question");
  const readings = new Map(); // of each street what the decoder may look at, and its caption
  let pictures, weights = null, scene = 0, caption = [], pinned = null, turn = 0, last = 0;

  const paint = (canvas, rgba) => {
    if (canvas.width !== side) Object.assign(canvas, { width: side, height: side });
    canvas.getContext("2d").putImageData(new ImageData(rgba, side, side), 0, 0);
  };
  const dozen = scenes.map((text, i) => {
    const label = made(find(".dozen"), "label", { title: text });
    const radio = made(label, "input", { type: "radio", name: "scene", className: "unseen" });
    radio.setAttribute("aria-label", `Street ${i + 1}: ${text}`);
    radio.addEventListener("change", () => choose(i));
    return { radio, canvas: made(label, "canvas") };
  });
  find(".meant").textContent = data.share.key;
  listen(find, "question", data.examples, text => { input.value = text; ask(); });

  /** The street, or where the block looked whose attention was most concentrated, for a word or an answer. */
  function show(what) {
    const picture = pictures[scene], tops = what?.looks?.map(places => Math.max(...places));
    const block = tops ? tops.indexOf(Math.max(...tops)) : -1, name = tops ? `Where it looked for “${what.text}”` : "The street";
    paint(big, tops ? lit(picture, side, what.looks[block]) : opaque(picture, side));
    find(".looks").textContent = name;
    const place = tops && what.looks[block].indexOf(tops[block]), n = Math.sqrt(what?.looks?.[0].length ?? 1);
    big.setAttribute("aria-label", tops ? `${name}: most, ${percent(tops[block])}, at row ${Math.floor(place / n) + 1}, `
      + `column ${place % n + 1} of ${n}.` : `The street: ${scenes[scene]}`);
  }
  function tell(word) {
    labels().forEach((label, i) => label.classList.toggle("lit", caption[i] === word));
    const shares = word?.shares ? `, in blocks 1 to ${word.shares.length}: ${word.shares.map(share => share.toFixed(2)).join(", ")}` : "";
    const rivals = word?.rivals?.map(({ text, p }) => `${text} ${percent(p)}`).join(", ");
    find(".detail").textContent = !word ? HINT : `“${word.text}”: probability ${percent(word.p)}; ${data.share.name} ${word.share.toFixed(2)}${shares}. `
      + (rivals ? `It might have gone on with: ${rivals}.` : "");
  }
  const labels = () => [...find(".words").children];
  /** Say and show all about a word: the one given, else the one that the keyboard is on, else none. */
  function point(word) {
    word ??= caption[labels().findIndex(label => label.contains(host.shadowRoot.activeElement))];
    show(word ?? pinned);
    tell(word);
  }
  function layWords() {
    find(".words").textContent = "";
    for (const word of caption) {
      const label = made(find(".words"), "label");
      label.innerHTML = `<input type="radio" name="word" class="unseen"><span></span><span class="bars" aria-hidden="true">`
        + `<span class="p"><i style="height: ${100 * word.p}%"></i></span><span class="seen"><i style="height: ${100 * word.share}%"></i></span></span>`;
      const [radio, text] = label.children;
      text.textContent = word.text;
      radio.setAttribute("aria-label", `${word.text}: probability ${percent(word.p)}, ${data.share.name} ${word.share.toFixed(2)}`);
      radio.addEventListener("focus", () => point(word));
      radio.addEventListener("change", () => point(word));
      label.addEventListener("pointerenter", () => point(word));
    }
    point(null);
  }
  find(".words").addEventListener("pointerleave", () => point(null));
  find(".words").addEventListener("focusout", event => event.relatedTarget?.name !== "word" && point(null));

  /** What the model makes of a picture: the places that it looks at, and the words of its caption. */
  function read(pixels) {
    const start = speaker.start(weights, settings, speaker.look(weights, settings, pixels));
    const steps = [...written(speaker, weights, settings, speaker.prompt(weights, settings, start, ids(prompt)), told.eot)];
    const all = steps.map(step => {
      const p = softmax(step.logits), order = [...p.keys()].sort((a, b) => p[b] - p[a]).filter(id => id !== step.id);
      const rivals = order.slice(0, 3).filter(id => p[id] >= 0.005);
      const name = id => id === told.eot ? "the end" : `“${decode([id])}”`;
      return { ...step, share: mean(step.shares), rivals: rivals.map(id => ({ text: name(id), p: p[id] })) };
    });
    return { start, steps: all, caption: words(all, told, decode) };
  }
  /** Write the caption again, a word a turn, unless another street or turn comes between. */
  async function write() {
    const own = ++turn, all = labels();
    all.forEach(label => label.classList.add("unwritten"));
    for (const [i, label] of all.entries()) {
      if (turn !== own) return;
      label.classList.remove("unwritten");
      point(caption[i]);
      await pause(PACE);
    }
    if (turn === own) point(null);
  }
  /** Show another street; the model reads it when it is first asked for. */
  async function choose(index, slowly = true) {
    const own = ++turn;
    [scene, pinned, caption] = [index, null, []];
    dozen.forEach(({ radio }, i) => { radio.checked = i === scene; });
    show(null);
    await pause(0); // the street is seen before the model begins
    if (turn !== own) return;
    const start = performance.now();
    if (weights && !readings.has(scene)) readings.set(scene, read(pictures[scene]));
    caption = readings.get(scene)?.caption ?? (scene ? [] : words(data.known, told, decode));
    layWords();
    last = performance.now() - start;
    answer();
    if (slowly) await write();
  }

  /** The most probable answers to a question about the street that is shown, or the reason why there are none. */
  function answers(question) {
    if (!weights) return { reason: "" };
    const asked = ids(question), { start } = readings.get(scene);
    const room = settings.length - start.length - 4; // an answer needs a few places of its own
    if (!question) return { reason: "Type a question and press Enter." };
    if (asked.length > room) return { reason: `This question has ${asked.length} pieces, the model reads ${room} at most: shorten it.` };
    const state = speaker.prompt(weights, settings, start, asked);
    const found = likeliest(speaker, weights, settings, state, told.eot, data.shown).map(({ ids, p }) => ({ text: decode(ids), p }));
    return { found, looks: state.looks };
  }
  function answer() {
    const question = input.value.trim(), { reason, found = [], looks } = answers(question), best = found[0];
    find(".answers").textContent = "";
    find(".verdict").textContent = reason;
    if (best) tellAnswers(find(".verdict"), find(".answers"), found, data.sure, "any other text");
    find(".strange").textContent = best ? newWords(question, known) : "";
    return best && { ...best, looks };
  }
  /** Answer what is typed, and show where the model looked when it began its answer. */
  function ask() {
    if (!pictures) return;
    turn++;
    labels().forEach(label => label.classList.remove("unwritten"));
    const start = performance.now();
    pinned = answer() ?? null;
    point(null);
    last = performance.now() - start;
  }
  find(".again").addEventListener("click", write);

  async function begin() {
    const all = await inflate(data.pictures, side), size = 3 * side * side;
    pictures = scenes.map((_, i) => all.subarray(i * size, (i + 1) * size));
    dozen.forEach(({ canvas }, i) => paint(canvas, opaque(pictures[i], side)));
    input.value = data.question;
    await choose(0, false); // torch's caption, until the model is there
    try {
      weights = await weightsOf(data.model);
    } catch (error) {
      problem.textContent = `Other streets and questions need the model, which is not here: ${error.message}.`;
      return null;
    }
    await choose(scene, false);
    const own = readings.get(0)?.steps ?? read(pictures[0]).steps;
    return Math.max(...data.known.map(({ id, p, share }, i) => own[i]?.id === id
      ? Math.max(Math.abs(own[i].p - p), Math.abs(own[i].share - share)) : 1));
  }
  // What a test, or a curious reader in the browser's console, can ask.
  host.explorer = {
    choose, write, answers,
    ask: question => { input.value = question; ask(); },
    look: pixels => [...speaker.look(weights, settings, pixels)],
    read: (pixels, prompt, ids) => {
      const start = speaker.start(weights, settings, speaker.look(weights, settings, pixels));
      const states = [speaker.prompt(weights, settings, start, prompt)];
      for (const id of ids) states.push(speaker.read(weights, settings, states.at(-1), id));
      return states.map(({ logits, shares, looks }) => ({ logits: [...logits], shares, looks }));
    },
    caption: pixels => read(Uint8Array.from(pixels)).steps.map(({ id, p, share }) => ({ id, p, share })),
    ids, decode,
    pixels: index => [...pictures[index]],
    get state() { return { scene, words: caption.map(({ text }) => text), shown: find(".looks").textContent }; },
    get milliseconds() { return last; },
    ready: begin(),
  };
}
