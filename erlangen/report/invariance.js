"use strict";
{
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const number = document.querySelector("#number");
  const keys = all(".toolbar .key");

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    made.className = kind;
    return made;
  };

  const sweeps = all(".sweep").filter((section) => section.querySelector("input")).map((section) => ({
    section,
    slider: section.querySelector("input"),
    output: section.querySelector("output"),
    frame: section.querySelector(".frame"),
    data: JSON.parse(section.querySelector("script").textContent),
  }));

  const frameTile = ({ slider, frame }) => {
    if (!frame) return;
    const tiles = Number(slider.max) + 1;
    const left = Number(slider.value) / tiles;
    frame.style.left = `${100 * left}%`;
    frame.style.width = `${100 / tiles}%`;
    frame.hidden = false;
    const strip = frame.closest(".strip"); // which may be wider than the page
    strip.scrollLeft = left * frame.parentElement.offsetWidth - strip.clientWidth / 2;
  };

  const say = ({ slider, output, data }) => {
    const value = data.values[slider.value];
    const read = data.numbers[number.value] ?? [];
    slider.setAttribute("aria-valuetext", value);
    const told = read.flatMap((said, encoder) => {
      if (!said) return [];
      const one = element("span", "", "told");
      one.append(keys[encoder].cloneNode(true), element("b", said[slider.value], ""));
      return [one, " "];
    });
    output.replaceChildren(element("strong", value, ""), " ", ...told);
  };

  const move = (sweep) => {
    const { section, slider, data } = sweep;
    const x = data.x[slider.value];
    for (const cursor of all(".cursor", section)) {
      cursor.setAttribute("visibility", x === null ? "hidden" : "visible");
      cursor.setAttribute("transform", `translate(${x ?? 0} 0)`);
    }
    for (const sign of all("use.on", section)) sign.classList.remove("on");
    for (const sign of all(`use[data-i="${slider.value}"]`, section)) sign.classList.add("on");
    frameTile(sweep);
    say(sweep);
  };

  const choose = () => {
    for (const part of all("[data-number]")) part.hidden = part.dataset.number !== number.value;
    sweeps.forEach(say);
    reach();
  };

  const reach = () => { // by keyboard, what has to be scrolled
    for (const part of all(".scroll")) {
      if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  };

  for (const control of all(".control, .choice")) control.hidden = false;
  for (const sweep of sweeps) {
    sweep.slider.addEventListener("input", () => move(sweep));
    sweep.frame?.parentElement.addEventListener("click", (event) => {
      const tiles = event.currentTarget.getBoundingClientRect();
      const tile = Math.floor(((event.clientX - tiles.left) / tiles.width) * (Number(sweep.slider.max) + 1));
      sweep.slider.value = tile;
      move(sweep);
    });
    move(sweep);
  }
  number?.addEventListener("change", choose);
  addEventListener("resize", reach);
  reach();
  addEventListener("beforeprint", () => all("details").forEach((part) => (part.open = true)));
}
