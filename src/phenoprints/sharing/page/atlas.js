"use strict";
const $ = (id) => document.getElementById(id);
const waiting = new Map(), loaded = new Map();
let index = null, view = null, state = {}, map = null;

/* Every data file is a script that calls this with its name and content. */
function atlas(name, content) {
  if (name === "index") { index = content; start(); return; }
  loaded.set(name, Promise.resolve(content));
  if (waiting.has(name)) { waiting.get(name)(content); waiting.delete(name); }
}
function load(name) {
  if (!loaded.has(name)) loaded.set(name, new Promise((resolve, reject) => {
    waiting.set(name, resolve);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onerror = () => { loaded.delete(name); reject(new Error(`data/${name}.js is missing`)); };
    document.head.append(script);
  }));
  return loaded.get(name);
}
function bytes(text) {
  const raw = atob(text), values = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) values[i] = raw.charCodeAt(i);
  return values;
}
function element(tag, content, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat().filter((each) => each !== null && each !== undefined));
  return made;
}
function drawing(tag, attributes, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
const number = (value, digits = 2) => value === null ? "" :
  value !== 0 && Math.abs(value) < 10 ** -digits ? value.toPrecision(2) : value.toFixed(digits);
const many = (value, word) => `${value.toLocaleString("en")} ${word}${value === 1 ? "" : "s"}`;
function table(caption, heads, rows) {
  const head = element("tr", heads.map(([name, isNumber]) =>
    element("th", name, {scope: "col", className: isNumber ? "num" : ""})));
  const body = rows.map((row) => element("tr", row.map((cell, at) =>
    element("td", cell, {className: heads[at][1] ? "num" : ""}))));
  const made = element("table", [element("caption", caption), element("thead", head),
    element("tbody", body)]);
  return element("div", made, {className: "scroll"});
}

/* State: the address holds view, selection, colour, search and list. */
function readState() {
  const words = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(["view", "name", "kind", "colour", "search", "list"]
    .map((key) => [key, words.get(key) || ""]));
}
function writeState(changes) {
  Object.assign(state, changes);
  const kept = Object.entries(state).filter(([, value]) => value !== "");
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

async function start() {
  document.title = `Atlas of ${index.run}`;
  $("title").textContent = `Atlas of ${index.run}`;
  index.views.forEach((each, at) => $("view").append(
    element("option", titleOf(each), {value: String(at)})));
  map = pointMap($("points"), {
    pick: (i) => choose(i), hover: (i) => { $("hover").textContent = i < 0 ? "" : label(i); },
    read: () => $("panel").focus(),
  });
  $("view").onchange = () => { writeState({name: "", kind: ""}); show(Number($("view").value)); };
  $("colour").onchange = () => { writeState({colour: $("colour").value}); colour(); };
  $("search").oninput = () => { writeState({search: $("search").value}); search(); };
  $("search").onkeydown = (event) => {
    const first = $("results").querySelector("button");
    if (event.key === "Enter" && first) first.click();
    if (event.key === "ArrowDown" && first) { first.focus(); event.preventDefault(); }
  };
  $("results").onkeydown = (event) => {
    const step = {ArrowDown: "nextElementSibling", ArrowRight: "nextElementSibling",
      ArrowUp: "previousElementSibling", ArrowLeft: "previousElementSibling"}[event.key];
    if (!step) return;
    const other = event.target.parentElement[step];
    (other ? other.firstElementChild : $("search")).focus();
    event.preventDefault();
  };
  $("compare").onclick = () => { writeState({list: $("names").value}); compare(); };
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
    $("search").focus(); event.preventDefault();
  });
  addEventListener("hashchange", follow);
  await follow();
}
async function follow() {
  state = readState();
  const wanted = Math.min(Math.max(0, Number(state.view) || 0), index.views.length - 1);
  if (index.views.length) await show(wanted);
}
const titleOf = ({title, count}) => `${title.screen} · ${title.encoder} · ${title.level}` +
  [title.cell_type, title.background].filter(Boolean).map((each) => ` · ${each}`).join("") +
  ` (${count.toLocaleString("en")})`;

async function show(at) {
  const about = index.views[at], points = await load(`${at}/points`);
  view = {at, about, ...points, kindCodes: new Uint32Array(bytes(points.kinds.codes).buffer)};
  view.lower = null;
  $("view").value = String(at);
  writeState({view: String(at)});
  $("answer").textContent = `${many(about.count, "perturbation")} of screen ${about.title.screen} ` +
    `as ${about.title.encoder} sees them, level ${about.title.level}.`;
  map.show(new Uint16Array(bytes(points.places).buffer), points.aspect);
  $("colour").replaceChildren(...about.colours.map((name) => element("option", name, {value: name})));
  if (about.colours.includes(state.colour)) $("colour").value = state.colour;
  colour();
  $("search").value = state.search; search();
  $("names").value = state.list; $("heat").replaceChildren(); $("unmatched").hidden = true;
  $("notes").replaceChildren(...about.notes.map((text) => element("p", text, {className: "soft"})));
  if (index.absent) $("notes").append(element("p",
    `Images of ${many(index.absent, "well")} are absent; absent_images.csv lists them.`));
  const chosen = state.name === "" ? -1 : find(state.name, state.kind);
  if (chosen >= 0) await choose(chosen);
  else {
    const text = state.name ? `No perturbation of this map is called “${state.name}”.` :
      "Choose a perturbation: its neighbours, consistency, doses, plates and images appear here.";
    $("panel").replaceChildren(element("p", text, {className: state.name ? "message" : "soft"}));
  }
  if (state.list) await compare();
  document.body.dataset.ready = String(at);
}
const kindOf = (i) => view.kinds.words[view.kindCodes[i]];
const label = (i) => `${view.names[i]} (${kindOf(i)})`;
function find(name, kind) {
  const same = (i) => view.names[i] === name && (!kind || kindOf(i) === kind);
  for (let i = 0; i < view.names.length; i++) if (same(i)) return i;
  return -1;
}

/* Colours: Okabe and Ito's and four more for the most frequent texts, viridis for numbers. */
const WORDS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a5195",
  "#00a5a5", "#a0522d", "#5c7a29", "#d6336c"];
const NONE = "#9aa4ae";
const VIRIDIS = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const packed = ([r, g, b]) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
function viridis(share) {
  const at = Math.min(VIRIDIS.length - 2, Math.floor(share * (VIRIDIS.length - 1)));
  const rest = share * (VIRIDIS.length - 1) - at, [a, b] = [parts(VIRIDIS[at]), parts(VIRIDIS[at + 1])];
  return a.map((value, i) => Math.round(value + rest * (b[i] - value)));
}
function colour() {
  const chosen = view.colours[$("colour").value], values = new Uint32Array(view.names.length);
  map.only(null);
  if (chosen.levels) {
    const levels = bytes(chosen.levels);
    const ramp = Array.from({length: 256}, (_, at) => packed(at ? viridis((at - 1) / 254) : parts(NONE)));
    for (let i = 0; i < values.length; i++) values[i] = ramp[levels[i]];
    const stops = VIRIDIS.map((hex, at) => drawing("rect", {x: at * 14, width: 14, height: 10, fill: hex}));
    $("legend").replaceChildren(element("li", [`${number(chosen.low)} `, drawing("svg",
      {width: 112, height: 10, "aria-hidden": "true"}, stops), ` ${number(chosen.high)}`]));
  } else {
    const codes = new Uint32Array(bytes(chosen.codes).buffer), named = chosen.words.filter(Boolean);
    const colours = chosen.words.map((word) => word === "" ? NONE : WORDS[named.indexOf(word)] || NONE);
    const packs = colours.map((hex) => packed(parts(hex)));
    for (let i = 0; i < values.length; i++) values[i] = packs[codes[i]];
    const items = named.slice(0, WORDS.length).map((word) => legendItem(word, codes, chosen.words));
    const rest = named.length - items.length;
    if (rest > 0) items.push(element("li", [square(NONE), ` ${many(rest, "other")}`]));
    $("legend").replaceChildren(...items);
  }
  map.colour(values);
}
const square = (fill) => drawing("svg", {width: 12, height: 12, "aria-hidden": "true"},
  [drawing("circle", {cx: 6, cy: 6, r: 5, fill})]);
function legendItem(word, codes, words) {
  const fill = WORDS[words.filter(Boolean).indexOf(word)];
  const button = element("button", [square(fill), ` ${word}`], {type: "button"});
  button.setAttribute("aria-pressed", "false");
  button.onclick = () => {
    const isOn = button.getAttribute("aria-pressed") !== "true";
    for (const other of $("legend").querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(isOn));
    const code = words.indexOf(word);
    map.only(isOn ? Uint8Array.from(codes, (each) => each === code ? 1 : 0) : null);
  };
  return element("li", button);
}

/* Search: names first, then annotations that hold the words. */
const SHOWN = 40;
function search() {
  const words = $("search").value.trim().toLowerCase();
  if (!words) { $("results").replaceChildren(); $("found").textContent = ""; map.mark([]); return; }
  view.lower = view.lower || view.names.map((name) => name.toLowerCase());
  const exact = [], starts = [], holds = [], seen = new Set();
  view.lower.forEach((name, i) => {
    if (!name.includes(words)) return;
    (name === words ? exact : name.startsWith(words) ? starts : holds).push(i); seen.add(i);
  });
  const annotated = [];
  for (const [name, values] of Object.entries(view.colours)) {
    if (!values.words || name === "cluster" || name === "plate") continue;
    const fitting = new Set(values.words.flatMap((word, at) => word.toLowerCase().includes(words) ? [at] : []));
    if (!fitting.size) continue;
    new Uint32Array(bytes(values.codes).buffer).forEach((code, i) => {
      if (fitting.has(code) && !seen.has(i)) { seen.add(i); annotated.push(i); }
    });
  }
  const found = [...exact, ...starts, ...holds, ...annotated];
  const rest = found.length > SHOWN ? `, the first ${SHOWN} are listed` : "";
  $("found").textContent = found.length ? `${many(found.length, "perturbation")} found${rest}.` :
    "Nothing on this map has these words in its name or annotation.";
  $("results").replaceChildren(...found.slice(0, SHOWN).map((i) => element("li", link(i))));
  map.mark(found);
}
function link(i) {
  const button = element("button", view.names[i], {type: "button"});
  button.onclick = () => choose(i);
  return button;
}

/* The selected perturbation. */
async function choose(i) {
  map.select(i);
  writeState({name: view.names[i], kind: kindOf(i)});
  const size = index.entries_per_part, at = view.at;
  const part = await load(`${at}/details-${Math.floor(i / size)}`);
  if (view.at !== at || state.name !== view.names[i]) return; // another one was chosen meanwhile
  const row = i % size, wells = part.wells[row];
  const facts = Object.entries(view.colours).map(([name, values]) => [name, valueOf(values, i)])
    .filter(([, value]) => value !== "").flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
  $("panel").replaceChildren(element("h2", label(i)), element("dl", facts),
    ...neighbours(part.neighbours[row]), ...images(part.tiles[row]), ...doses(part.doses[row]),
    ...tests(part.tests[row]), ...plates(wells));
}
function valueOf(values, i) {
  if (values.words) {
    values.decoded = values.decoded || new Uint32Array(bytes(values.codes).buffer);
    return values.words[values.decoded[i]];
  }
  values.decoded = values.decoded || bytes(values.levels);
  const level = values.decoded[i];
  return level ? number(values.low + (level - 1) / 254 * (values.high - values.low), 0) : "";
}
const REASONS = {too_few_wells: "fewer than two wells", too_few_conditions: "too few other wells on its plates",
  too_few_sets: "too few random sets of wells on its plates", zero_vector: "no direction",
  not_finite: "no vector", no_reference: "no other perturbation", no_controls: "no controls",
  too_few_controls: "too few controls"};
const reason = (word) => REASONS[word] || word.replaceAll("_", " ");
function neighbours(rows) {
  const head = element("h3", "Nearest perturbations");
  const found = rows.filter((row) => row[0] >= 0);
  if (!found.length) return [head, element("p", rows.length ? `Not tested: ${reason(rows[0][6])}.` :
    "The map has no tested neighbours.", {className: "message"})];
  const why = found[0][6];
  const body = found.map(([near, cosine, low, high, p, q]) => [link(near), number(cosine),
    low === null ? "" : `${number(low)} to ${number(high)}`, p === null ? "" : number(p, 3),
    q === null ? "not tested" : number(q, 3)]);
  const made = table("Cosine with 95 % interval; q is the expected share of chance among neighbours " +
    "with at most this q.", [["name"], ["cosine", true], ["interval", true], ["p", true], ["q", true]], body);
  return [head, made, ...(why ? [element("p", `p and q are absent: ${reason(why)}.`, {className: "message"})] : [])];
}
function tests(rows) {
  if (!rows.length) return [];
  const body = rows.map(([judge, experiment, p, wells, why]) => [judge, experiment || "all",
    p === null ? reason(why || "not tested") : number(p, 4), String(wells ?? "")]);
  return [element("h3", "Consistency of replicates"), table("p that wells of other conditions agree as well, " +
    "by judge and experiment.", [["judge"], ["experiment"], ["p", true], ["wells", true]], body)];
}
function doses(rows) {
  if (!rows.length) return [];
  const width = 360, height = 150, left = 44, right = 12, bottom = 32, top = 10;
  const xs = rows.map((row) => Math.log10(row[0])), most = Math.max(...rows.map((row) => Math.max(row[1] ?? 0, row[2] ?? 0)), 1e-9);
  const low = Math.min(...xs), span = Math.max(...xs) - low || 1;
  const x = (value) => left + (value - low) / span * (width - left - right);
  const y = (value) => height - bottom - value / most * (height - bottom - top);
  const line = (at, dash) => drawing("polyline", {fill: "none", stroke: "currentColor", "stroke-dasharray": dash,
    points: rows.flatMap((row, i) => row[at] === null ? [] : [`${x(xs[i])},${y(row[at])}`]).join(" ")});
  const dots = rows.flatMap((row, i) => row[1] === null ? [] : [drawing("circle", {cx: x(xs[i]), cy: y(row[1]), r: 5,
    fill: row[4] ? WORDS[0] : "none", stroke: WORDS[0], "stroke-width": 2})]);
  const text = (value, at, line, anchor) => drawing("text", {x: at, y: line, "font-size": 11, fill: "currentColor",
    "text-anchor": anchor}, [value]);
  const labels = rows.map((row, i) => text(String(row[0]), x(xs[i]), height - bottom + 14, "middle"));
  const axis = [text("0", left - 6, y(0), "end"), text(number(most, 1), left - 6, y(most) + 8, "end"),
    text("concentration (µM)", (left + width) / 2, height - 4, "middle")];
  const picture = drawing("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "Distance from the controls by concentration"}, [line(2, "4 4"), line(1, ""), ...dots, ...labels, ...axis]);
  const body = rows.map(([um, length, expected, p, isActive]) => [String(um), number(length), number(expected),
    p === null ? "not tested" : number(p, 4), isActive ? "yes" : "no"]);
  return [element("h3", "Dose response"), element("p", "Distance of the wells from controls of their plates; dashed: " +
    "as chance has it; filled: active.", {className: "soft"}), picture, table("The same in numbers.",
    [["µM", true], ["distance", true], ["by chance", true], ["p", true], ["active"]], body)];
}
const MAX_PLATES = 12;
const letters = (row) => row > 26 ? `A${String.fromCharCode(38 + row)}` : String.fromCharCode(64 + row);
function plates(wells) {
  if (!wells.length) return [];
  const byPlate = new Map();
  for (const well of wells) byPlate.set(well[0], [...(byPlate.get(well[0]) || []), well]);
  const figures = [...byPlate].slice(0, MAX_PLATES).map(([at, own]) => {
    const [experiment, plate, rows, columns] = view.about.plates[at], step = Math.min(10, 150 / columns);
    const names = own.map(([, row, column, cells]) => `${letters(row)}${String(column).padStart(2, "0")}` +
      (cells === null ? "" : ` (${number(cells, 0)} cells)`));
    const dots = own.map(([, row, column]) => drawing("rect", {x: (column - 1) * step, y: (row - 1) * step,
      width: step, height: step, fill: WORDS[5]}));
    const frame = drawing("rect", {width: columns * step, height: rows * step, fill: "none", stroke: "currentColor"});
    return element("figure", [drawing("svg", {width: columns * step + 2, height: rows * step + 2,
      viewBox: `-1 -1 ${columns * step + 2} ${rows * step + 2}`, role: "img", "aria-label": names.join(", ")},
      [frame, ...dots]), element("figcaption", `${experiment}, plate ${plate}: ${names.join(", ")}`)]);
  });
  const rest = byPlate.size - figures.length;
  return [element("h3", `${many(wells.length, "well")} on ${many(byPlate.size, "plate")}`),
    element("div", figures, {className: "plates"}), ...(rest > 0 ? [element("p", `${many(rest, "more plate")} not drawn.`)] : [])];
}
function images(tiles) {
  if (!view.about.with_images) return [];
  const head = element("h3", "Images");
  if (!tiles) return [head, element("p", "No images of this perturbation are in the atlas.", {className: "soft"})];
  const channels = element("div", tiles.channels.map((name) => element("span", name)), {className: "channels"});
  const strip = (well, what) => element("figure", [element("img", [], {src: well.file, loading: "lazy", width: 128 *
    tiles.channels.length, height: 128, alt: `${what}, well ${well.well} of plate ${well.plate}, ${well.experiment}`}),
    element("figcaption", `${what} · ${well.experiment}, plate ${well.plate}, ${well.well}`)]);
  const ranges = Object.entries(tiles.ranges).map(([experiment, limits]) => `${experiment}: ` +
    tiles.channels.map((name, at) => `${name} ${number(limits[at][0], 0)}–${number(limits[at][1], 0)}`).join(", ")).join("; ");
  return [head, element("p", `${many(tiles.wells.length, "well")} beside ${many(tiles.controls.length, "control")}; in each ` +
    `experiment all wells are shown at one range, that of its controls (of 255). ${ranges}.`, {className: "soft"}),
    element("div", [channels, ...tiles.wells.map((well) => strip(well, view.names[find(state.name, state.kind)])),
      ...tiles.controls.map((well) => strip(well, "negative control"))], {className: "tiles"})];
}

/* Cosines of a list of names, from vectors in 8 bits. */
const MAX_LIST = 150;
async function compare() {
  const asked = [...new Set($("names").value.split(/[\n,;\t]+/).map((name) => name.trim()).filter(Boolean))];
  view.lower = view.lower || view.names.map((name) => name.toLowerCase());
  const places = new Map();
  view.lower.forEach((name, i) => places.has(name) || places.set(name, i));
  const entries = asked.map((name) => places.get(name.toLowerCase())), missing = asked.filter((_, at) => entries[at] === undefined);
  const rows = [...new Set(entries.filter((i) => i !== undefined))].slice(0, MAX_LIST);
  const messages = [];
  if (!asked.length) messages.push("Paste at least two names.");
  if (missing.length) messages.push(`${missing.length} of ${many(asked.length, "name")} match nothing on this map: ${missing.join(", ")}.`);
  if (asked.length && rows.length < 2) messages.push("Two names that are on the map are needed.");
  if (rows.length === MAX_LIST) messages.push(`At most ${MAX_LIST} names are compared.`);
  $("unmatched").textContent = messages.join(" "); $("unmatched").hidden = !messages.length;
  if (rows.length < 2) { $("heat").replaceChildren(); return; }
  const vectors = await Promise.all(rows.map(vectorOf));
  const cosines = vectors.map((a) => vectors.map((b) => a.reduce((sum, value, k) => sum + value * b[k], 0)));
  const head = element("tr", [element("td", ""), ...rows.map((i) => element("th", view.names[i], {scope: "col"}))]);
  const body = rows.map((i, at) => element("tr", [element("th", view.names[i], {scope: "row"}),
    ...cosines[at].map((value, other) => cell(value, rows.length, at === other))]));
  $("heat").replaceChildren(element("table", [element("caption", "Cosines: orange alike, blue opposite."),
    element("thead", head), element("tbody", body)], {className: "heat"}));
}
function cell(value, count, isSame) {
  const made = element("td", count <= 30 && !isSame ? value.toFixed(2) : "", {title: value.toFixed(2)});
  const goal = value > 0 ? [230, 120, 20] : [40, 110, 190], share = isSame ? 0 : Math.min(1, Math.abs(value));
  const rgb = goal.map((part) => Math.round(255 + share * (part - 255)));
  made.style.background = `rgb(${rgb})`; made.style.color = "#111";
  return made;
}
async function vectorOf(i) {
  const size = index.vectors_per_part, name = `${view.at}/vectors-${Math.floor(i / size)}`;
  const part = await load(name);
  part.decoded = part.decoded || new Int8Array(bytes(part.vectors).buffer);
  const width = view.about.width, values = Array.from(part.decoded.subarray((i % size) * width, (i % size + 1) * width));
  const length = Math.hypot(...values) || 1;
  return values.map((value) => value / length);
}
