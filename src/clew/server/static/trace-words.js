// @ts-check
// Times and figures in words, as the server's pages say them, and elements with text in them.

const UNITS = [[864e5, "d"], [36e5, "h"], [6e4, "min"], [1e3, "s"]];

/** `340 ms`, `2.1 s`, `3 min 10 s`. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return ms > 0 ? `${ms.toFixed(2)} ms` : "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 6e4) return `${(ms / 1000).toFixed(1)} s`;
  const parts = [];
  let left = ms;
  for (const [size, unit] of UNITS) {
    if (left < size) continue;
    parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return parts.slice(0, 2).join(" ");
}

/** `950`, `12.4k`, `3.1M`. */
export function short(number) {
  for (const [least, size, unit] of [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]]) {
    if (number >= least) return `${(number / size).toFixed(1).replace(/\.0$/, "")}${unit}`;
  }
  return exact(number);
}

/** `12,400`. */
export function exact(number) {
  return Math.round(number).toLocaleString("en-US");
}

/** `$0.0042`, `$1.27`. */
export function dollars(cost) {
  if (cost === null || cost === undefined) return "–";
  return `$${cost >= 0.1 || cost === 0 ? cost.toFixed(2) : cost.toFixed(4)}`;
}

/** `14:03:09.120`, in the reader's own zone. */
export function clock(ms) {
  const at = new Date(ms);
  const two = (number) => `${number}`.padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** What went in, of a row's tokens: new, from the cache and into it. */
export function given(tokens) {
  return tokens.input + tokens.read + tokens.write;
}

/** An element with a class and children: texts stay texts. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A list of names and values. */
export function pairs(entries) {
  const list = element("dl", "trace-pairs");
  for (const [name, value] of entries) {
    list.append(element("dt", "", name), element("dd", "", value));
  }
  return list;
}
