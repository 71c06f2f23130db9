const HALF_LINK = /!?\[[^\]\n]{0,300}(\]\([^)\n]{0,3000})?$/;   // while it is typed: not shown yet
// One chat as one person sees it. Up to three stand side by side and live at the same time.
class ChatWindow {
  constructor(number) {
    this.number = number;
    this.person = "";
    this.chat = "";
    this.views = new Map();   // number of an item → what shows it
    this.said = "";   // the last message, for the arrow key
    this.face = element("span", "place");
    this.title = element("div", "title");
    this.subtitle = element("div", "subtitle");
    this.whose = element("span", "whose");
    this.log = element("div", "log");
    this.log.tabIndex = 0;
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-live", "off");   // streaming text would be read again and again: see announce
    this.hints = element("div", "hints");
    this.hints.setAttribute("role", "group");
    this.wrong = element("div", "wrong");
    this.wrong.setAttribute("role", "alert");
    this.wrong.hidden = true;
    this.box = element("textarea");
    Object.assign(this.box, { rows: 1, maxLength: 6000, autocomplete: "off", enterKeyHint: "send" });
    this.sender = element("button", "send");
    this.sender.type = "submit";
    this.back = button("back", () => leave(), "‹");
    this.more = button("more", () => go("panel"), "⋯");
    this.along = new Along(() => this.grow(), (wrong) => this.tell(wrong));
    this.form = element("form", "", this.along.adder, this.along.speaker, this.box, this.sender, this.along.input);
    this.node = element("section", "window", element("header", "", this.back, this.face,
      element("div", "words", this.title, this.subtitle), this.whose, this.more), this.log,
      element("footer", "", this.hints, this.wrong, this.along.tray, this.form));
    this.listen();
  }
  listen() {
    this.node.addEventListener("focusin", () => bringToFront(this.number));
    this.node.addEventListener("pointerdown", () => bringToFront(this.number));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.box.addEventListener("input", () => this.grow());
    acceptFiles(this.node, this.along);
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" && !event.altKey && !this.box.value && this.said) { event.preventDefault(); this.put(this.said); return; }
      // 229: Safari ends the composition before it tells of the Enter that chose the word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.send();
    });
  }
  inView() { return this.number < room() && (!narrow() || byId("app").dataset.view === "chat"); }

  // -- all of it
  show(person = this.person, chat = this.chat) {
    const other = person !== this.person || chat !== this.chat;
    this.person = person;
    this.chat = chat;
    if (other) { this.box.value = ""; this.wrong.hidden = true; this.along.drop(); }
    const here = chatOf(chat);
    this.clear();
    if (!here) return;
    this.node.dataset.person = person;
    this.node.dataset.kind = here.kind;
    this.face.replaceChildren(chatFace(here));
    this.whose.replaceChildren(personFace(person, "tiny"), element("span", "", short(nick(person))));
    mark(this.more, "aria-label", say("panelShow"));
    this.whose.title = say("as", { name: nick(person) });
    mark(this.node, "aria-label", say("window", { name: short(nick(person)), title: here.title }));
    mark(this.back, "aria-label", say("back"));
    mark(this.box, "aria-label", say("message", { title: here.title }));
    mark(this.hints, "aria-label", say("hints"));
    this.along.show(here.kind === "group");
    write(this.sender, say("send"));
    this.showTop();
    this.showHints(here);
    const items = inChat(chat);
    if (!items.length) this.log.append(element("div", "empty", chatFace(here, "big"),
      element("p", "", say(here.kind === "group" ? "emptyGroup" : "emptySingle", { name: here.title }))));
    for (const item of items) this.add(item, true);
    this.toEnd();
  }
  clear() {
    for (const view of this.views.values()) clearTimeout(view.timer);
    this.views.clear();
    this.log.replaceChildren();
  }
  showTop() {
    const here = chatOf(this.chat);
    if (!here) return;
    write(this.title, here.title);
    const old = here.kind === "single" && inStatus(bot(here.bot)?.name)?.verdict === "running_old";
    const [words, mood] = here.kind === "group" ? [say("members", { n: here.people.length, bots: listed().length }), ""] : stateOf(here.bot);
    write(this.subtitle, old ? `${words} · ${say("old")}` : words);
    this.subtitle.className = `subtitle ${mood}`;
  }
  showHints(here) {
    const group = here.kind === "group";
    this.hints.replaceChildren(
      ...(group ? listed() : []).map((one) => button("hint at", () => this.put(this.to(this.box.value.trimStart(), one.name)), `@${one.name}`)),
      ...HINTS.map((words) => button("hint", () => {
        const named = group && listed().find((one) => this.box.value.includes(`@${one.name}`));
        this.put(group ? this.to(words[tongue], (named || listed()[0])?.name) : words[tongue]);
      }, words[tongue])));
  }
  to(text, name) { return !name || text.includes(`@${name}`) ? text : `@${name} ${text}`; }
  put(text) {
    this.box.value = text;
    this.grow();
    this.box.focus();
  }
  grow() {
    this.box.style.height = "auto";
    if (this.box.value) this.box.style.height = `${this.box.scrollHeight + 2}px`;
    this.sender.disabled = !this.box.value.trim() && !this.along.some;
    this.box.placeholder = say(this.along.voice ? "placeholderVoice" : narrow() ? "placeholderShort" : this.along.group ? "placeholderGroup" : "placeholder");
  }
  tell(wrong) {
    this.wrong.hidden = !wrong;
    write(this.wrong, wrong);
  }
  answer(number) {
    this.along.quote = number;
    this.along.show();
    this.box.focus();
  }
  async send() {
    const text = this.box.value.trim();
    if ((!text && !this.along.some) || !this.chat) return;
    const { chat, person } = this;
    const { file, quote, voice } = this.along;
    const bodies = this.along.bodies(text);
    this.box.value = "";
    this.said = text || this.said;
    this.along.drop();
    this.along.show();
    let wrong = "";
    for (const body of bodies) wrong = wrong || await post("api/say", { chat, person, ...body });
    if (this.chat !== chat) { complain(wrong && say("notSent") + wrong); return; }
    this.tell(wrong && say("notSent") + wrong);
    if (wrong && !this.box.value) {
      this.box.value = text;
      Object.assign(this.along, { file, quote, voice });
      this.along.show();
    }
  }
  // A question that reaches a bot from here, for the buttons of the lab.
  ask(words) {
    const here = chatOf(this.chat);
    if (!here) return "";
    const first = listed()[this.number % Math.max(1, listed().length)]?.name;
    return post("api/say", { chat: this.chat, person: this.person, text: here.kind === "group" ? this.to(words, first) : words });
  }

  // -- bubbles
  nearEnd() { return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 120; }
  toEnd() { this.log.scrollTop = this.log.scrollHeight; }
  take(items) {
    const follow = this.nearEnd();
    let own = false;
    for (const item of items.filter((one) => one.chat === this.chat)) {
      if (this.views.has(item.n)) this.update(this.views.get(item.n), item);
      else { this.add(item, item.kind !== "card"); own = own || item.person === this.person; }
    }
    if (follow || own) this.toEnd();
  }
  add(item, whole) {
    this.log.querySelector(".empty")?.remove();
    const mine = item.kind === "said" && item.person === this.person;
    const view = { item, shown: 0, timer: 0, bubble: element("div", "bubble"), trouble: element("div", "undelivered") };
    const body = element("div", "body");
    view.row = element("div", `row ${item.kind}${mine ? " mine" : ""}`, item.kind === "said" ? personFace(item.person) : botFace(item.bot), body);
    view.row.dataset.n = item.n;
    if (chatOf(this.chat).kind === "group" && !mine) body.append(element("div", "who", item.kind === "said" ? short(item.nick) : bot(item.bot)?.name || ""));
    body.append(view.bubble, view.trouble);
    if (item.kind !== "card") view.row.append(quoteButton(this, item));
    if (item.kind === "card") {
      view.label = element("span", "label");
      view.spent = element("span", "spent");
      view.text = element("div", "text md");
      view.buttons = new CardButtons(this, item);
      view.bubble.append(element("div", "state", element("i"), view.label, view.spent, view.buttons.quote), view.text, view.buttons.node);
    } else if (item.file || item.kind === "said") {
      fillSaid(view.bubble, item);
    } else if (item.kind === "reply" && item.markdown) {
      view.bubble.classList.add("md");
      view.bubble.append(...markdown(item.text));
    } else view.bubble.textContent = item.text;
    const before = inChat(this.chat).filter((other) => other.n < item.n).pop();
    if (!before || item.at - before.at > 300000) this.log.append(element("div", "when", clock(item.at)));
    this.log.append(view.row);
    this.views.set(item.n, view);
    this.update(view, item, whole);
    if (item.kind === "reply" && !whole) announce(item);
  }
  update(view, item, whole = false) {
    const before = view.item.state;
    view.item = item;
    write(view.trouble, item.kind === "said" && !item.delivered ? say("undelivered") : "");
    view.trouble.hidden = !view.trouble.textContent;
    if (item.kind !== "card") return;
    view.buttons.show(item);
    mark(view.row, "data-state", item.state);
    mark(view.row, "aria-busy", active(item));
    write(view.label, say(item.state));
    write(view.spent, say("spent", { n: item.calls, seconds: item.seconds }));
    if (before !== item.state && !active(item) && this.inView()) announce(item);
    if (whole || matchMedia("(prefers-reduced-motion: reduce)").matches) { view.shown = item.text.length; this.render(view); } else this.reveal(view);
  }
  render(view) {
    const { text } = view.item;
    const whole = view.shown >= text.length;
    // Never half a character: an emoji is two units. Forward, or a short text would stand still.
    if (!whole && /[\uD800-\uDBFF]/.test(text[view.shown - 1] || "")) view.shown += 1;
    view.text.replaceChildren(...markdown(whole ? text : text.slice(0, view.shown).replace(HALF_LINK, "")));
    view.row.dataset.whole = String(whole);
    view.drawn = text;
  }
  // DingTalk gets a few updates; its client spreads each over the time to the next, and so does this.
  reveal(view) {
    clearTimeout(view.timer);
    const { text, state } = view.item;
    if (view.drawn !== undefined && !text.startsWith(view.drawn.slice(0, view.shown))) {
      let same = 0;
      while (same < text.length && text[same] === view.drawn[same]) same += 1;
      view.shown = Math.min(view.shown, same);
    }
    const left = text.length - view.shown;
    if (left <= 0) { if (view.drawn !== text || view.row.dataset.whole !== "true") this.render(view); return; }
    const follow = this.nearEnd();
    view.shown += Math.max(1, Math.ceil(left / (state === "typing" ? 14 : 5)));
    this.render(view);
    if (follow) this.toEnd();
    view.timer = setTimeout(() => this.reveal(view), 45);
  }
}
// Screen readers hear an answer once, when it is whole.
function announce(item) {
  byId("announcer").textContent = say("answered", { bot: bot(item.bot)?.name || "", text: plainly(item.text).slice(0, 600) });
}
