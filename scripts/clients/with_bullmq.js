// BullMQ: 1,000 jobs with retries, delays, priorities and a scheduler; a worker is killed in the middle.
'use strict';

const Redis = require('ioredis');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');
const { assert, connection, isWorker, run, sleep, startWorker, until } = require('./helpers');

const JOBS = 1_000, SCHEDULED = 5, CONCURRENCY = 10;
const HANGS = 300; // This job never ends, the first time.
const KINDS = ['plain', 'flaky', 'delayed', 'prioritized'];

function work() {
  const redis = new Redis(connection);
  const perform = async (job) => {
    const runs = await redis.incr(`runs:${job.id}`);
    if (job.name === 'sum') return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
    if (job.name === 'flaky' && job.attemptsMade === 0) throw new Error('the first time it fails');
    if (job.data.n === HANGS && runs === 1) {
      process.send('hangs');
      await sleep(600_000);
    }
    await sleep(5);
    return job.data.n * 2;
  };
  new Worker('work', perform, {
    connection, concurrency: CONCURRENCY, lockDuration: 2_000, stalledInterval: 1_000, maxStalledCount: 3,
  });
}

function jobs() {
  return Array.from({ length: JOBS }, (_, n) => {
    const name = n === HANGS ? 'plain' : KINDS[n % KINDS.length];
    const opts = { jobId: `job-${n}`, attempts: 3, backoff: { type: 'fixed', delay: 50 } };
    if (name === 'delayed') opts.delay = 1_000 + n;
    if (name === 'prioritized') opts.priority = 1 + (n % 7);
    return { name, data: { n }, opts };
  });
}

async function program() {
  const queue = new Queue('work', { connection, streams: { events: { maxLen: 100_000 } } });
  const completed = new Map(), stalled = new Set();
  const events = new QueueEvents('work', { connection, lastEventId: '0' });
  events.on('completed', ({ jobId, returnvalue }) => completed.set(jobId, [...(completed.get(jobId) ?? []), returnvalue]));
  events.on('stalled', ({ jobId }) => stalled.add(jobId));

  await queue.addBulk(jobs());
  await queue.add('plain', { n: 0 }, { jobId: 'job-0' });
  assert.equal((await queue.getJobCounts('delayed')).delayed, JOBS / KINDS.length);
  await queue.upsertJobScheduler('tick', { every: 200, limit: SCHEDULED }, { name: 'tick', data: { n: 7 } });
  const flow = await new FlowProducer({ connection }).add({
    name: 'sum', queueName: 'work', children: [1, 2, 3].map((n) => ({ name: 'part', queueName: 'work', data: { n } })),
  });

  const victim = startWorker(__filename), other = startWorker(__filename);
  await Promise.race([victim, other].map((worker) => new Promise((resolve) => {
    worker.once('message', () => { worker.kill('SIGKILL'); resolve(); });
  })));
  startWorker(__filename);

  const total = JOBS + SCHEDULED + 4;
  await until(async () => await queue.getCompletedCount() + await queue.getFailedCount() >= total, 60, 'all jobs are done');
  await until(() => completed.size >= total, 10, 'all events have arrived');
  await verify(queue, completed, stalled, flow.job.id);
  return `${JOBS} jobs (retried, delayed, prioritized), scheduler, flow; a worker killed, ${stalled.size} stalled jobs done`;
}

async function verify(queue, completed, stalled, flow) {
  const counts = await queue.getJobCounts('completed', 'failed', 'active', 'waiting', 'delayed', 'prioritized');
  assert.deepEqual(counts, { completed: JOBS + SCHEDULED + 4, failed: 0, active: 0, waiting: 0, delayed: 0, prioritized: 0 });
  for (const [id, results] of completed) assert.equal(results.length, 1, `${id} has completed once`);
  const redis = new Redis(connection);
  for (let n = 0; n < JOBS; n++) {
    const id = `job-${n}`;
    assert.equal(Number(completed.get(id)?.[0]), n * 2, `the result of ${id}`);
    const runs = Number(await redis.get(`runs:${id}`)), once = n !== HANGS && KINDS[n % KINDS.length] === 'flaky' ? 2 : 1;
    assert(runs === once || (stalled.has(id) && runs === once + 1), `${id} has run ${runs} times`);
  }
  assert(stalled.has(`job-${HANGS}`), 'the job of the killed worker has stalled');
  assert.equal((await queue.getJob('job-1')).attemptsMade, 2);
  assert.equal(Number(completed.get(flow)[0]), 12, 'a flow: the sum of its parts');
}

if (isWorker) work();
else run(program);
