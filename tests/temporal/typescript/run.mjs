// Runs the workflow once: node run.mjs ADDRESS PYTHON_TASK_QUEUE ENDPOINT UNIT. Its result is the last line of the output.
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

const [address, taskQueue, endpointId, unitId] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR') });
const mine = `typescript-${taskQueue}`;
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  taskQueue: mine,
  workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
});
const client = new Client({ connection: await Connection.connect({ address }) });
const result = await worker.runUntil(
  client.workflow.execute('ingestAndPreview', {
    taskQueue: mine,
    workflowId: mine,
    args: [{ endpointId, unitId, taskQueue }],
  }),
);
await client.connection.close();
await connection.close();
console.log(JSON.stringify(result));
