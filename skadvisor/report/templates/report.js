"use strict";
(() => {
  const root = document.documentElement;
  const tip = document.getElementById("tip");

  const remembered = (() => { try { return localStorage.getItem("skadvisor-theme"); } catch { return null; } })();
  if (remembered === "dark" || remembered === "light") root.dataset.theme = remembered;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("skadvisor-theme", root.dataset.theme); } catch { /* a page from a file may not store */ }
  });
  document.getElementById("print").addEventListener("click", () => window.print());
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));

  let shownAt = 0;
  const showTip = (hot, x, y) => {
    shownAt = scrollY;
    tip.textContent = hot.dataset.tip;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 18) + "px";
  };
  const hideTip = () => { tip.hidden = true; };
  const hotAt = (target) => (target instanceof Element ? target.closest("[data-tip]") : null);
  document.addEventListener("pointermove", (event) => {
    const hot = hotAt(event.target);
    if (hot) showTip(hot, event.clientX, event.clientY); else hideTip();
  });
  document.addEventListener("pointerdown", (event) => {
    const hot = hotAt(event.target);
    if (hot) showTip(hot, event.clientX, event.clientY);
  });
  // The event of a scroll comes a frame late: what was shown after it stays.
  addEventListener("scroll", () => { if (Math.abs(scrollY - shownAt) > 2) hideTip(); }, { passive: true });

  const collator = new Intl.Collator(root.lang, { numeric: true });
  const compare = (one, other) => {
    const numbers = [Number(one), Number(other)];
    return numbers.some(Number.isNaN) ? collator.compare(one, other) : numbers[0] - numbers[1];
  };
  const sortTable = (heading) => {
    const table = heading.closest("table");
    const place = heading.cellIndex;
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const direction = heading.getAttribute("aria-sort") === first ? second : first;
    table.querySelectorAll("th").forEach((one) => one.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [left, right] = [one.cells[place].dataset.value, other.cells[place].dataset.value];
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      return sign * compare(left, right);
    });
    table.tBodies[0].append(...rows);
  };
  document.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => sortTable(button.parentElement));
  });

  document.querySelectorAll(".filter").forEach((input) => {
    const rows = [...input.nextElementSibling.querySelectorAll("tbody tr")];
    input.addEventListener("input", () => {
      const wished = input.value.trim().toLowerCase();
      rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wished); });
    });
  });

  document.querySelectorAll(".copy").forEach((button) => {
    button.addEventListener("click", async () => {
      const code = button.closest(".code").querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        // Pages from a file may have no clipboard; the selection can still be copied.
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      const said = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  });

  const fitLetters = (drawing) => {
    drawing.querySelectorAll(".letters").forEach((letters) => {
      letters.classList.remove("quiet");
    });
    const tooLong = [...drawing.querySelectorAll(".letters")].filter((letters) => {
      const room = letters.parentElement.getBoundingClientRect().width || Number(letters.parentElement.width.baseVal.value);
      const own = letters.parentElement.width.baseVal.value;
      return letters.getComputedTextLength() + 10 > Math.min(own, Math.max(room, own));
    });
    tooLong.forEach((letters) => letters.classList.add("quiet"));
  };
  const fitAll = () => document.querySelectorAll(".drawing").forEach(fitLetters);
  fitAll();
  addEventListener("resize", fitAll);
  addEventListener("beforeprint", fitAll);

  document.querySelectorAll(".timeline").forEach((figure) => {
    const scroll = figure.querySelector(".scroll");
    const drawing = figure.querySelector(".zoomed");
    let zoom = 1;
    const setZoom = (wished, x) => {
      const next = Math.max(1, Math.min(wished, 64));
      const anchor = x === undefined ? scroll.clientWidth / 2 : x;
      const place = (scroll.scrollLeft + anchor) / zoom;
      zoom = next;
      drawing.style.width = zoom * 100 + "%";
      scroll.scrollLeft = place * zoom - anchor;
      fitLetters(drawing);
    };
    figure.querySelectorAll("[data-zoom]").forEach((button) => {
      button.addEventListener("click", () => setZoom({ in: zoom * 2, out: zoom / 2, fit: 1 }[button.dataset.zoom]));
    });
    scroll.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      setZoom(zoom * (event.deltaY < 0 ? 1.3 : 1 / 1.3), event.clientX - scroll.getBoundingClientRect().left);
    }, { passive: false });
    scroll.addEventListener("dblclick", (event) => setZoom(zoom * 2, event.clientX - scroll.getBoundingClientRect().left));
    scroll.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "-") setZoom(event.key === "+" ? zoom * 2 : zoom / 2);
    });
  });

  // Arrow keys walk the marks of a picture; the tip is a live region, so that screen readers say the values.
  document.querySelectorAll(".walk").forEach((walk) => {
    const marks = [...walk.querySelectorAll(walk.dataset.marks || ".hot")];
    let held = -1;
    walk.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") hideTip();
      if (!step || !marks.length) return;
      event.preventDefault();
      marks[held]?.classList.remove("held");
      held = held < 0 && step < 0 ? marks.length - 1 : (held + step + marks.length) % marks.length;
      marks[held].classList.add("held");
      const mark = marks[held].getBoundingClientRect();
      walk.scrollLeft += mark.left - walk.getBoundingClientRect().left - walk.clientWidth / 2;
      const now = marks[held].getBoundingClientRect();
      showTip(marks[held], now.left, now.bottom - 12);
    });
    walk.addEventListener("blur", () => { marks[held]?.classList.remove("held"); hideTip(); });
  });
})();
