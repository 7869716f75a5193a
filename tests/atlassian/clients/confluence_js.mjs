// Calls a Confluence site through confluence.js, which refuses every answer that differs from the schemas that it made from the OpenAPI files.
// Arguments: the folder of node_modules, the site's URL, user, token, a space's id. Prints one JSON line.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [, , modules, host, email, apiToken, space] = process.argv;
const { createV1Client, createV2Client } = await import(pathToFileURL(`${modules}/confluence.js/dist/index.js`).href);

const options = { host, auth: { type: 'basic', email, apiToken } };
const v2 = createV2Client(options);
const v1 = createV1Client(options);

const pages = [];
let cursor;
do {
  const answer = await v2.page.getPagesInSpace({ id: space, limit: 50, cursor, bodyFormat: 'storage' });
  pages.push(...answer.results);
  const next = answer._links?.next;
  cursor = next ? new URL(next, host).searchParams.get('cursor') : undefined;
} while (cursor);

const id = pages[0].id;
await v2.page.getPages({ limit: 10, sort: '-modified-date' });
await v2.page.getPageById({ id, bodyFormat: 'storage' });
await v2.blogPost.getBlogPosts({});
const spaces = await v2.space.getSpaces({});
await v2.space.getSpaceById({ id: space });
for (const page of pages.slice(0, 20)) {
  await v2.comment.getPageFooterComments({ id: page.id, bodyFormat: 'storage' });
  await v2.comment.getPageInlineComments({ id: page.id, bodyFormat: 'storage' });
  await v2.attachment.getPageAttachments({ id: page.id });
  await v2.label.getPageLabels({ id: page.id });
  await v2.ancestors.getPageAncestors({ id: page.id });
}
await v2.version.getPageVersions({ id });
await v2.children.getPageDirectChildren({ id });
await v2.descendants.getPageDescendants({ id });
await v2.spacePermissions.getSpacePermissionsAssignments({ id: space });
await v2.attachment.getAttachments({});
const search = await v1.search.searchByCQL({ cql: 'type = page', limit: 10 });
await v1.content.searchContentByCQL({ cql: 'type = page', limit: 10, expand: ['body.storage', 'version'] });
await v1.contentRestrictions.getRestrictions({ id });
await v1.contentRestrictions.getRestrictionsForOperation({ id, operationKey: 'read' });
const me = await v1.users.getCurrentUser({});
const groups = await v1.group.getGroups({});
await v1.group.getGroupMembersByGroupId({ groupId: groups.results[0].id });
await v1.settings.getSystemInfo();

// The check itself is checked: an answer of the wrong type must be reported.
const liar = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end('{"results": [{"id": 5}]}');
});
await new Promise((resolve) => liar.listen(0, '127.0.0.1', resolve));
let reported = 0;
const client = createV2Client({
  host: `http://127.0.0.1:${liar.address().port}`, auth: { type: 'basic', email, apiToken },
});
try {
  await client.space.getSpaces({});
} catch (error) {
  reported += error.name === 'SchemaMismatchError' ? 1 : 0;
}
liar.close();
liar.closeAllConnections();

console.log(JSON.stringify({
  reported,
  ids: pages.map((page) => page.id), spaces: spaces.results.length, total: search.totalSize, me: me.accountId,
}));
