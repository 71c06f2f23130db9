// Markdown, straight to DOM nodes.
// Text only ever becomes text nodes: nothing here can be read as HTML, whatever an answer says.
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>[ \t]?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)(.*)$/;
const DELIMITERS = /^ *\|?(?: *:?-+:? *\|)+(?: *:?-+:?)? *$/;
const INLINE = new RegExp([
  /\\([!-/:-@[-`{-~])/,                                            // 1 escaped
  /(`+)(?!`)(.{1,2000}?)(?<!`)\2(?!`)/,                             // 2, 3 code
  /(!?)\[((?:[^[\]\\]|\\.){0,1000})\]\(\s*<?((?:[^\s()<>]|\([^\s()<>]*\)){1,2000})>?(?:\s+"[^"]{0,500}")?\s*\)/, // 4 mark of a picture, 5, 6 link
  /<(https?:\/\/[^\s<>]{1,2000})>/,                                 // 7
  /(https?:\/\/[^\s<>"'`|，。；！？、）】》」]{1,2000})/,               // 8
  /\*\*(?=\S)(.{0,2000}?[^\s*]\*?)\*\*(?!\*)/,                      // 9 bold
  /(?<!\w)__(?=\S)(.{0,2000}?\S)__(?!\w)/,                          // 10
  /~~(?=\S)(.{0,2000}?\S)~~/,                                       // 11 struck out
  /\*(?=[^\s*])(.{0,2000}?[^\s*])\*(?!\*)/,                         // 12 italic
  /(?<!\w)_(?=[^\s_])(.{0,2000}?[^\s_])_(?!\w)/,                    // 13
  /<([bB][rR])[ \t]*\/?>\n?/,                                         // 14 with the newline behind it: one break
  /&(lt|gt|amp|quot|nbsp|#\d{1,7}|#[xX][\da-fA-F]{1,6});/,           // 15
  /<\/?([fF][oO][nN][tT])(?:[ \t][^<>]{0,200})?>/,                     // 16 colours are left out
].map((one) => one.source).join("|"), "gs");
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: "\"", nbsp: "\u00a0" };
function entity(name) {
  if (!name.startsWith("#")) return ENTITIES[name];
  const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
}

function link(url, content) {
  if (!/^https?:\/\/[^\s]/i.test(url)) return element("span", "", ...content);
  const node = element("a", "", ...content);
  node.href = url;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  return node;
}
// What a bot uploaded, by its mediaId. The page loads nothing from anywhere else: those are links.
function picture(mediaId, alt) {
  const node = element("img", "picture");
  node.alt = alt;
  node.addEventListener("error", () => node.replaceWith(element("span", "lost", alt || mediaId)));
  node.src = `media/${encodeURIComponent(mediaId)}`;
  return node;
}
function inline(text, depth = 0) {
  if (depth > 5) return [text];
  const nodes = [];
  let last = 0;
  const deeper = (part) => inline(part, depth + 1);
  for (const match of text.matchAll(INLINE)) {
    if (match.index > last) nodes.push(...plain(text.slice(last, match.index)));
    let [whole] = match;
    if (match[1]) nodes.push(match[1]);
    else if (match[2]) nodes.push(element("code", "", match[3].replace(/^ (.*[^ ].*) $/s, "$1")));
    else if (match[4] && match[6].startsWith("@")) nodes.push(picture(match[6], match[5]));
    else if (match[6]) nodes.push(link(match[6], deeper(match[5] || match[6])));
    else if (match[7]) nodes.push(link(match[7], [match[7]]));
    else if (match[8]) {
      const url = match[8].replace(/[.,;:!?)*_~]+$/, "");
      nodes.push(link(url, [url]), whole.slice(url.length));
    } else if (match[9] || match[10]) nodes.push(element("strong", "", ...deeper(match[9] || match[10])));
    else if (match[11]) nodes.push(element("del", "", ...deeper(match[11])));
    else if (match[12] || match[13]) nodes.push(element("em", "", ...deeper(match[12] || match[13])));
    else if (match[14]) nodes.push(element("br"));
    else if (match[15]) nodes.push(entity(match[15]));
    last = match.index + whole.length;
  }
  if (last < text.length) nodes.push(...plain(text.slice(last)));
  return nodes;
}
function plain(text) {  // a line break of the text is one for the eye
  return text.split("\n").flatMap((line, number) => {
    const words = line.replace(/[ \t]+$/, number < text.split("\n").length - 1 ? "" : "$&");
    return number ? [document.createElement("br"), words] : [words];
  });
}
const indent = (line) => line.length - line.trimStart().length;
function dedent(line, width) { return line.slice(Math.min(width, indent(line))); }
function cells(line) {
  const parts = [];
  let cell = "", code = false;
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === "\\" && line[at + 1] === "|") { cell += "|"; at += 1; }
    else if (line[at] === "|" && !code) { parts.push(cell); cell = ""; }
    else { if (line[at] === "`") code = !code; cell += line[at]; }
  }
  parts.push(cell);
  if (!parts[0].trim()) parts.shift();
  if (parts.length && !parts[parts.length - 1].trim()) parts.pop();
  return parts.map((part) => part.trim());
}
function isTable(lines, at) {
  return lines[at].includes("|") && at + 1 < lines.length && DELIMITERS.test(lines[at + 1]);
}
function starts(lines, at) {  // a block that ends a paragraph
  const line = lines[at];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line) || isTable(lines, at);
}
function blocks(lines, depth = 0) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    let match;
    if (!line.trim()) at += 1;
    else if ((match = FENCE.exec(line))) {
      const end = new RegExp(`^ {0,3}${match[1][0]}{${match[1].length},}[ \\t]*$`);
      const code = [];
      const width = indent(line);
      for (at += 1; at < lines.length && !end.test(lines[at]); at += 1) code.push(dedent(lines[at], width));
      at += 1;
      const inner = element("code", "", code.join("\n"));
      if (match[2]) inner.dataset.language = match[2];
      nodes.push(element("pre", "", inner));
    } else if ((match = HEADING.exec(line))) {
      nodes.push(element(`h${match[1].length}`, "", ...inline(match[2] || "")));
      at += 1;
    } else if (RULE.test(line)) {
      nodes.push(element("hr"));
      at += 1;
    } else if (QUOTE.test(line) && depth < 6) {
      const inner = [];
      while (at < lines.length && lines[at].trim() && (QUOTE.test(lines[at]) || !starts(lines, at))) {
        inner.push(lines[at].replace(QUOTE, ""));
        at += 1;
      }
      nodes.push(element("blockquote", "", ...blocks(inner, depth + 1)));
    } else if (isTable(lines, at)) {
      const sides = cells(lines[at + 1]).map((one) => (one.endsWith(":") ? (one.startsWith(":") ? "centre" : "right") : ""));
      const head = cells(lines[at]);
      const rows = [];
      for (at += 2; at < lines.length && lines[at].trim() && lines[at].includes("|"); at += 1) rows.push(cells(lines[at]));
      const row = (name, texts) => element("tr", "", ...head.map((_, n) => element(name, sides[n], ...inline(texts[n] || ""))));
      nodes.push(element("div", "scroll", element("table", "",
        element("thead", "", row("th", head)), element("tbody", "", ...rows.map((texts) => row("td", texts))))));
    } else if (ITEM.test(line) && depth < 6) {
      const [list, next] = listOf(lines, at, depth);
      nodes.push(list);
      at = next;
    } else {
      const text = [lines[at].trimStart()];
      for (at += 1; at < lines.length && lines[at].trim() && !starts(lines, at); at += 1) text.push(lines[at].trimStart());
      nodes.push(element("p", "", ...inline(text.join("\n"))));
    }
  }
  return nodes;
}
function listOf(lines, at, depth) {
  const [, lead, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const same = (line) => {
    const match = ITEM.exec(line);
    return match && !RULE.test(line) && match[1].length < lead.length + 2 && /\d/.test(match[2]) === ordered && match;
  };
  const list = element(ordered ? "ol" : "ul");
  if (ordered && parseInt(mark, 10) !== 1) list.start = parseInt(mark, 10);
  let match;
  while (at < lines.length && (match = same(lines[at]))) {
    const own = match[1].length;
    const width = own + match[2].length + Math.max(match[3].length, 1);
    const inner = [match[4]];
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const blank = !line.trim();
      const deeper = indent(line) >= own + 2;
      const lazy = lines[at - 1].trim() && !starts(lines, at);
      const goesOn = blank ? at + 1 < lines.length && indent(lines[at + 1]) >= own + 2 && lines[at + 1].trim() : deeper || lazy;
      if (!goesOn) break;
      inner.push(dedent(line, width));
    }
    list.append(element("li", "", ...blocks(inner, depth + 1)));
    if (at + 1 < lines.length && !lines[at].trim() && same(lines[at + 1])) at += 1;
  }
  return [list, at];
}
function markdown(text) { return blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n")); }
