(() => {
"use strict";
const make = (name, text, attributes = {}) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return element;
};
const GLYPHS = {"PASS": "✓", "CHECK": "!", "FAIL": "✗", "NOT RUN": "–"};
const PAGE = 100;
const state = () => new URLSearchParams(location.hash.split("?")[1] || "");
const asNumber = (text) => {
  const value = parseFloat(text.replace(/,/g, "").replace("−", "-"));
  const scale = /\skB$/.test(text) ? 1e3 : /\sMB$/.test(text) ? 1e6 : /\sGB$/.test(text) ? 1e9 : /\sTB$/.test(text) ? 1e12
    : /\smin /.test(text) ? 60 : /\sh /.test(text) ? 3600 : 1;
  return text.includes("∞") ? (text[0] === "−" ? -Infinity : Infinity) : value * scale;
};

class Windowed {
  constructor(root) {
    this.root = root;
    this.body = root.querySelector("tbody");
    this.heads = [...root.querySelectorAll("thead th")];
    this.kinds = this.heads.map((head) => head.dataset.kind);
    const rest = root.querySelector("script");
    this.rows = [...this.body.rows].map((row) => [...row.cells].map((cell) => {
      const link = cell.querySelector("a"), mark = cell.querySelector(".verdict");
      if (link) return [link.textContent, link.getAttribute("href")];
      return [mark ? mark.textContent.slice(mark.firstChild.textContent.length).trim() : cell.textContent, ""];
    })).concat(rest ? JSON.parse(rest.textContent).map((row) => row.map((cell) => Array.isArray(cell) ? cell : [cell, ""])) : []);
    this.view = this.rows;
    this.query = ""; this.sortBy = -1; this.descending = false; this.page = 0;
    this.heads.forEach((head, at) => {
      const button = make("button", head.textContent, {type: "button"});
      button.onclick = () => this.sort(at);
      head.replaceChildren(button);
    });
    if (this.rows.length > 10) this.addBar();
    const note = root.querySelector(".rest");
    if (note) note.hidden = true;
    this.say();
    this.restore();
  }
  addBar() {
    const bar = make("div", "", {class: "bar"});
    const label = make("label", "Search ");
    this.search = make("input", "", {type: "search"});
    this.search.oninput = () => { this.query = this.search.value; this.page = 0; this.update(); };
    label.append(this.search);
    this.count = make("span", "", {"aria-live": "polite", class: "soft"});
    const save = make("button", "Save as CSV", {type: "button"});
    save.onclick = () => this.save();
    bar.append(label, this.count, save);
    if (this.rows.length > PAGE) {
      this.back = make("button", "Previous 100", {type: "button"});
      this.next = make("button", "Next 100", {type: "button"});
      this.back.onclick = () => { this.page -= 1; this.update(); };
      this.next.onclick = () => { this.page += 1; this.update(); };
      bar.append(this.back, this.next);
    }
    this.root.prepend(bar);
  }
  restore() {
    const [anchor] = location.hash.slice(1).split("?"), saved = state();
    if (anchor !== this.root.id) return;
    if (this.search) { this.query = this.search.value = saved.get("q") || ""; }
    const by = saved.get("s");
    if (by) { this.sortBy = parseInt(by, 10); this.descending = by.endsWith("d"); }
    this.page = parseInt(saved.get("p") || "0", 10);
    this.update();
  }
  sort(at) {
    this.descending = this.sortBy === at && !this.descending;
    this.sortBy = at; this.page = 0; this.update();
  }
  ordered(rows) {
    const at = this.sortBy;
    if (at < 0 || at >= this.kinds.length) return rows;
    const numeric = !["text", "verdict"].includes(this.kinds[at]), sign = this.descending ? -1 : 1;
    const keyed = rows.map((row) => [numeric ? asNumber(row[at][0]) : row[at][0].toLowerCase(), row]);
    keyed.sort(([a], [b]) => {
      if (numeric && (Number.isNaN(a) || Number.isNaN(b))) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (numeric ? a - b : a.localeCompare(b, "en", {numeric: true}));
    });
    return keyed.map((pair) => pair[1]);
  }
  update() {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.rows.filter((row) => words.every((word) => row.some((cell) => cell[0].toLowerCase().includes(word))));
    this.view = this.ordered(found);
    this.page = Math.max(0, Math.min(this.page, Math.ceil(this.view.length / PAGE) - 1));
    const start = this.page * PAGE;
    this.body.replaceChildren(...this.view.slice(start, start + PAGE).map((row) => this.row(row)));
    this.heads.forEach((head, at) => at === this.sortBy
      ? head.setAttribute("aria-sort", this.descending ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    this.say();
    const kept = new URLSearchParams();
    if (this.query) kept.set("q", this.query);
    if (this.sortBy >= 0) kept.set("s", this.sortBy + (this.descending ? "d" : "a"));
    if (this.page) kept.set("p", this.page);
    history.replaceState(null, "", `#${this.root.id}${[...kept].length ? `?${kept}` : ""}`);
  }
  say() {
    const start = this.page * PAGE, stop = Math.min(start + PAGE, this.view.length);
    const all = Number(this.root.dataset.rows), less = all > this.rows.length ? ` on this page; all ${all} are in ${this.root.dataset.file}` : "";
    if (this.count) this.count.textContent = `${stop ? start + 1 : 0}–${stop} of ${this.view.length} rows${less}`;
    if (this.back) { this.back.disabled = !this.page; this.next.disabled = stop >= this.view.length; }
  }
  row(cells) {
    const row = make("tr");
    cells.forEach(([text, href], at) => {
      const cell = make("td");
      if (!["text", "verdict"].includes(this.kinds[at])) cell.className = "num";
      if (this.kinds[at] === "verdict") {
        const mark = make("span", "", {class: `verdict verdict-${text.toLowerCase().replace(" ", "-")}`});
        mark.append(make("span", GLYPHS[text] || "", {"aria-hidden": "true"}), ` ${text}`);
        cell.append(mark);
      } else if (href) cell.append(make("a", text, {href}));
      else cell.textContent = text;
      row.append(cell);
    });
    return row;
  }
  save() {
    const quote = (text) => `"${(/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" : "") + text.replace(/"/g, '""')}"`;
    const lines = [this.heads.map((head) => quote(head.textContent))].concat(this.view.map((row) => row.map((cell) => quote(cell[0]))));
    const link = make("a", "", {download: `${this.root.id}.csv`});
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.join(",")).join("\n") + "\n"], {type: "text/csv"}));
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

class Plate {
  constructor(svg) {
    this.svg = svg;
    [this.left, this.top, this.step, this.rows, this.columns] = svg.dataset.plate.split(" ").map(Number);
    this.cells = [...svg.parentNode.querySelectorAll("table tbody tr")].map((row) => [...row.cells].slice(1).map((cell) => cell.textContent));
    this.names = [...svg.parentNode.querySelectorAll("table tbody th")].map((head) => head.textContent);
    this.output = make("output", "", {class: "readout", "aria-live": "polite"});
    svg.after(this.output);
    this.cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({width: this.step, height: this.step, fill: "none", stroke: "currentColor", "stroke-width": 2, visibility: "hidden"})) this.cursor.setAttribute(key, value);
    svg.append(this.cursor);
    svg.setAttribute("tabindex", "0");
    this.row = 0; this.column = 0;
    svg.addEventListener("pointermove", (event) => this.point(event));
    svg.addEventListener("pointerleave", () => this.cursor.setAttribute("visibility", "hidden"));
    svg.addEventListener("focus", () => this.show());
    svg.addEventListener("keydown", (event) => this.key(event));
  }
  point(event) {
    const box = this.svg.getBoundingClientRect(), scale = this.svg.viewBox.baseVal.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale - this.left) / this.step);
    const row = Math.floor(((event.clientY - box.top) * scale - this.top) / this.step);
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return;
    this.row = row; this.column = column; this.show();
  }
  key(event) {
    const move = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!move) return;
    event.preventDefault();
    this.row = Math.max(0, Math.min(this.rows - 1, this.row + move[0]));
    this.column = Math.max(0, Math.min(this.columns - 1, this.column + move[1]));
    this.show();
  }
  show() {
    this.cursor.setAttribute("x", this.left + this.column * this.step);
    this.cursor.setAttribute("y", this.top + this.row * this.step);
    this.cursor.setAttribute("visibility", "visible");
    const value = (this.cells[this.row] || [])[this.column] || "no well";
    this.output.textContent = `${this.names[this.row]}${String(this.column + 1).padStart(2, "0")}: ${value}`;
  }
}

document.querySelectorAll("[data-table]").forEach((root) => new Windowed(root));
document.querySelectorAll("svg[data-plate]").forEach((svg) => new Plate(svg));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1).split("?")[0]));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
})();
