// Sends what the official client can send of what the simulator builds, and
// fails when an answer is not one that the client takes for success.
import assert from "node:assert/strict";
import { APIClient, IdentifierType, TrackClient } from "customerio-node";

const { SITE_ID, TRACK_API_KEY, TRACK_URL, APP_API_KEY, APP_URL } = process.env;
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

// Objects and relationships.
const acme = { object_type_id: "1", object_id: "ac/me" };
await accepted(cio.batch([
  { type: "object", action: "identify", identifiers: acme, attributes: { name: "Acme", seats: 50 } },
  { type: "person", action: "add_relationships", identifiers: { id }, cio_relationships: [{ identifiers: acme, relationship_attributes: { role: "admin" } }] },
  { type: "object", action: "add_relationships", identifiers: acme, cio_relationships: [{ identifiers: { id: "entity" } }] },
  { type: "object", action: "delete_relationships", identifiers: acme, cio_relationships: [{ identifiers: { id: "entity" } }] },
]));
await accepted(cio.identify("batch1", { cio_relationships: { action: "add_relationships", relationships: [{ identifiers: acme }] } }));

// A merge.
await accepted(cio.identify("double", { email: "double@example.com", only_there: true }));
await accepted(cio.mergeCustomers(IdentifierType.Id, "batch2", IdentifierType.Email, "double@example.com"));

// Segments and collections: ten requests a second.
const app = new APIClient(APP_API_KEY, { url: APP_URL });
const { segment } = await app.createSegment({ name: "VIPs", description: "the best" });
assert.equal(segment.type, "manual");
await accepted(cio.addCustomersToSegment(segment.id, [id, "batch1", "nobody"]));
await accepted(cio.addCustomersToSegment(segment.id, ["double@example.com"], IdentifierType.Email));
await accepted(cio.removeCustomersFromSegment(segment.id, ["batch1"]));
assert.equal((await app.getSegmentCustomerCount(segment.id)).count, 2);
const first = await app.getSegmentMembership(segment.id, { limit: 1 });
const rest = await app.getSegmentMembership(segment.id, { limit: 1, start: first.next });
assert.deepEqual([...first.ids, ...rest.ids], [id, "batch2"]);
assert.equal(rest.next, "");
assert.deepEqual((await app.getCustomerSegments(id)).segments, [{ id: segment.id, name: "VIPs", description: "the best" }]);
assert.equal((await app.getCustomerRelationships(id)).cio_relationships[0].identifiers.object_id, "ac/me");
assert.deepEqual((await app.getObjectAttributes("1", "ac/me")).object.attributes, { name: "Acme", seats: "50" });
assert.equal((await app.getObjectRelationships("1", "ac/me")).cio_relationships.length, 2);

await new Promise((done) => setTimeout(done, 1000));
const { collection } = await app.createCollection({ name: "events", data: [{ name: "christmas" }, { name: "birthday" }] });
assert.equal(collection.rows, 2);
await app.updateCollection(collection.id, { data: [{ name: "easter", on: 1 }] });
assert.deepEqual((await app.getCollection(collection.id)).collection.schema, ["name", "on"]);
assert.deepEqual(await app.getCollectionContent(collection.id), [{ name: "easter", on: 1 }]);
await app.updateCollectionContent(collection.id, [{ name: "easter" }, { name: "may day" }]);
const dropped = await app.createCollection({ name: "dropped", data: [] });
await app.deleteCollection(dropped.collection.id);
assert.equal((await app.listCollections()).collections.length, 1);

await assert.rejects(cio.entity(identify("refused", { long: "x".repeat(1001) })), { statusCode: 400 });
await assert.rejects(new TrackClient(SITE_ID, "wrong", { url: TRACK_URL }).identify("nobody", {}), { statusCode: 401 });
