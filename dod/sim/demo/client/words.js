// Every word of the page, Chinese before English.
const WORDS = {
  tagline: ["演示", "demo"], language: ["English", "中文"],
  languageLong: ["Switch to English", "切换到中文"],
  skip: ["跳到输入框", "Skip to the message box"],
  chats: ["会话", "Chats"], panel: ["试验台", "Lab"], panelShow: ["打开试验台", "Open the lab"], panelHide: ["收起试验台", "Close the lab"],
  whose: ["{name}的钉钉", "{name}'s DingTalk"], as: ["{name}在看", "seen by {name}"], window: ["{name}：{title}", "{name}: {title}"],
  simulated: ["模拟", "simulated"], real: ["真的", "real"], dingtalk: ["钉钉", "DingTalk"],
  calls: ["{n} 次调用", "{n} calls", "1 call"], asked: ["{n} 次提问", "{n} questions", "1 question"],
  processing: ["处理中", "Processing"], typing: ["输入中", "Typing"], finished: ["已完成", "Finished"], failed: ["失败", "Failed"],
  previewProcessing: ["[处理中…]", "[processing…]"], previewTyping: ["[正在输入…]", "[typing…]"],
  placeholder: ["发消息，Enter 发送", "Message; Enter sends"],
  placeholderGroup: ["@机器人 提问，Enter 发送", "@ a bot to ask it"],
  message: ["给“{title}”的消息", "Message to {title}"], hints: ["可以这样问", "You could ask"],
  placeholderShort: ["发消息", "Message"],
  placeholderVoice: ["说的话（钉钉识别成的文字）", "What is spoken, as DingTalk hears it"],
  aPicture: ["图片", "picture"], aFile: ["文件", "file"], aVoice: ["语音", "voice"], recognised: ["语音，由钉钉转成文字", "Voice, put into words by DingTalk"],
  addPicture: ["发图片", "Send a picture"], addFile: ["发图片或文件", "Send a picture or a file"], speak: ["发语音", "Send a voice message"], remove: ["去掉", "Remove"],
  tooLarge: ["文件最大 {n} MB。", "At most {n} MB."], isEmpty: ["这个文件是空的。", "The file is empty."], noFiles: ["群里只能发图片：机器人收不到文件。", "Only pictures in a group: bots get no files there."],
  stopIt: ["停止", "Stop"], like: ["有用", "Good answer"], dislike: ["没用", "Bad answer"], quoteIt: ["引用", "Quote"],
  send: ["发送", "Send"], back: ["返回会话列表", "Back to the chats"], close: ["关闭", "Close"],
  emptySingle: ["和 {name} 说点什么吧", "Say something to {name}"],
  emptyGroup: ["群里用 @ 叫机器人；不 @ 的话机器人收不到", "In a group, @ a bot; what has no @ never reaches it"],
  members: ["{n} 人，{bots} 个机器人", "{n} people, {bots} bots"],
  undelivered: ["未送达：机器人当时没有连接", "Not delivered: the bot was not connected"],
  spent: ["{n} 次调用 · {seconds} 秒", "{n} calls · {seconds} s", "1 call · {seconds} s"],
  answered: ["{bot} 回答：{text}", "{bot} answered: {text}"],
  unread: ["{n} 条未读", "{n} unread"],
  // the lab
  scenes: ["看看热闹", "Make it busy"],
  together: ["三人同时提问", "Three at once"], queue: ["一人连问三句", "Three in a row"],
  trouble: ["出点状况", "Make trouble"], mishap: ["{side}：{what}", "{side}: {what}"],
  toldIntro: ["按一个按钮，看机器人怎么应付。没有回答在写时，会先替李雷问一句。", "Press one and watch the bot cope. If no answer is being written, Li Lei asks something first."],
  stop: ["结束", "End it"], left: ["还有 {n} 秒", "{n} s left"], untilNext: ["等下一个提问", "until the next question"], over: ["已结束", "over"],
  sinceThen: ["从按下到现在，模拟器数到：", "Counted by the simulators since then:"],
  countCalls: ["调用", "calls", "call"], countRefused: ["被拒或没有应答", "refused or unanswered"], countReconnects: ["重新连接", "reconnects", "reconnect"],
  countAgain: ["重复投递", "delivered again"], countAsked: ["问 Dify", "questions to Dify", "question to Dify"],
  noDify: ["Dify 是真的，这里不让它出状况。", "Dify is a real one: it is left alone."],
  // bots.yaml and the bots
  file: ["机器人配置 bots.yaml", "The bots: bots.yaml"], yaml: ["查看文件（只读，密钥已遮住）", "Show the file (read-only, secrets hidden)"],
  edit: ["用任何编辑器改它、保存，结果就在这里。", "Change it in any editor and save: the result is shown here."],
  bots: ["机器人", "Bots"],
  perAnswer: ["回答 {n} 次 · 调用 {calls} 次 · 平均 {mean}", "{n} answers · {calls} calls · {mean} each", "1 answer · {calls} calls"],
  noAnswers: ["还没有回答", "No answers yet"],
  atWork: ["正在回答 {n}", "answering {n}"], inQueue: ["排队 {n}", "waiting {n}"],
  botsNote: ["调用数由模拟的钉钉统计；真实组织默认每月 5000 次。", "Counted by the simulated DingTalk. A real organisation has 5,000 calls a month by default."],
  unlisted: ["不在 bots.yaml 里", "not in bots.yaml"], untaken: ["尚未生效", "not taken yet"],
  elsewhere: ["这里不运行", "not run here"],
  held: ["{holder} 正在使用数据文件夹（另一个 dod）；它结束之前，这里不运行机器人。", "Another dod ({holder}) uses the data folder: no bots run here until it ends."],
  read: ["第 {n} 次读取，{time}", "read no. {n}, {time}"],
  generation: ["第 {n} 版配置", "configuration no. {n}"],
  old: ["仍按旧配置运行；新写的没有采用", "runs with its old configuration; the new one is not applied"],
  notStarted: ["没有启动", "not started"], because: ["见上面的问题", "see the problems above"], disabled: ["已停用", "disabled"],
  nameless: ["第 {n} 个机器人", "Bot no. {n}"], instead: ["改成：", "Write: "],
  down: ["dod run 没有应答", "dod run does not answer"],
  gone: ["与演示程序的连接断开了，正在重连…", "The connection to the demo is lost; trying again…"],
  notSent: ["没有发出去：", "Not sent: "],
  note: ["钉钉和 Dify 都是本机模拟的，中间的 dod 是真的。", "DingTalk and Dify are simulated on this machine; the dod between them is real."],
  noteDify: ["钉钉是本机模拟的；dod 和 Dify 是真的。", "DingTalk is simulated on this machine; dod and Dify are real."],
  keys: ["快捷键：Enter 发送，Shift+Enter 换行，Alt+1/2/3 换窗口，Alt+↑/↓ 换会话，Alt+0 试验台，Esc 返回", "Keys: Enter sends, Shift+Enter breaks the line, Alt+1/2/3 changes the window, Alt+↑/↓ the chat, Alt+0 the lab, Esc goes back"],
};
const STATES = {
  starting: ["启动中", "starting", "warn"], connecting: ["连接中", "connecting", "warn"], connected: ["已连接", "connected", "good"],
  retrying: ["重试中", "retrying", "warn"], bad_credentials: ["凭证错误", "bad credentials", "bad"], draining: ["收尾中", "draining", "warn"],
  stopped: ["已停止", "stopped", "bad"], dead: ["已崩溃", "dead", "bad"],
};
const VERDICTS = {
  accepted: ["已全部采用", "All of it is applied", "good"],
  partly: ["只采用了一部分；改好下面的错误，保存即可", "Only a part is applied; correct what is below and save", "warn"],
  rejected: ["有错误，没有采用；正在运行的机器人不受影响，改好保存即可", "Not applied; the bots that run go on. Correct it and save", "bad"],
  waiting: ["文件不存在或是空的；正在运行的机器人不受影响", "Missing or empty; the bots that run go on", "warn"],
};
// What can go wrong → its button, and what the bot does about it.
const MISHAPS = {
  slow: [["变慢", "有多少显示多少，不干等；更新间隔自动拉长：慢了四倍，调用只多几次。"],
    ["slow", "What is there is shown as it comes. Updates grow sparser by themselves: four times as slow costs only a few calls more."]],
  fails: [["中途出错", "已经写出的文字留着，卡片收尾，并用一句人话说明原因。"],
    ["fails halfway", "What was written stays, and the card ends with the reason in plain words."]],
  down: [["打不开", "卡片上会说 Dify 暂时接不了，最多等 45 秒；一恢复就接着回答，恢复不了就直说。"],
    ["down", "The card says that Dify cannot take the question yet, for up to 45 s. When it is back the answer comes; else the card says so."]],
  throttle: [["限流", "每个接口每秒只许 1 次。被拒就停一秒，攒下的文字合成一次更新，最后一版一定补上。"],
    ["throttles", "One call a second to each API. Refused, the bot pauses for a second and sends what has gathered as one update; the last one always lands."]],
  cut: [["断线", "一两秒内自动重连；正在写的回答接着写，不受影响。"],
    ["cuts the line", "It reconnects within a second or two. Answers being written go on all the same."]],
  offline: [["离线", "不停重连，间隔逐渐拉长；没写完的卡片等钉钉回来后补完。"],
    ["offline", "It keeps reconnecting, ever more patiently, and completes its cards once DingTalk is back."]],
  twice: [["重复投递", "同一条消息送了三次：只问一次 Dify，只回答一次。"],
    ["delivers thrice", "The same message comes three times: Dify is asked once, and there is one answer."]],
  kill: [["kill -9", "进程当场消失，随即重启：没写完的卡片不会一直转圈，而是说明服务重启过。"],
    ["kill -9", "The process is gone at once and started again. No card is left spinning: it says that the service was restarted."]],
};
const SIDES = { dify: ["Dify", "Dify"], dingtalk: ["钉钉", "DingTalk"], dod: ["dod", "dod"] };
const HINTS = [["你好", "Hello"], ["年假怎么算？", "How much leave do I have?"], ["写一段代码", "Write some code"], ["怎么报销？", "How do I claim expenses?"], ["画一张图", "Draw a chart"], ["写一篇长文", "Write something long"], ["/help", "/help"]];

let tongue = (navigator.language || "zh").toLowerCase().startsWith("zh") ? 0 : 1;
try {
  const kept = localStorage.getItem("dod-demo-language");
  if (kept === "0" || kept === "1") tongue = Number(kept);
} catch { /* storage is off */ }
// A third word is the English singular, for ``n`` 1.
function say(key, values = {}) {
  const words = WORDS[key];
  return ((tongue && values.n === 1 && words[2]) || words[tongue]).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
// "李雷 Li Lei" → what its reader calls that person.
function short(name) {
  const [first, ...rest] = name.split(" ");
  return tongue && rest.length ? rest.join(" ") : first;
}
