// What stands behind the chats: the file, its verdict, the bots; and who talks to whom.
function showFlow() {
  const { counts, trouble } = world;
  const side = troubled() ? trouble.offered.find((one) => one.name === trouble.name)?.side : "";
  const busy = [...world.items.values()].some(active);
  const node = (name, note, kind) => element("span", `node ${note} ${kind}`, name, element("small", "", say(note)));
  const edge = (text, kind) => element("span", `edge ${kind}${busy ? " busy" : ""}`, element("small", "", text));
  const shape = JSON.stringify([tongue, counts, side, busy, world.dify, Boolean(world.status?.ready)]);
  if (showFlow.shape === shape) return;
  showFlow.shape = shape;
  const calls = counts?.calls || 0, asked = counts?.asked;
  const note = say(world.dify ? "noteDify" : "note");
  mark(byId("flow"), "aria-label", note);
  mark(byId("flow"), "title", note);
  write(byId("note"), note);
  byId("flow").replaceChildren(
    node(say("dingtalk"), "simulated", ""), edge(say("calls", { n: calls }), side === "dingtalk" ? "bad" : ""),
    node("dod", "real", world.status?.ready ? "good" : "bad"),
    edge(typeof asked === "number" ? say("asked", { n: asked }) : "", side === "dify" ? "bad" : ""),
    node("Dify", world.dify ? "real" : "simulated", ""));
}

function showFile() {
  write(byId("path"), world.config?.file || "");
  const config = world.status?.config;
  const [zh, en, mood] = VERDICTS[config?.verdict] || ["", "", ""];
  const verdict = [element("div", mood || "bad", world.status ? [zh, en][tongue] : say("down"))];
  if (config?.loaded_at) verdict.push(element("div", "small", say("read", { n: config.loads, time: clock(config.loaded_at, true) })));
  verdict.push(element("div", "small", say("edit")));
  const holder = heldBy();
  const store = holder ? say("held", { holder }) : world.status?.store;
  const problems = config?.problems || [];
  const worst = !world.status || store || config?.verdict === "rejected" ? "bad" : problems.length ? "warn" : "";
  byId("app").dataset.mood = worst;
  const shape = JSON.stringify([tongue, verdict.map((one) => one.textContent), store, problems, world.config?.marks]);
  if (showFile.shape !== shape) {   // read out only when it says something new
    showFile.shape = shape;
    byId("verdict").replaceChildren(...verdict);
    byId("problems").replaceChildren(...(store ? [element("div", "problem error", store)] : []), ...problems.map(problemBox));
  }
  showText(problems);
}
function problemBox(problem) {
  const box = element("div", `problem ${problem.severity}`,
    element("div", "where", element("code", "", `${problem.file}:${problem.line}:${problem.column}`), ...(problem.bot ? [` ${problem.bot}`] : [])));
  const found = world.config?.marks?.find((one) => one.file === problem.file && one.line === problem.line && one.column === problem.column);
  if (found?.source) box.append(sourceLine(found));
  box.append(element("div", "", problem.message[tongue ? "en" : "zh"]));
  if (problem.fix) box.append(element("div", "fix", say("instead"), element("code", "", problem.fix)));
  return box;
}
// The caret stands below its character in any font: what is before it is there, and unseen.
function sourceLine({ line, source, caret }) {
  const number = `${line} │ `;
  const unseen = element("span", "hidden", source.slice(0, caret));
  unseen.setAttribute("aria-hidden", "true");
  const pre = element("pre", "source", element("span", "gutter", number), source, "\n",
    element("span", "gutter", `${" ".repeat(String(line).length)} │ `), unseen, element("span", "caret", "^"));
  pre.tabIndex = 0;
  return pre;
}
function showText(problems) {
  const { lines = [], file = "" } = world.config || {};
  const wrong = problems.filter((one) => file.endsWith(`/${one.file}`)).map((one) => one.line);
  const shape = JSON.stringify([lines, wrong]);
  if (showText.shape === shape) return;
  showText.shape = shape;
  byId("yaml-text").replaceChildren(...lines.map((line, at) => {
    const comment = /^\s*#/.test(line);
    return element("span", `line${wrong.includes(at + 1) ? " wrong" : ""}${comment ? " comment" : ""}`,
      element("span", "gutter", String(at + 1).padStart(String(lines.length).length)), `${line}\n`);
  }));
}

function showBots() {
  const known = world.bots.filter((one) => one.listed || one.answers || inStatus(one.name));
  const unknown = (world.status?.bots || []).filter((one) => !known.some((other) => other.name === one.name));
  const shape = JSON.stringify([tongue, known, unknown, world.status]);
  if (showBots.shape === shape) return;
  showBots.shape = shape;
  byId("bots").replaceChildren(...known.map((one) => botBox(one.name, stateOf(one.id), inStatus(one.name), one)),
    ...unknown.map((one) => botBox(one.name, stateIn(one), one)));
}
function botBox(name, [words, mood], running, counted) {
  const number = /^#(\d+)$/.exec(name)?.[1];
  const box = element("div", "bot", element("div", "name", element("b", "", number ? say("nameless", { n: number }) : name),
    element("span", `pill ${mood}`, words)));
  box.dataset.bot = name;
  if (running?.verdict === "not_started") box.append(element("div", "small", say("because")));
  if (running?.verdict === "running_old") box.append(element("div", "small warn", say("old")));
  const facts = [];
  if (running?.generation) {
    box.dataset.generation = running.generation;
    facts.push(say("generation", { n: running.generation }));
  }
  if (running?.turns?.in_flight) facts.push(say("atWork", { n: running.turns.in_flight }));
  if (running?.turns?.waiting) facts.push(say("inQueue", { n: running.turns.waiting }));
  if (facts.length) box.append(element("div", "small", facts.join(" · ")));
  if (counted) {
    const mean = (counted.calls / (counted.answers || 1)).toFixed(1);
    box.append(element("div", "small", counted.answers ? say("perAnswer", { n: counted.answers, calls: counted.calls, mean }) : say("noAnswers")));
  }
  if (running?.last_error) box.append(element("div", "small bad", running.last_error));
  return box;
}
