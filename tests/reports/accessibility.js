// What is wrong with a page for those who do not see it or use no mouse; an empty list is good.
const problems = [];
const say = (what, element) => problems.push(`${what}: ${element.outerHTML.slice(0, 80)}`);
const name = (element) =>
  (element.getAttribute("aria-label") || element.textContent || element.alt || "").trim();
const all = (selector) => [...document.querySelectorAll(selector)];
all("a, button, summary").filter((e) => !name(e)).forEach((e) => say("no name", e));
all("svg, img")
  .filter((e) => !e.getAttribute("aria-label") && !e.getAttribute("alt"))
  .forEach((e) => say("no text for a picture", e));
all("input").filter((e) => !e.labels.length).forEach((e) => say("no label", e));
all("table").filter((e) => !e.querySelector("th[scope]")).forEach((e) => say("no header cell", e));
all(".scroll")
  .filter((e) => e.tabIndex !== 0 || !e.getAttribute("aria-label"))
  .forEach((e) => say("scrolling region without keyboard or name", e));
all("[aria-labelledby]")
  .filter((e) => !document.getElementById(e.getAttribute("aria-labelledby")))
  .forEach((e) => say("label points nowhere", e));
const ids = all("[id]").map((e) => e.id);
if (new Set(ids).size !== ids.length) problems.push("ids repeat");
let level = 0;
for (const heading of all("h1, h2, h3, h4")) {
  if (+heading.tagName[1] > level + 1) say("heading skips a level", heading);
  level = +heading.tagName[1];
}
if (document.documentElement.lang !== "en" || !document.title) problems.push("no language, no title");
return problems;
