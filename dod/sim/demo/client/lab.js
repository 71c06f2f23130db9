// Scenes and mishaps: a button each, what the bot does about it, and what was counted.
const SCENES = {
  together: () => windows.forEach(async (one, at) => complain(await one.ask(HINTS[[1, 3, 2][at]][tongue]))),
  queue: async () => { for (const at of [1, 3, 2]) complain(await windows[front].ask(HINTS[at][tongue])); },
};
// These are seen only on an answer that is being written.
const AMIDST = new Set(["cut", "offline", "kill"]);
const WRITING = 6000;   // milliseconds to wait for the first text

let complaining = 0;
function complain(wrong) {
  if (!wrong) return;
  clearTimeout(complaining);
  byId("gone").hidden = false;
  write(byId("gone"), wrong);
  complaining = setTimeout(() => { byId("gone").hidden = source.readyState === EventSource.OPEN; }, 6000);
}
const nameOf = (name) => say("mishap", { what: MISHAPS[name][tongue][0], side: SIDES[world.trouble.offered.find((one) => one.name === name)?.side || "dod"][tongue] });
const troubled = () => Boolean(world.trouble?.until) && world.trouble.until > Date.now();
const writing = () => windows.slice(0, room()).some((one) => inChat(one.chat).some((item) => item.kind === "card" && item.state === "typing" && item.text.length > 20));

async function press(name) {
  if (troubled() && world.trouble.name === name) { complain(await post("api/trouble", { name: "" })); return; }
  const idle = ![...world.items.values()].some(active);
  if (idle && AMIDST.has(name)) {
    complain(await windows[0].ask(HINTS[1][tongue]));
    const deadline = Date.now() + WRITING;
    while (!writing() && Date.now() < deadline) await new Promise((done) => setTimeout(done, 50));
  }
  complain(await post("api/trouble", { name }));
  // Only text that begins at once is updated often enough to be throttled.
  if (idle && !AMIDST.has(name)) complain(await windows[0].ask(HINTS[name === "throttle" ? 2 : 1][tongue]));
}

function showLab() {
  const offered = world.trouble?.offered || [];
  const shape = JSON.stringify([tongue, offered]);
  if (showLab.shape !== shape) {
    showLab.shape = shape;
    byId("scenes").replaceChildren(...Object.keys(SCENES).map((name) => {
      const one = button("scene", SCENES[name], say(name));
      one.dataset.scene = name;
      return one;
    }));
    const sides = ["dify", "dingtalk", "dod"];
    byId("trouble").replaceChildren(...sides.flatMap((side) => {
      const those = offered.filter((one) => one.side === side);
      const label = element("span", "side", SIDES[side][tongue]);
      const many = element("div", "mishaps", ...those.map(({ name }) => {
        const one = button("mishap", () => press(name), MISHAPS[name][tongue][0]);
        one.title = MISHAPS[name][tongue][1];
        one.dataset.mishap = name;
        return one;
      }));
      if (!those.length) many.append(element("span", "small", say("noDify")));
      return [label, many];
    }));
  }
  showTold();
}
function showTold() {
  const { trouble, counts } = world;
  const name = trouble?.name || "";
  if (!name) showTold.begun = "";
  const on = troubled();
  const seconds = on ? Math.ceil((trouble.until - Date.now()) / 1000) : 0;
  for (const one of byId("trouble").querySelectorAll(".mishap")) {
    mark(one, "aria-pressed", on && one.dataset.mishap === name);
    one.classList.toggle("last", one.dataset.mishap === name);
  }
  const banner = byId("banner");
  banner.hidden = !on;
  const left = name === "fails" ? say("untilNext") : say("left", { n: seconds });
  if (on) {
    write(banner.firstChild || banner.appendChild(element("span")), `${nameOf(name)} · ${left}`);
    const stop = banner.querySelector("button") || banner.appendChild(button("", async () => complain(await post("api/trouble", { name: "" }))));
    write(stop, say("stop"));
  }
  if (!name) { write(byId("told"), say("toldIntro")); return; }
  // Read out once: the numbers and the seconds go on changing.
  if (showTold.begun !== undefined && showTold.begun !== JSON.stringify(trouble.begun)) {
    byId("announcer").textContent = `${nameOf(name)}. ${MISHAPS[name][tongue][1]}`;
  }
  showTold.begun = JSON.stringify(trouble.begun);
  const since = Object.fromEntries(Object.keys(counts || {}).map((key) => [key, (counts[key] || 0) - (trouble.begun[key] || 0)]));
  const shape = JSON.stringify([tongue, name, on, since]);
  if (showTold.shape !== shape) {
    showTold.shape = shape;
    const facts = [["calls", "countCalls"], ["refused", "countRefused"], ["reconnects", "countReconnects"], ["again", "countAgain"],
      ...(typeof counts?.asked === "number" ? [["asked", "countAsked"]] : [])];
    byId("told").replaceChildren(
      element("div", "name", element("b", "", nameOf(name)), element("span", "left")),
      element("p", "", MISHAPS[name][tongue][1]), element("div", "small", say("sinceThen")),
      element("dl", "", ...facts.map(([key, words]) => {
        const fact = element("div", since[key] ? "" : "none", element("dt", "", say(words, { n: since[key] })), element("dd", "", String(since[key])));
        fact.dataset.count = key;
        return fact;
      })));
  }
  write(byId("told").querySelector(".left"), on ? left : say("over"));
}
setInterval(() => { if (world.trouble?.name) { showTold(); showFlow(); } }, 500);
