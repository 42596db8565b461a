"use strict";
document.querySelectorAll(".compare input").forEach(function (input) {
  input.addEventListener("input", function () {
    input.parentElement.style.setProperty("--at", input.value + "%");
  });
});
document.querySelectorAll(".summary tbody").forEach(function (body) {
  const reach = function (row) {
    if (!row) { return; }
    // Tab enters the table at one row only, the last one that had the focus.
    body.querySelectorAll("tr[tabindex='0']").forEach(function (other) { other.tabIndex = -1; });
    row.tabIndex = 0;
    row.focus();
  };
  Array.from(body.rows).forEach(function (row, index) {
    row.tabIndex = index ? -1 : 0;
    // The row stands for the link.
    row.querySelector("a").tabIndex = -1;
  });
  body.addEventListener("keydown", function (event) {
    const row = event.target.closest("tr");
    const aims = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: body.rows[0], End: body.rows[body.rows.length - 1] };
    if (event.key === "Enter") {
      row.querySelector("a").click();
    } else if (event.key in aims) {
      event.preventDefault();
      reach(aims[event.key]);
    }
  });
  body.addEventListener("click", function (event) {
    const link = event.target.closest("tr").querySelector("a");
    if (event.target !== link) { link.click(); }
  });
});
document.querySelectorAll(".summary button").forEach(function (button) {
  button.addEventListener("click", function () {
    const heading = button.parentElement;
    const column = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    const key = function (row) { return row.cells[column].dataset.value; };
    const rows = Array.from(body.rows);
    rows.sort(function (a, b) {
      const x = key(a), y = key(b);
      // What has no value stays at the end, whichever way the others go.
      if (x === "" || y === "") { return (x === "") - (y === ""); }
      const order = heading.classList.contains("number") ? Number(x) - Number(y) : x.localeCompare(y, undefined, { numeric: true });
      return ascending ? order : -order;
    });
    heading.parentElement.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    rows.forEach(function (row) { body.appendChild(row); });
  });
});
// Paper has nothing to open.
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details:not([open])").forEach(function (one) { one.open = true; one.dataset.closed = ""; });
});
window.addEventListener("afterprint", function () {
  document.querySelectorAll("details[data-closed]").forEach(function (one) { one.open = false; delete one.dataset.closed; });
});
