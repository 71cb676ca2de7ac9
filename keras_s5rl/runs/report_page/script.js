"use strict";
(() => {
  const data = JSON.parse(document.getElementById("episode").textContent);
  const find = (id) => document.getElementById(id);
  const picture = find("picture"), play = find("play"), slider = find("step");
  const last = data.step.length - 1;
  const numColours = 6, page = 200, tick = 20;
  const charts = [];
  let row = 0, position = 0, playing = false, before = 0;
  let from = 0, to = last; // the steps that the charts show

  function make(kind, className, parent) {
    const element = document.createElement(kind);
    if (className) element.className = className;
    if (parent) parent.append(element);
    return element;
  }

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const colour = (index) => style(`--series-${index % numColours}`);

  // A number in few digits.
  function shown(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    return size !== 0 && (size < 0.001 || size >= 1e5) ? value.toExponential(2) : String(+value.toPrecision(4));
  }

  // --- Charts: drawn once for their steps, a width and a colour scheme; a line moves over them.

  function addChart(name, series, height, draw) {
    const box = make("div", "chart", find("charts"));
    const title = make("div", "name", box);
    title.append(name);
    if (series.length > 1) {
      series.forEach((one, index) => {
        const key = make("i", "", title);
        key.style.setProperty("--key", `var(--series-${index % numColours})`);
        key.textContent = one.name;
      });
    }
    const plot = make("div", "plot", box);
    const canvas = make("canvas", "", plot);
    const cursor = make("div", "cursor", plot);
    const seek = (event) => {
      const { left, width } = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
      show(Math.min(last, from + Math.round(share * (to - from))));
    };
    plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); seek(event); });
    plot.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
    charts.push({ canvas, cursor, height, draw });
  }

  function drawChart({ canvas, height, draw }) {
    const width = canvas.parentElement.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "11px system-ui, sans-serif";
    const across = (index) => (to > from ? ((index - from) / (to - from)) * width : 0);
    draw(context, width, height, across);
    marks(context, height, across);
  }

  function marks(context, height, across) {
    const vertical = (rows, colour, dash, width) => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      for (const index of rows.filter((one) => one >= from && one <= to)) {
        const x = Math.max(width / 2, across(index));
        context.moveTo(x, 0);
        context.lineTo(x, height);
      }
      context.stroke();
      context.setLineDash([]);
    };
    vertical(data.trials, style("--muted"), [2, 3], 1);
    vertical(data.resets, style("--reset"), [], 2);
  }

  function lines(series, steps) {
    const known = series.flatMap((one) => one.values).filter((value) => value !== null);
    let low = known.reduce((a, b) => Math.min(a, b), 0), high = known.reduce((a, b) => Math.max(a, b), 0);
    if (low === high) high = low + 1;
    return (context, width, height, across) => {
      const y = (value) => height - 3 - ((value - low) / (high - low)) * (height - 6);
      context.strokeStyle = style("--line");
      context.lineWidth = 1;
      context.strokeRect(0.5, 0.5, width - 1, height - 1);
      series.forEach((one, index) => {
        context.strokeStyle = colour(index);
        context.lineWidth = 1.4;
        context.beginPath();
        let open = false, height0 = 0;
        one.values.slice(from, to + 1).forEach((value, offset) => {
          const at = from + offset;
          if (value === null) { open = false; return; }
          if (open && steps) context.lineTo(across(at), height0);
          height0 = y(value);
          if (open) context.lineTo(across(at), height0); else context.moveTo(across(at), height0);
          open = true;
        });
        context.stroke();
      });
      context.fillStyle = style("--muted");
      context.fillText(shown(high), 5, 13);
      context.fillText(shown(low), 5, height - 6);
    };
  }

  // Rows of colours, from the page's to the accent.
  function strip({ features, pixels }) {
    const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
    return (context, width, height) => {
      const source = make("canvas");
      source.width = data.step.length;
      source.height = features;
      const inner = source.getContext("2d"), image = inner.createImageData(source.width, features);
      const ends = ["--faint", "--accent"].map((name) => {
        const hex = style(name);
        return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
      });
      bytes.forEach((byte, index) => {
        for (let part = 0; part < 3; part++) {
          image.data[4 * index + part] = ends[0][part] + (byte / 255) * (ends[1][part] - ends[0][part]);
        }
        image.data[4 * index + 3] = 255;
      });
      inner.putImageData(image, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(source, from, 0, to - from + 1, features, 0, 0, width, height);
    };
  }

  // --- The step that is shown.

  function pictureOf(index) {
    const { rows, images } = data.pictures;
    let low = 0, high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle] <= index) low = middle; else high = middle - 1;
    }
    return images[low];
  }

  function show(index) {
    row = position = index;
    slider.value = index;
    if (data.pictures) picture.src = pictureOf(index);
    const parts = [["step", String(data.step[index])]];
    if (data.episode[last] > 0) parts.unshift(["episode", String(data.episode[index] + 1)]);
    if (data.step[index] > 0) {
      parts.push(["action", data.actionTexts[data.action[index]]], ["reward", shown(data.reward[index])]);
    }
    parts.push(["return", shown(data.return[index])]);
    for (const [name, values] of Object.entries(data.memory)) parts.push([name, shown(values[index])]);
    if (data.resets.includes(index)) parts.push(["memory", "reset"]);
    find("now").replaceChildren(...parts.map(([name, value]) => {
      const part = make("span");
      make("b", "", part).textContent = name;
      part.append(value);
      return part;
    }));
    turnPage();
    for (const { cursor } of charts) cursor.style.left = `${to > from ? (100 * (index - from)) / (to - from) : 0}%`;
  }

  // The charts show all steps, or the page that has the current one.
  function turnPage() {
    const whole = find("range").value === "all", first = whole ? 0 : Math.floor(row / page) * page;
    const end = whole ? last : first + page;
    if (first === from && end === to) return;
    from = first;
    to = end;
    charts.forEach(drawChart);
  }

  function setPlaying(value) {
    playing = value;
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    if (playing) {
      if (row >= last) show(0);
      before = performance.now();
      advance();
    }
  }

  function advance() {
    if (!playing) return;
    const now = performance.now(), passed = (now - before) / 1000;
    const reached = Math.min(last, position + (passed / data.seconds) * Number(find("speed").value));
    before = now;
    if (Math.floor(reached) !== row) show(Math.floor(reached));
    position = reached; // a step that is under way counts for the next picture
    if (row >= last) setPlaying(false); else setTimeout(advance, tick);
  }

  // --- Start.

  slider.max = last;
  slider.addEventListener("input", () => show(Number(slider.value)));
  play.addEventListener("click", () => setPlaying(!playing));
  find("range").addEventListener("change", () => show(row));
  find("range").hidden = last <= page;
  picture.hidden = !data.pictures;

  const memory = Object.entries(data.memory).map(([name, values]) => ({ name, values }));
  if (memory.length) addChart("Memory: norm of each layer's state", memory, 110, lines(memory, false));
  const actions = data.actionNumbers.map((values, index) => ({ name: String(index + 1), values }));
  addChart("Action", actions, 56, lines(actions, true));
  addChart("Reward", [{}], 56, lines([{ values: data.reward }], true));
  addChart("Return so far", [{}], 56, lines([{ values: data.return }], false));
  if (data.observation) {
    const { features } = data.observation;
    addChart(`Observation: ${features} numbers, each in its own range`, [{}],
      Math.max(40, Math.min(16, 320 / features) * features), strip(data.observation));
  }
  const meanings = ["Orange: the memory is reset."];
  if (data.trials.length) meanings.push("Dotted: a trial begins; the memory goes on.");
  if (data.pictures && data.pictures.stride > 1) meanings.push(`One in ${data.pictures.stride} steps has a picture.`);
  find("legend").textContent = meanings.join(" ");

  const drawAll = () => charts.forEach(drawChart);
  drawAll();
  show(0);
  window.addEventListener("resize", drawAll);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
