"use strict";
/* A map of points on a plain canvas: pixels are written directly, which draws a million points in
   some tens of milliseconds on any machine, without WebGL. */
function pointMap(canvas, events) {
  const pen = canvas.getContext("2d");
  let places = new Uint16Array(0), colours = new Uint32Array(0), shown = null, aspect = 1;
  let selected = -1, marked = [], zoom = 1, centre = [0.5, 0.5], waiting = false;

  const count = () => places.length / 2;
  const radius = () => {
    const base = count() < 2000 ? 5 : count() < 20000 ? 3 : count() < 200000 ? 1.5 : 0.7;
    return Math.min(7, base * Math.sqrt(zoom)) * (devicePixelRatio || 1);
  };
  function scale() { // pixels of the canvas for a whole width of the map
    const margin = 24 * (devicePixelRatio || 1);
    const across = canvas.width - 2 * margin, down = canvas.height - 2 * margin;
    return Math.max(1, Math.min(across, down / Math.max(aspect, 1e-6))) * zoom;
  }
  const toX = (value, size) => (value / 65535 - centre[0]) * size + canvas.width / 2;
  const toY = (value, size) => canvas.height / 2 - (value / 65535 - centre[1]) * size * aspect;

  function draw() {
    waiting = false;
    const width = canvas.width, height = canvas.height, size = scale();
    if (!width || !height) return;
    const picture = pen.createImageData(width, height), pixels = new Uint32Array(picture.data.buffer);
    const r = radius(), offsets = [];
    for (let y = -Math.ceil(r); y <= r; y++) for (let x = -Math.ceil(r); x <= r; x++)
      if (x * x + y * y <= r * r + 0.3) offsets.push([x, y]);
    const paint = (i) => {
      const x = Math.round(toX(places[2 * i], size)), y = Math.round(toY(places[2 * i + 1], size));
      if (x < -r || y < -r || x > width + r || y > height + r) return;
      for (const [dx, dy] of offsets) {
        const at = x + dx, line = y + dy;
        if (at >= 0 && at < width && line >= 0 && line < height) pixels[line * width + at] = colours[i];
      }
    };
    for (let i = count() - 1; i >= 0; i--) if (!shown || shown[i]) paint(i);
    pen.putImageData(picture, 0, 0);
    const ink = getComputedStyle(canvas).color;
    for (const i of marked) ring(i, size, r + 3, ink, 1.5);
    if (selected >= 0) { ring(selected, size, r + 5, ink, 3); ring(selected, size, r + 9, ink, 1); }
  }
  function ring(i, size, r, ink, width) {
    pen.beginPath();
    pen.arc(toX(places[2 * i], size), toY(places[2 * i + 1], size), r, 0, 2 * Math.PI);
    pen.strokeStyle = ink; pen.lineWidth = width; pen.stroke();
  }
  function redraw() { if (!waiting) { waiting = true; requestAnimationFrame(draw); } }
  function fit() {
    const ratio = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    canvas.width = Math.round(box.width * ratio); canvas.height = Math.round(box.height * ratio);
    redraw();
  }
  function nearest(event, reach) {
    const ratio = devicePixelRatio || 1, size = scale();
    const x = event.offsetX * ratio, y = event.offsetY * ratio;
    let best = -1, least = (reach * ratio) ** 2;
    for (let i = 0; i < count(); i++) {
      if (shown && !shown[i]) continue;
      const dx = toX(places[2 * i], size) - x, dy = toY(places[2 * i + 1], size) - y;
      const far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }
  function next(key) { // the point that lies nearest in the direction of an arrow key
    const from = selected >= 0 ? [places[2 * selected], places[2 * selected + 1]] : [32767, 32767];
    const [ux, uy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[key];
    let best = -1, least = Infinity;
    for (let i = 0; i < count(); i++) {
      if (i === selected || (shown && !shown[i])) continue;
      const dx = places[2 * i] - from[0], dy = (places[2 * i + 1] - from[1]) * aspect;
      const along = dx * ux + dy * uy, aside = Math.abs(dx * uy - dy * ux);
      if (along <= 0 || aside > 2 * along) continue;
      const cost = along + 2 * aside;
      if (cost < least) { least = cost; best = i; }
    }
    return best;
  }
  function zoomBy(factor, x, y) {
    const size = scale(), ratio = devicePixelRatio || 1;
    const px = x === undefined ? 0 : (x * ratio - canvas.width / 2) / size;
    const py = y === undefined ? 0 : (canvas.height / 2 - y * ratio) / (size * aspect);
    const wanted = Math.min(400, Math.max(0.5, zoom * factor)), gain = 1 - zoom / wanted;
    centre = [centre[0] + px * gain, centre[1] + py * gain];
    zoom = wanted; redraw();
  }
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = {x: event.clientX, y: event.clientY, moved: 0};
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) { if (count() <= 200000) events.hover(nearest(event, 10)); return; }
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y, ratio = devicePixelRatio || 1;
    drag = {x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(dx) + Math.abs(dy)};
    if (drag.moved < 5) return;
    centre = [centre[0] - dx * ratio / scale(), centre[1] + dy * ratio / (scale() * aspect)];
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && drag.moved < 5) { const i = nearest(event, 12); if (i >= 0) events.pick(i); }
    drag = null;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
  }, {passive: false});
  canvas.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) { const i = next(event.key); if (i >= 0) events.pick(i); }
    else if (event.key === "+" || event.key === "=") zoomBy(1.4);
    else if (event.key === "-") zoomBy(1 / 1.4);
    else if (event.key === "0") { zoom = 1; centre = [0.5, 0.5]; redraw(); }
    else if (event.key === "Enter") events.read();
    else return;
    event.preventDefault();
  });
  addEventListener("resize", fit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return {
    show(newPlaces, newAspect) {
      places = newPlaces; aspect = newAspect; colours = new Uint32Array(count()).fill(0xff888888);
      selected = -1; marked = []; shown = null; zoom = 1; centre = [0.5, 0.5]; fit();
    },
    colour(values) { colours = values; redraw(); },
    only(flags) { shown = flags; redraw(); },
    mark(list) { marked = list.slice(0, 2000); redraw(); },
    select(i) { selected = i; redraw(); },
    position(i) { // in pixels of the page, for tests and for readers of the map
      const ratio = devicePixelRatio || 1, size = scale();
      return [toX(places[2 * i], size) / ratio, toY(places[2 * i + 1], size) / ratio];
    },
  };
}
