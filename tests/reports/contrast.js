// The worst contrast of any visible text with its ground (WCAG 2.2), and where it is.
const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = (colour) => {
  const [r, g, b] = numbers(colour).slice(0, 3).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor, parts = numbers(colour);
    if (parts.length < 4 || parts[3] > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const texts = "p, td, th, dt, dd, a, span, h1, h2, summary, caption, figcaption, button, li, code";
let worst = [99, ""];
for (const element of document.querySelectorAll(texts)) {
  if (!element.innerText || !element.offsetParent || element.disabled) continue;
  const pair = [luminance(getComputedStyle(element).color), luminance(ground(element))];
  const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 100)];
}
return worst;
