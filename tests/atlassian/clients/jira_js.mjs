// Calls a Jira site through jira.js, which checks every answer against schemas made from the OpenAPI file.
// Arguments: the folder of node_modules, the site's URL, user, token, project key. Prints one JSON line.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [, , modules, host, email, apiToken, project] = process.argv;
const { createCloudClient } = await import(pathToFileURL(`${modules}/jira.js/dist/index.js`).href);

const mismatches = [];
const jira = createCloudClient({
  host,
  auth: { type: 'basic', email, apiToken },
  onSchemaMismatch: (report) => mismatches.push(report),
});

const jql = `project = ${project} ORDER BY id ASC`;
const found = [];
let nextPageToken;
do {
  const page = await jira.issueSearch.searchAndReconsileIssuesUsingJqlPost({
    jql, maxResults: 50, nextPageToken, fields: ['*all'], expand: 'changelog',
  });
  found.push(...page.issues);
  nextPageToken = page.nextPageToken;
} while (nextPageToken);

const ids = found.map((issue) => issue.id);
const first = ids.slice(0, 20);
const bulk = await jira.issues.bulkFetchIssues({ issueIdsOrKeys: first, fields: ['*all'], expand: ['changelog'] });
const logs = await jira.issues.getBulkChangelogs({ issueIdsOrKeys: first });
const count = await jira.issueSearch.countIssues({ jql });
await jira.issueSearch.searchAndReconsileIssuesUsingJql({ jql });
await jira.issues.getIssue({ issueIdOrKey: ids[0] });
await jira.issues.getChangeLogs({ issueIdOrKey: ids[0] });
await jira.issueComments.getComments({ issueIdOrKey: ids[0] });
await jira.issueWorklogs.getIssueWorklog({ issueIdOrKey: ids[0] });
const updated = await jira.issueWorklogs.getIdsOfWorklogsModifiedSince({ since: 0 });
await jira.issueWorklogs.getWorklogsForIds({ ids: updated.values.map((v) => v.worklogId).slice(0, 5) });
const projects = await jira.projects.searchProjects({});
await jira.projects.getProject({ projectIdOrKey: project });
await jira.projects.getAllStatuses({ projectIdOrKey: project });
const me = await jira.myself.getCurrentUser({});
await jira.serverInfo.getServerInfo();
const fields = await jira.issueFields.getFields();
await jira.issueFields.getFieldsPaginated({});
const users = await jira.users.getAllUsers({});
await jira.permissions.getMyPermissions({ permissions: 'BROWSE_PROJECTS' });

// The check itself is checked: an answer of the wrong type must be reported.
const liar = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end('{"accountId": 5}');
});
await new Promise((resolve) => liar.listen(0, '127.0.0.1', resolve));
let reported = 0;
const client = createCloudClient({
  host: `http://127.0.0.1:${liar.address().port}`, auth: { type: 'basic', email, apiToken }, onSchemaMismatch: () => { reported += 1; },
});
await client.myself.getCurrentUser({});
liar.close();
liar.closeAllConnections();

console.log(JSON.stringify({
  reported,
  ids, bulk: bulk.issues.length, histories: logs.issueChangeLogs.length, count: count.count, projects: projects.total,
  me: me.accountId, fields: fields.length, users: users.length, mismatches,
}));
