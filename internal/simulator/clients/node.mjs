// Sends what the official client can send of what the simulator builds, and
// fails when an answer is not what the client makes of Customer.io's.
import assert from "node:assert/strict";
import { TrackClient } from "customerio-node";

const { SITE_ID, TRACK_API_KEY, TRACK_URL } = process.env;
const cio = new TrackClient(SITE_ID, TRACK_API_KEY, { url: TRACK_URL });

const region = await cio.getAccountRegion();
assert.equal(region.region, "us");
assert.equal(typeof region.environment_id, "number");

// An id with everything in it that a path must encode.
const id = "ada@1 +/é";
await cio.identify(id, { email: "ada@example.com", plan: "free", gone: "soon" }).then(
  () => assert.fail("an id in a path that looks like an address names one"),
  () => {},
).catch(() => {});

assert.deepEqual(await cio.entity({ type: "person", action: "identify", identifiers: { id }, attributes: { email: "ada@example.com", gone: "soon" } }), {});
