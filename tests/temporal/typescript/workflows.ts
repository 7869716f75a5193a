// A workflow in another language over the Python activities: all it knows of them are their names and published schemas.
import { ApplicationFailure, ActivityFailure, proxyActivities } from '@temporalio/workflow';

interface RunRef { runId: string; endpointId: string; unitId: string; sinkId: string }
interface UnitOutcome {
  runId: string;
  state: 'SUCCEEDED' | 'PAUSED' | 'FAILED';
  statistics: { rowsCommitted: number; slicesCommitted: number };
  checkpoint: { segments: number };
  manifestUri: string;
}
interface Preview { uri: string; rows: number; columns: string[] }

interface Activities {
  startIngestionRun(command: { endpointId: string; unitId: string; requestedBy?: string }): Promise<RunRef>;
  runIngestionUnit(command: { runId: string }): Promise<UnitOutcome>;
  completeIngestionRun(command: { runId: string }): Promise<{ runId: string; state: string }>;
  previewDataset(command: { endpointId: string; unitId: string; rows?: number }): Promise<Preview>;
}

export interface Order { endpointId: string; unitId: string; taskQueue: string }

export async function ingestAndPreview(order: Order) {
  const { endpointId, unitId, taskQueue } = order;
  const short = proxyActivities<Activities>({ taskQueue, startToCloseTimeout: '2 minutes' });
  const long = proxyActivities<Activities>({
    taskQueue,
    startToCloseTimeout: '1 day',
    heartbeatTimeout: '20 seconds',
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  });
  const ref = await short.startIngestionRun({ endpointId, unitId, requestedBy: 'typescript' });
  const outcome = await long.runIngestionUnit({ runId: ref.runId });
  const end = await short.completeIngestionRun({ runId: ref.runId });
  const preview = await short.previewDataset({ endpointId, unitId, rows: 2 });
  return { ref, outcome, end, preview, refused: await refusal(short, endpointId) };
}

// The code with which a unit that is not there is refused.
async function refusal(activities: Pick<Activities, 'startIngestionRun'>, endpointId: string): Promise<string> {
  try {
    await activities.startIngestionRun({ endpointId, unitId: 'nothing' });
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) return error.cause.type ?? '';
    throw error;
  }
  return '';
}
