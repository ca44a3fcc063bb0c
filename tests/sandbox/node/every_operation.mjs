// Makes every call of the sandbox's REST API with Twilio's Node client, and prints a line for each, such as
// "GET /v1/Services/{}". Arguments: the sandbox's URL, the account's sid and its token.
import twilio from "twilio";

const [sandbox, accountSid, authToken] = process.argv.slice(2);
const service = "MG00000000000000000000000000000001";
const shortCodeSid = "SC00000000000000000000000000000001";
const phone = "+14155550123";

class LocalClient extends twilio.RequestClient {
  async request(options) {
    const url = new URL(options.uri);
    const response = await super.request({ ...options, uri: sandbox + url.pathname + url.search });
    if (response.statusCode < 400) {
      const template = url.pathname.replaceAll(/[A-Z]{2}[0-9a-f]{32}|\+\d+/g, "{}");
      console.log(options.method.toUpperCase(), template);
    }
    return response;
  }
}

const client = twilio(accountSid, authToken, { httpClient: new LocalClient() });

function expect(actual, expected) {
  if (actual !== expected) throw new Error(`${actual} is not ${expected}`);
}

async function account() {
  expect((await client.api.v2010.accounts.list()).length, 1);
  expect((await client.api.v2010.accounts(accountSid).fetch()).authToken, authToken);
}

async function sent(message) {
  let { sid, status } = message;
  while (status === "queued" || status === "accepted") ({ status } = await client.messages(sid).fetch());
  return sid;
}

async function messages() {
  const media = ["https://x.example/a.png"];
  const mms = await sent(await client.messages.create({ to: phone, from: "+14155550100", body: "x", mediaUrl: media }));
  const [picture] = await client.messages(mms).media.list();
  expect((await client.messages(mms).media(picture.sid).fetch()).contentType, "image/png");
  await client.messages(mms).media(picture.sid).remove();
  const sid = await sent(await client.messages.create({ to: phone, messagingServiceSid: service, body: "hello" }));
  expect((await client.messages(sid).update({ body: "" })).body, "");
  expect((await client.messages.list({ to: phone })).length, 2);
  await client.messages(sid).remove();
  let code = 0;
  await client.messages(sid).fetch().catch((error) => (code = error.code));
  expect(code, 20404);
}

async function numbers() {
  const code = await client.shortCodes(shortCodeSid).update({ apiVersion: "2008-08-01" });
  expect(code.apiVersion, "2008-08-01");
  await client.shortCodes(shortCodeSid).fetch();
  expect((await client.shortCodes.list({ shortCode: "12345" })).length, 1);
  const { sid } = await client.incomingPhoneNumbers.create({ phoneNumber: "+13125550111" });
  expect((await client.incomingPhoneNumbers(sid).update({ friendlyName: "Shop" })).friendlyName, "Shop");
  await client.incomingPhoneNumbers(sid).fetch();
  expect((await client.incomingPhoneNumbers.list({ phoneNumber: "+13125550111" })).length, 1);
  return sid;
}

async function services(numberSid) {
  const { sid } = await client.messaging.v1.services.create({ friendlyName: "Other" });
  const pool = client.messaging.v1.services(sid);
  expect((await pool.update({ inboundMethod: "GET" })).inboundMethod, "GET");
  await pool.fetch();
  await client.messaging.v1.services.list({ pageSize: 1 });
  await client.messaging.v1.services(service).shortCodes(shortCodeSid).remove();
  const alpha = await pool.alphaSenders.create({ alphaSender: "My Shop" });
  for (const [list, member] of [
    [pool.phoneNumbers, (await pool.phoneNumbers.create({ phoneNumberSid: numberSid })).sid],
    [pool.shortCodes, (await pool.shortCodes.create({ shortCodeSid })).sid],
    [pool.alphaSenders, alpha.sid],
  ]) {
    expect((await list.list()).length, 1);
    expect((await list(member).fetch()).sid, member);
    await list(member).remove();
  }
  await client.messaging.v1.services(sid).remove();
  await client.incomingPhoneNumbers(numberSid).remove();
}

async function alerts() {
  const [alert] = await client.monitor.v1.alerts.list({ logLevel: "error", limit: 1 });
  expect((await client.monitor.v1.alerts(alert.sid).fetch()).errorCode, alert.errorCode);
}

async function ports() {
  const number = "+13125550155";
  expect((await client.numbers.v1.portingPortabilities(number).fetch()).portable, true);
  const port = await client.numbers.v1.portingPortIns.create({
    documents: ["RD" + "1".repeat(32)],
    phone_numbers: [{ phone_number: number, pin: "1234" }],
    losing_carrier_information: { customer_type: "Business", customer_name: "Acme" },
  });
  const sid = port.portInRequestSid;
  const [{ portInPhoneNumberSid: one }] = (await client.numbers.v1.portingPortIns(sid).fetch()).phoneNumbers;
  await client.numbers.v1.portingPortInPhoneNumber(sid, one).fetch();
  expect((await client.numbers.v1.portingAllPortIns.list()).length, 1);
  await client.numbers.v1.portingPortInPhoneNumber(sid, one).remove();
  await client.numbers.v1.portingPortIns(sid).remove();
}

await account();
await messages();
await services(await numbers());
await alerts();
await ports();
