// The list of chats, by person: whose screen one would be looking at.
const seen = new Map();   // "person chat" → number of the last item that person has seen
const entries = new Map();   // "person chat" → the nodes of one line

function showList() {
  const list = byId("list");
  mark(list, "aria-label", say("chats"));
  entries.clear();
  list.replaceChildren(...world.people.map((person) => {
    const title = element("h2", "", personFace(person.id, "tiny"), say("whose", { name: short(person.nick) }));
    title.id = `of-${person.id}`;
    const group = element("section", "", title, ...chatsOf(person.id).map((chat) => entry(person.id, chat)));
    group.setAttribute("aria-labelledby", title.id);
    return group;
  }));
  updateList();
}
function entry(person, chat) {
  const line = { person, chat, last: element("span", "last"), when: element("span", "at"), unread: element("span", "unread") };
  line.node = button("chat", () => open(person, chat.id), chatFace(chat),
    element("span", "words", element("span", "name", chat.title), line.when, line.last, line.unread));
  line.node.dataset.chat = chat.id;
  line.node.dataset.person = person;
  entries.set(`${person} ${chat.id}`, line);
  return line.node;
}
function updateList() {
  for (const [key, line] of entries) {
    const items = inChat(line.chat.id);
    const shown = windows.find((one) => one.inView() && one.person === line.person && one.chat === line.chat.id);
    if (shown) seen.set(key, items.length ? items[items.length - 1].n : 0);
    const unread = items.filter((item) => item.n > (seen.get(key) || 0) && item.person !== line.person).length;
    const last = items[items.length - 1];
    write(line.last, last ? preview(last, line) : "");
    line.last.hidden = !last;
    line.last.classList.toggle("live", items.some(active));
    write(line.when, last ? clock(last.at) : "");
    write(line.unread, unread ? String(unread) : "");
    line.unread.hidden = !unread;
    mark(line.unread, "aria-label", say("unread", { n: unread }));
    mark(line.node, "aria-current", Boolean(shown));
    line.node.classList.toggle("focused", Boolean(shown) && shown === windows[front]);
  }
}
function preview(last, { person, chat }) {
  if (active(last)) return say(last.state === "typing" ? "previewTyping" : "previewProcessing");
  const who = chat.kind === "group" && last.person !== person ? `${short(last.kind === "said" ? last.nick : bot(last.bot)?.name || "")}: ` : "";
  return who + summary(last).slice(0, 60);
}
