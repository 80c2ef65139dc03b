// The film of an episode: mount(host, data) draws it into one element. See film.py for the data.

const STYLE = `
  :host { display: block; max-width: 1100px; margin: 0 auto; overflow-x: auto; }
  .film { box-sizing: border-box; background: #fff; color: #17202c; padding: 10px 14px; text-align: left;
    font: 17px/1.4 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums;
    display: grid; grid-template-columns: auto minmax(380px, 1fr); gap: 4px 26px; align-items: start;
    color-scheme: light; }
  .told { grid-column: 1 / -1; font-size: 21px; font-weight: 600; margin: 0 0 4px; }
  .told span { font-weight: 400; color: #4a5565; font-size: 17px; }
  img { display: block; border-radius: 6px; max-width: 100%; }
  .controls { display: flex; gap: 6px; align-items: center; margin-top: 8px; }
  .controls button { font: inherit; height: 34px; min-width: 40px; border: 1px solid #8a94a3; border-radius: 6px;
    background: #fff; color: inherit; cursor: pointer; }
  .controls .play { min-width: 84px; font-weight: 600; }
  input { width: 100%; margin: 8px 0 0; accent-color: #0072B2; }
  :focus-visible { outline: 3px solid #1d4ed8; outline-offset: 2px; }
  ol { margin: 0; padding: 0; list-style: none; max-height: 420px; overflow-y: auto; }
  li button { all: unset; box-sizing: border-box; width: 100%; cursor: pointer; border-left: 5px solid #cbd2db;
    padding: 3px 10px; display: grid; grid-template-columns: 1fr 110px 44px; gap: 0 8px; align-items: center;
    color: #545e6c; }
  li button:focus-visible { outline: 3px solid #1d4ed8; outline-offset: -3px; }
  li.seen button { color: #17202c; }
  li[aria-current] button { background: #eef4fa; }
  li.seen .outcome { visibility: visible; }
  li { visibility: hidden; } li.seen, li[aria-current], .whole li { visibility: visible; }
  .outcome { grid-column: 1 / -1; font-size: 15px; visibility: hidden; }
  .good { --ink: #00704f; } .slip { --ink: #b34700; } .surprise { --ink: #a0336f; } .end { --ink: #005a8c; }
  li.seen button { border-left-color: var(--ink); } .outcome { color: var(--ink); font-weight: 600; }
  .bar { height: 12px; background: #e6eaef; border-radius: 3px; } .bar i { display: block; height: 100%;
    background: #0072B2; border-radius: 3px; }
  .percent { text-align: right; }
  .thought { margin: 8px 0 0; font-size: 15px; color: #4a5565; } .thought:empty { display: none; }
  @media (max-width: 720px) { .film { grid-template-columns: 1fr; } }
`;
const PACE = 110, REST = 900; // milliseconds that a picture stands, and the last one of a step

function mount(host, data) {
  host.textContent = "";
  // JupyterLab would otherwise take keys typed in the figure as its own shortcuts, and reveal.js a finger as a swipe.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  host.setAttribute("data-prevent-swipe", "true");
  const root = host.attachShadow({ mode: "open" }); // the page's styles stay out, and this one's stay in
  root.innerHTML = `<style>${STYLE}</style><div class="film"><p class="told"></p>
    <div><img class="picture"><input class="slider" type="range" min="0" step="1" aria-label="Moment of the film">
      <div class="controls"><button class="back" aria-label="One step back">◀</button>
        <button class="play"></button><button class="on" aria-label="One step on">▶</button>
        <span class="where" aria-live="polite"></span></div>
      <p class="thought"></p></div>
    <ol></ol></div>`;
  const find = selector => root.querySelector(selector);
  const element = (tag, name, text = "") =>
    Object.assign(document.createElement(tag), { className: name, textContent: text });
  const { pictures, steps } = data;
  const picture = find(".picture"), slider = find(".slider"), play = find(".play"), list = find("ol");
  const sources = pictures.map(text => `data:image/webp;base64,${text}`);
  picture.width = picture.height = data.size;
  slider.max = pictures.length - 1;
  slider.style.maxWidth = find(".thought").style.maxWidth = `${data.size}px`;
  find(".told").append(element("span", "", "The robot is told: "), `“${data.told}”`);
  if (data.plan !== null) {
    list.className = "whole"; // what it will do is known, what it has not said yet is not
    find(".told").append(element("span", "", ` It wrote the whole plan at once (${percent(data.plan)}).`));
  }
  const lines = steps.map((step, k) => {
    const line = element("li", step.kind), button = element("button", "line");
    button.append(element("span", "said", `${k + 1}. ${step.said || "(nothing)"}`));
    const bar = element("span", step.probability === null ? "" : "bar"), fill = element("i", "");
    if (step.probability !== null) fill.style.width = `${100 * step.probability}%`;
    bar.append(fill);
    button.append(bar, element("span", "percent", step.probability === null ? "" : percent(step.probability)));
    button.append(element("span", "outcome", step.outcome));
    button.addEventListener("click", () => { stop(); show(step.last); });
    line.append(button);
    list.append(line);
    return line;
  });

  let at = 0, timer = null;
  const step = () => steps.findIndex(one => at <= one.last);

  function show(moment) {
    at = Math.min(Math.max(moment, 0), pictures.length - 1);
    const now = step(), over = at === steps[now].last;
    picture.src = sources[at];
    picture.alt = over ? steps[now].alt : now ? steps[now - 1].alt : data.start;
    const thought = steps[now].thought;
    find(".thought").textContent = thought ? `It looked up: ${thought}.` : "";
    slider.value = at;
    slider.setAttribute("aria-valuetext", `step ${now + 1} of ${steps.length}: ${steps[now].said}`);
    lines.forEach((line, k) => {
      line.classList.toggle("seen", k < now || (k === now && over));
      if (k === now) line.setAttribute("aria-current", "step"); else line.removeAttribute("aria-current");
    });
    // While the film plays, only the list scrolls, not the page or the slide.
    const line = lines[now];
    const low = line.offsetTop - list.offsetTop;
    if (low < list.scrollTop || low + line.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = low;
    if (over || !timer) find(".where").textContent = `step ${now + 1} of ${steps.length}`;
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    play.textContent = "▶ Play";
    play.setAttribute("aria-label", "Play the film");
  }

  function next() {
    if (at >= pictures.length - 1) return stop();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then each step is one picture
    show(still ? steps[steps.findIndex(one => at < one.last)].last : at + 1);
    timer = setTimeout(next, at === steps[step()].last ? REST : PACE);
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    if (at >= pictures.length - 1) show(0);
    play.textContent = "❚❚ Pause";
    play.setAttribute("aria-label", "Pause the film");
    timer = setTimeout(next, PACE);
  });
  find(".on").addEventListener("click", () => {
    stop();
    const later = steps.find(one => one.last > at);
    if (later) show(later.last);
  });
  find(".back").addEventListener("click", () => {
    stop();
    const ends = steps.map(one => one.last).filter(last => last < at);
    show(ends.length ? ends[ends.length - 1] : 0);
  });
  // The slides would turn: at a button by the space bar, at the slider by any key but Tab and Escape.
  root.addEventListener("keydown", event => {
    const turns = event.target === slider ? !["Tab", "Escape"].includes(event.key) : [" ", "Enter"].includes(event.key);
    if (turns) event.stopPropagation();
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  stop();
  show(0);
  host.film = { show, state: () => ({ at, step: step(), playing: timer !== null }) };
}

function percent(p) { return `${Math.round(100 * p)} %`; }
