// What the server tells, and questions to it. One copy for all windows.
const byId = (id) => document.getElementById(id);
function element(name, kind, ...content) {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  node.append(...content);
  return node;
}
function button(kind, act, ...content) {
  const node = element("button", kind, ...content);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}
// Only what differs is written: a node under the pointer or the focus stays the same node.
function write(node, text) { if (node.textContent !== text) node.textContent = text; }
function mark(node, name, value) { if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value); }

const world = { run: "", people: [], chats: [], bots: [], items: new Map(), status: null, config: null, dify: "", counts: null, trouble: null };
const bot = (id) => world.bots.find((one) => one.id === id);
const chatOf = (id) => world.chats.find((one) => one.id === id);
const nick = (id) => world.people.find((one) => one.id === id)?.nick || id;
const inChat = (id) => [...world.items.values()].filter((item) => item.chat === id);
const listed = () => world.bots.filter((one) => one.listed);
const active = (item) => item.kind === "card" && (item.state === "processing" || item.state === "typing");
const chatsOf = (person) => world.chats.filter((chat) => chat.people.includes(person)
  && (chat.kind === "group" || bot(chat.bot)?.listed || inChat(chat.id).length));
const clock = (at, seconds) => new Date(at).toLocaleTimeString(tongue ? "en-GB" : "zh-CN",
  { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hour12: false });
const plainly = (text) => text.replace(/<br\s*\/?>/gi, " ").replace(/&(lt|gt|amp);/g, (_, name) => ENTITIES[name]).replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*`~]+/g, "").replace(/[#>|]+|-{2,}/g, " ").replace(/\s+/g, " ").trim();

async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return answer.ok ? "" : (await answer.text()).trim();
  } catch (error) { return String(error); }
}

// What dod itself says of a bot counts; the file alone only while dod says nothing of it.
const inStatus = (name) => world.status?.bots.find((one) => one.name === name);
const heldBy = () => /in use by (.+); no bots/.exec(world.status?.store || "")?.[1];
function stateOf(id) {
  const known = bot(id);
  if (!known) return ["", ""];
  if (!world.status) return [say("down"), "bad"];
  const running = inStatus(known.name);
  if (running) return stateIn(running);
  if (heldBy()) return [say("elsewhere"), "warn"];
  return [say(known.listed ? "untaken" : "unlisted"), "warn"];
}
function stateIn({ state, verdict }) {
  if (verdict === "not_started") return [say("notStarted"), "bad"];
  if (verdict === "disabled") return [say("disabled"), ""];
  const [zh, en, mood] = STATES[state] || [state, state, ""];
  return [[zh, en][tongue], mood];
}

// A face: the first character on a colour that stays the same.
function face(name, number, kind = "") {
  const node = element("span", `face c${number % 6} ${kind}`, [...name][0] || "?");
  node.setAttribute("aria-hidden", "true");
  return node;
}
const botFace = (id, kind) => face(bot(id)?.name || id, Math.max(world.bots.findIndex((one) => one.id === id), 0), kind);
const personFace = (id, kind = "") => face(nick(id), 3 + Math.max(world.people.findIndex((one) => one.id === id), 0), `person ${kind}`);
const chatFace = (chat, kind = "") => (chat.kind === "group" ? face(chat.title, 0, `group ${kind}`) : botFace(chat.bot, kind));
