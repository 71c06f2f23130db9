// What goes along with a message: a picture or a file, a voice instead of letters, what it answers.
const LARGEST = 5 << 20;   // bytes
const PICTURES = "image/png,image/jpeg,image/gif,image/bmp";
const DRAWN = {
  plus: "M12 5v14M5 12h14", mic: "M12 4a3 3 0 0 1 3 3v4a3 3 0 0 1-6 0V7a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v3",
  quote: "M10 8 5 12l5 4M5 12h9a5 5 0 0 1 5 5v1", file: "M7 3h7l4 4v14H7zM14 3v4h4", stop: "M8 8h8v8H8z",
  like: "M7 11v8H4v-8zM7 11l4-7c2 0 2 1 2 3l-1 3h6c2 0 2 1 2 2l-2 6c0 1-1 1-2 1H7",
  dislike: "M7 13V5H4v8zM7 13l4 7c2 0 2-1 2-3l-1-3h6c2 0 2-1 2-2l-2-6c0-1-1-1-2-1H7",
};
function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "icon");
  path.setAttribute("d", DRAWN[name]);
  drawing.append(path);
  return drawing;
}
const weight = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
// One line that stands for an item: in the list, in a quote.
function summary(item) {
  if (item.file) return `[${say(item.file.picture ? "aPicture" : "aFile")}] ${item.file.picture ? item.text : item.file.name}`.trim();
  return (item.voice ? `[${say("aVoice")}] ` : "") + plainly(item.text);
}
const authorOf = (item) => (item.kind === "said" ? short(item.nick) : bot(item.bot)?.name || "");

class Along {
  constructor(changed, complain) {
    this.changed = changed;
    this.complain = complain;
    this.group = false;
    this.input = element("input");
    this.input.type = "file";
    this.input.hidden = true;
    this.input.addEventListener("change", () => { this.take(this.input.files[0]); this.input.value = ""; });
    this.adder = button("tool add", () => this.input.click(), icon("plus"));
    this.speaker = button("tool speak", () => { this.voice = !this.voice; this.show(); }, icon("mic"));
    this.tray = element("div", "tray");
    this.drop();
  }
  drop() {
    this.file = null;
    this.quote = 0;
    this.voice = false;
  }
  get some() { return Boolean(this.file); }
  // Groups have no files and no voices for bots.
  show(group = this.group) {
    this.group = group;
    if (group) this.voice = false;
    this.input.accept = group ? PICTURES : "";
    this.speaker.hidden = group;
    mark(this.adder, "aria-label", say(group ? "addPicture" : "addFile"));
    this.adder.title = say(group ? "addPicture" : "addFile");
    mark(this.speaker, "aria-label", say("speak"));
    this.speaker.title = say("speak");
    mark(this.speaker, "aria-pressed", this.voice);
    const quoted = world.items.get(this.quote);
    this.tray.replaceChildren(
      ...(quoted ? [this.entry(icon("quote"), `${authorOf(quoted)}: ${summary(quoted)}`, () => { this.quote = 0; })] : []),
      ...(this.file ? [this.entry(this.thumb(), `${this.file.name} · ${weight(this.file.size)}`, () => { this.file = null; })] : []));
    this.tray.hidden = !this.tray.firstChild;
    this.changed();
  }
  thumb() {
    if (!this.file.picture) return icon("file");
    const node = element("img");
    node.alt = "";
    node.src = this.file.url;
    return node;
  }
  entry(mark_, words, undo) {
    const remove = button("remove", () => { undo(); this.show(); }, "×");
    remove.setAttribute("aria-label", say("remove"));
    return element("div", "along", mark_, element("span", "", words), remove);
  }
  take(file) {
    if (!file) return;
    const picture = PICTURES.split(",").includes(file.type);
    if (file.size > LARGEST || !file.size) { this.complain(say(file.size ? "tooLarge" : "isEmpty", { n: LARGEST >> 20 })); return; }
    if (this.group && !picture) { this.complain(say("noFiles")); return; }
    const reader = new FileReader();
    reader.addEventListener("error", () => this.complain(String(reader.error)));
    reader.addEventListener("load", () => {
      const url = reader.result;
      this.file = { name: file.name || "picture.png", size: file.size, picture, url, data: url.slice(url.indexOf(",") + 1) };
      this.complain("");
      this.show();
    });
    reader.readAsDataURL(file);
  }
  // What to post. A file and a text are two messages in DingTalk; a picture may stand in the text.
  bodies(text) {
    const { file, voice, quote } = this;
    const sent = file && { name: file.name, data: file.data };
    if (file && !file.picture && text) return [{ text: "", file: sent }, { text, quote }];
    return [{ text, quote, ...(sent ? { file: sent } : {}), ...(voice ? { voice } : {}) }];
  }
}
// Paste and drop, wherever in a window.
function acceptFiles(node, along) {
  const carried = (data) => [...(data?.files || [])][0];
  node.addEventListener("paste", (event) => {
    const file = carried(event.clipboardData);
    if (file) { event.preventDefault(); along.take(file); }
  });
  node.addEventListener("dragover", (event) => { event.preventDefault(); node.classList.add("over"); });
  node.addEventListener("dragleave", (event) => { if (!node.contains(event.relatedTarget)) node.classList.remove("over"); });
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    node.classList.remove("over");
    along.take(carried(event.dataTransfer));
  });
}
