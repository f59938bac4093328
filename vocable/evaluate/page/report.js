"use strict";
document.documentElement.classList.add("js");
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const isText = head.dataset.kind === "text";
    button.addEventListener("click", () => {
      const reversed = { ascending: "descending", descending: "ascending" }[head.getAttribute("aria-sort")];
      const order = reversed || head.dataset.first || "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [left, right] = [a, b].map((row) => row.cells[at].dataset.v || "");
        if (left === "" || right === "") return (left === "") - (right === "");
        return sign * (isText ? left.localeCompare(right, "en", { numeric: true }) : left - right);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
for (const choice of document.querySelectorAll(".choice")) {
  const panels = [...choice.children];
  const label = document.createElement("label"), select = document.createElement("select");
  label.append(choice.dataset.label, " ", select);
  panels.forEach((panel) => {
    panel.classList.add("chosen");
    select.add(new Option(panel.querySelector("summary").textContent));
  });
  const show = () => panels.forEach((panel, at) => {
    panel.hidden = at !== select.selectedIndex;
    panel.open = !panel.hidden;
  });
  select.addEventListener("change", show);
  show();
  choice.prepend(label);
}
for (const again of document.querySelectorAll(".again")) {
  const player = again.querySelector("audio");
  player.src = document.getElementById(player.dataset.same).src;
  player.hidden = false;
  again.querySelector("a").hidden = true;
}
const showMore = (box) => {
  box.nextElementSibling.hidden = box.scrollLeft + box.clientWidth >= box.scrollWidth - 2;
};
const widths = new ResizeObserver((entries) => entries.forEach((entry) => showMore(entry.target)));
for (const box of document.querySelectorAll(".wide")) {
  widths.observe(box);
  box.addEventListener("scroll", () => showMore(box), { passive: true });
}
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
