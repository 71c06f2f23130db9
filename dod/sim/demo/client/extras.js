// What a bubble has besides its text: what it answers, what was sent with it, the buttons of a card.
function quotedOf(item) {
  const quoted = item.quote && world.items.get(item.quote);
  return quoted ? [element("div", "quoted", `${authorOf(quoted)}: ${summary(quoted).slice(0, 120)}`)] : [];
}
function sentWith(item) {
  if (!item.file) return [];
  const node = element("a", item.file.picture ? "sent" : "document");
  node.href = `file/${item.n}`;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  if (item.file.picture) {
    const image = element("img", "picture");
    image.alt = item.file.name;
    image.src = `file/${item.n}`;
    node.append(image);
  } else node.append(icon("file"), element("span", "", element("b", "", item.file.name), element("small", "", weight(item.file.size))));
  return [node];
}
function fillSaid(bubble, item) {
  const words = item.voice ? [element("span", "voice", icon("mic"), element("small", "", say("recognised"))), item.text] : [item.text];
  const text = element("div", "words", ...words);
  bubble.replaceChildren(...quotedOf(item), ...sentWith(item), ...(item.text && item.kind === "said" ? [text] : []));
}
const BUTTONS = { stop: "stopIt", like: "like", dislike: "dislike" };
// The nodes of buttons stay the same nodes while their state changes.
class CardButtons {
  constructor(window_, item) {
    this.window = window_;
    this.number = item.n;
    this.notice = element("span", "notice");
    this.notice.setAttribute("role", "status");
    this.quote = quoteButton(window_, item);
    this.nodes = {};
    for (const name of Object.keys(BUTTONS)) {
      this.nodes[name] = button(`press ${name}`, () => this.press(name), icon(name));
      this.nodes[name].dataset.press = name;
    }
    this.node = element("div", "buttons", ...Object.values(this.nodes), this.notice);
  }
  show(item) {
    const mine = item.private[this.window.person] || {};
    for (const [name, node] of Object.entries(this.nodes)) {
      node.hidden = !item.buttons.includes(name);
      mark(node, "aria-label", say(BUTTONS[name]));
      node.title = say(BUTTONS[name]);
      if (name === "stop") { if (!node.querySelector("span")) node.append(element("span")); write(node.querySelector("span"), say("stopIt")); }
      else mark(node, "aria-pressed", mine.rating === name);
    }
    write(this.notice, mine.notice || "");
    this.quote.hidden = active(item);
    this.node.hidden = !item.buttons.length;
  }
  async press(action) {
    complain(await post("api/button", { item: this.number, person: this.window.person, action }));
  }
}
function quoteButton(window_, item) {
  const node = button("quote", () => window_.answer(item.n), icon("quote"));
  node.setAttribute("aria-label", say("quoteIt"));
  node.title = say("quoteIt");
  return node;
}
