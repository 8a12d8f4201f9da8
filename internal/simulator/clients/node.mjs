// Sends what the official client can send of what the simulator builds, and
// fails when an answer is not one that the client takes for success.
import assert from "node:assert/strict";
import { TrackClient } from "customerio-node";

const { SITE_ID, TRACK_API_KEY, TRACK_URL } = process.env;
const cio = new TrackClient(SITE_ID, TRACK_API_KEY, { url: TRACK_URL });
const accepted = async (reply) => assert.deepEqual(await reply, {});
const identify = (id, attributes) => ({ type: "person", action: "identify", identifiers: { id }, attributes });

const region = await cio.getAccountRegion();
assert.equal(region.region, "us");
assert.equal(typeof region.environment_id, "number");

const id = "ada 1+/é"; // what a path must encode
await accepted(cio.identify(id, { email: "ada@example.com", plan: "free", gone: "soon" }));
await accepted(cio.identify("ada@example.com", { plan: "pro", logins: 3, gone: null }));

const ordered = { name: "Ordered", id: "01BX5ZZKBKACTAV9WEVGEMMVRY", timestamp: 1772013598, data: { total: 29.99 } };
await accepted(cio.track(id, ordered));
await accepted(cio.track(id, ordered));
await accepted(cio.trackPageView(id, "/pricing"));

await accepted(cio.addDevice(id, "token/1", "ios", { last_used: 1772013598 }));
await accepted(cio.addDevice(id, "token/2", "android"));
await accepted(cio.deleteDevice(id, "token/1"));

await accepted(cio.identify("destroyed", {}));
await accepted(cio.destroy("destroyed"));

await accepted(cio.identify("suppressed", {}));
await accepted(cio.suppress("suppressed"));
await accepted(cio.identify("suppressed", { back: true }));

await accepted(cio.suppress("unsuppressed"));
await accepted(cio.unsuppress("unsuppressed"));
await accepted(cio.identify("unsuppressed", { back: true }));

await accepted(cio.entity(identify("entity", { via: "v2" })));
const partial = await cio.batch([identify("batch1", { via: "v2" }), identify("", { via: "v2" }), identify("batch2", { via: "v2" })]);
assert.equal(partial.errors.length, 1);
assert.equal(partial.errors[0].batch_index, 1);

await assert.rejects(cio.entity(identify("refused", { long: "x".repeat(1001) })), { statusCode: 400 });
await assert.rejects(new TrackClient(SITE_ID, "wrong", { url: TRACK_URL }).identify("nobody", {}), { statusCode: 401 });
