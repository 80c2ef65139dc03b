// What figures share that take a text: a box with examples, the answers with their bars, and words that are new.

const ANSWERS_STYLE = `
  .ask { display: flex; flex-wrap: wrap; gap: 6px 28px; border-top: 1px solid var(--line); padding-top: 10px; }
  .asked { flex: 1 1 460px; min-width: 0; } .answered { flex: 1 1 300px; min-width: 0; }
  form { display: flex; gap: 8px; align-items: center; } form label { font-weight: 600; }
  form input { flex: 1; min-width: 0; height: 36px; font-size: 18px; }
  .examples { display: flex; flex-wrap: wrap; gap: 4px 6px; margin: 6px 0 0; }
  .examples button { font-size: 15px; padding: 1px 7px; border-radius: 12px; }
  .answers { display: grid; grid-template-columns: fit-content(10.5em) minmax(60px, 1fr) 3.2em; gap: 2px 10px;
    align-items: center; margin: 0; }
  .answers dt { min-width: 5.5em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .answers dd { margin: 0; text-align: right; }
  .strange { color: var(--ink); } .strange:empty { display: none; }
  .share { height: 16px; background: var(--faint); border-radius: 3px; overflow: hidden; display: block; }
  .share i { display: block; height: 100%; background: var(--accent); } .share.rest i { background: var(--line); }
`;
const percent = p => `${(100 * p).toFixed(p > 0 && p < 0.0095 ? 1 : 0)}\u00a0%`;
const pause = time => new Promise(done => setTimeout(done, time));
const made = (parent, tag, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));

/** A text box as HTML: its form, and a group of buttons for examples. `kind` is the class of all its parts. */
const box = (kind, label, action, examples) => `
  <form class="${kind}"><label for="${kind}">${label}</label>
    <input type="text" id="${kind}" maxlength="300" spellcheck="false" autocomplete="off"><button>${action}</button></form>
  <div class="examples ${kind}" role="group" aria-label="${examples}"></div>`;

/** Call `enter(text)` for what is typed into a box and for each of its examples. */
function listen(find, kind, examples, enter) {
  for (const text of examples)
    made(find(`.examples.${kind}`), "button", { type: "button", textContent: text }).addEventListener("click", () => enter(text));
  find(`form.${kind}`).addEventListener("submit", event => { event.preventDefault(); enter(find(`#${kind}`).value); });
}

/** Say the most probable of some answers {text, p}, the likeliest first, and draw a bar for each and for all others. */
function tellAnswers(verdict, list, found, sure, others) {
  const rest = { text: others, p: Math.max(0, 1 - found.reduce((sum, { p }) => sum + p, 0)) };
  verdict.textContent = found[0].p >= sure ? "It answers " : "It is guessing: ";
  made(verdict, "b", { textContent: found[0].text || "nothing" });
  verdict.append(".");
  for (const answer of [...found, rest]) {
    const { text, p } = answer;
    made(list, "dt", { textContent: text || "(nothing)", title: text });
    const share = made(made(list, "dd"), "span", { className: answer === rest ? "share rest" : "share" });
    made(share, "i").style.width = `${100 * p}%`;
    made(list, "dd", { textContent: percent(p) });
  }
}

/** Which words of a text are not `known`, as a sentence; nothing if there is none. */
function newWords(text, known) {
  const strange = [...new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])].filter(word => !known.has(word));
  return strange.length ? `Never read in training: ${strange.slice(0, 6).join(", ")}.` : "";
}
