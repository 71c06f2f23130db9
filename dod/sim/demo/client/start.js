// Layout, keyboard, and the stream of news that drives everything.
const windows = [0, 1, 2].map((number) => new ChatWindow(number));
let front = 0;   // the window that the list and the keys act on
let fresh = true;
const LEAST = 330;   // pixels of a window

const narrow = () => matchMedia("(max-width: 700px)").matches;
const room = () => (narrow() ? 1 : Math.max(1, Math.min(windows.length, Math.floor(byId("stage").clientWidth / LEAST))));

byId("windows").append(...windows.map((one) => one.node));
function fit() {
  const many = room();
  byId("windows").style.setProperty("--many", many);
  windows.forEach((one, at) => { one.node.hidden = at >= many; });
  if (front >= many) front = 0;
  bringToFront(front);
  for (const one of windows) one.grow();
  if (world.people.length) updateList();
}
function bringToFront(number) {
  front = number;
  windows.forEach((one, at) => one.node.classList.toggle("front", at === number));
  for (const line of entries.values()) line.node.classList.toggle("focused", line.person === windows[front].person && line.chat.id === windows[front].chat && room() > 1);
}
function open(person, chat) {
  const shown = windows.findIndex((one) => one.number < room() && one.person === person && one.chat === chat);
  if (shown >= 0) bringToFront(shown);
  else windows[front].show(person, chat);
  go("chat");
  updateList();
  if (!narrow()) windows[front].box.focus();
  else windows[front].toEnd();
}

// On a phone there is one thing at a time, and its own "back" works.
function go(view) {
  const before = byId("app").dataset.view;
  byId("app").dataset.view = view;
  if (view === "panel") byId("app").dataset.panel = "open";
  for (const [id, name] of [["tab-chats", "chats"], ["tab-panel", "panel"]]) mark(byId(id), "aria-current", view === name);
  if (narrow() && before !== view && view !== "chats") {
    if (history.state?.view) history.replaceState({ view }, "");
    else history.pushState({ view }, "");
  }
  if (view === "chat") windows[front].toEnd();
  if (world.people.length) updateList();
}
function leave() {
  if (history.state?.view) history.back();
  else go("chats");
}
addEventListener("popstate", (event) => go(event.state?.view || "chats"));

function showPanel(open) {
  byId("app").dataset.panel = open ? "open" : "closed";
  mark(byId("panel-button"), "aria-expanded", open);
  mark(byId("panel-button"), "aria-label", say(open ? "panelHide" : "panelShow"));
  fit();
}
function showWords() {
  document.documentElement.lang = tongue ? "en" : "zh-CN";
  document.title = `dod ${say("tagline")}`;
  for (const [id, key] of [["tagline", "tagline"], ["language", "language"], ["skip", "skip"], ["scenes-title", "scenes"],
    ["trouble-title", "trouble"], ["file-title", "file"], ["yaml-title", "yaml"], ["bots-title", "bots"], ["bots-note", "botsNote"],
    ["keys", "keys"], ["panel-button", "panel"], ["tab-chats", "chats"], ["tab-panel", "panel"]]) write(byId(id), say(key));
  mark(byId("language"), "aria-label", say("languageLong"));
  mark(byId("panel"), "aria-label", say("panel"));
  showPanel(byId("app").dataset.panel === "open");
}
function showAll() {
  showWords();
  showList();
  for (const one of windows) one.show();
  showBehind();
}
function showBehind() { showLab(); showFlow(); showFile(); showBots(); }

// Whom the windows show at first: everybody somewhere, and the group in the second one.
function place() {
  windows.forEach((one, at) => {
    const person = world.people[at % Math.max(1, world.people.length)];
    if (!person || (one.chat && chatsOf(one.person).some((chat) => chat.id === one.chat))) return;
    const chats = chatsOf(person.id);
    const singles = chats.filter((chat) => chat.kind === "single");
    const chat = at === 1 ? chats.find((other) => other.kind === "group") : singles[at ? 1 : 0] || singles[0] || chats[0];
    one.person = person.id;
    one.chat = (chat || chats[0])?.id || "";
  });
}
function take(news) {
  const { items = [], version, ...sections } = news;
  const places = () => JSON.stringify([world.people, world.chats, listed().map((one) => [one.id, one.name])]);
  const before = places();
  Object.assign(world, sections);
  for (const item of items) world.items.set(item.n, item);
  const moved = before !== places();
  place();
  if (fresh || moved) { fresh = false; showAll(); return; }
  for (const one of windows) { one.take(items); if (sections.status !== undefined) one.showTop(); }
  updateList();
  showBehind();
}
const source = new EventSource("api/events");
source.addEventListener("world", (event) => {   // at first, and after every lost connection
  const news = JSON.parse(event.data);
  if (news.run !== world.run) { seen.clear(); for (const one of windows) one.chat = ""; }
  world.items.clear();
  fresh = true;
  take(news);
});
source.addEventListener("news", (event) => take(JSON.parse(event.data)));
source.onopen = () => { byId("gone").hidden = true; };
source.onerror = () => { byId("gone").hidden = false; write(byId("gone"), say("gone")); };

byId("language").addEventListener("click", () => {
  tongue = 1 - tongue;
  try { localStorage.setItem("dod-demo-language", String(tongue)); } catch { /* storage is off */ }
  showAll();
});
byId("panel-button").addEventListener("click", () => {
  if (narrow()) go("panel");
  else showPanel(byId("app").dataset.panel !== "open");
});
byId("tab-chats").addEventListener("click", () => leave());
byId("tab-panel").addEventListener("click", () => go("panel"));
byId("skip").addEventListener("click", () => { go("chat"); windows[front].box.focus(); });
new ResizeObserver(fit).observe(byId("stage"));

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (narrow()) leave();
    else if (matchMedia("(max-width: 1100px)").matches) showPanel(false);
    return;
  }
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  const number = /^Digit([0-3])$/.exec(event.code)?.[1];
  if (number === "0") { go("panel"); showPanel(true); byId("trouble").querySelector("button")?.focus(); }
  else if (number && Number(number) <= room()) { go("chat"); bringToFront(number - 1); windows[front].box.focus(); }
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const all = [...entries.values()];
    const at = all.findIndex((line) => line.person === windows[front].person && line.chat.id === windows[front].chat);
    const next = all[(at + (event.key === "ArrowUp" ? all.length - 1 : 1)) % all.length];
    if (next) open(next.person, next.chat.id);
  } else return;
  event.preventDefault();
});
if (matchMedia("(max-width: 1100px)").matches) byId("app").dataset.panel = "closed";
for (const one of windows) one.grow();
showWords();
go("chats");
