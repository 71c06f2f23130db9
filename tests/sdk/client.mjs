// A bot on the official Node SDK; run by test_node_sdk as a process of its own.
// The SDK has no setting for its endpoint, so its axios is led elsewhere (it is npm's one copy).
import { randomUUID } from "node:crypto";
import axios from "axios";
import { DWClient, TOPIC_ROBOT } from "dingtalk-stream";

const { DINGTALK_OPENAPI_ENDPOINT: endpoint, BOT_TEMPLATE: template } = process.env;
const clientId = process.env.BOT_CLIENT_ID;
axios.interceptors.request.use((config) => ({
  ...config,
  url: config.url.replace(/^https:\/\/o?api\.dingtalk\.com/, endpoint),
  proxy: false,
}));

const client = new DWClient({
  clientId,
  clientSecret: process.env.BOT_CLIENT_SECRET,
  keepAlive: true,
});

async function call(method, path, data) {
  const token = await client.getAccessToken();
  const headers = { "x-acs-dingtalk-access-token": token };
  return axios({ method, url: `https://api.dingtalk.com${path}`, data, headers });
}

async function typeOnCard(message) {
  const outTrackId = randomUUID();
  await call("POST", "/v1.0/card/instances", {
    cardTemplateId: template,
    outTrackId,
    cardData: { cardParamMap: { content: "" } },
    callbackType: "STREAM",
    imGroupOpenSpaceModel: { supportForward: true },
    imRobotOpenSpaceModel: { supportForward: true },
  });
  const space =
    message.conversationType === "2"
      ? {
          openSpaceId: `dtv1.card//IM_GROUP.${message.conversationId}`,
          imGroupOpenDeliverModel: { robotCode: clientId },
        }
      : {
          openSpaceId: `dtv1.card//IM_ROBOT.${message.senderStaffId}`,
          imRobotOpenDeliverModel: { spaceType: "IM_ROBOT" },
        };
  await call("POST", "/v1.0/card/instances/deliver", { outTrackId, userIdType: 1, ...space });
  const texts = ["one", "one two", "one two three"];
  for (const content of texts) {
    await call("PUT", "/v1.0/card/streaming", {
      outTrackId,
      guid: randomUUID(),
      key: "content",
      content,
      isFull: true,
      isFinalize: content === texts.at(-1),
    });
  }
}

client.registerCallbackListener(TOPIC_ROBOT, async (frame) => {
  client.socketCallBackResponse(frame.headers.messageId, null);
  const message = JSON.parse(frame.data);
  const text = message.text.content.trim();
  if (text === "webhook") {
    const reply = { msgtype: "text", text: { content: `heard: ${text}` } };
    await axios.post(message.sessionWebhook, reply);
  } else if (text === "card") {
    await typeOnCard(message);
  }
});
await client.connect();
