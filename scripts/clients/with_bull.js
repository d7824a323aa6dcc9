// Bull: 1,000 jobs with retries, delays, priorities and a repeated one; a worker is killed in the middle.
'use strict';

const Queue = require('bull');
const { assert, connection, isWorker, run, sleep, startWorker, until } = require('./helpers');

const JOBS = 1_000, REPEATED = 5, CONCURRENCY = 10;
const HANGS = 300; // This job never ends, the first time.
const KINDS = ['plain', 'flaky', 'delayed', 'prioritized'];

function open() {
  return new Queue('work', { redis: connection, settings: { lockDuration: 2_000, stalledInterval: 1_000, maxStalledCount: 3 } });
}

function kind(n) {
  return n === HANGS ? 'plain' : KINDS[n % KINDS.length];
}

function work() {
  const queue = open();
  queue.process(CONCURRENCY, async (job) => {
    const runs = await queue.client.incr(`runs:${job.id}`);
    if (job.data.kind === 'flaky' && job.attemptsMade === 0) throw new Error('the first time it fails');
    if (job.data.n === HANGS && runs === 1) {
      process.send('hangs');
      await sleep(600_000);
    }
    await sleep(5);
    return job.data.n * 2;
  });
}

function jobs() {
  return Array.from({ length: JOBS }, (_, n) => {
    const opts = { jobId: `job-${n}`, attempts: 3, backoff: { type: 'fixed', delay: 50 } };
    if (kind(n) === 'delayed') opts.delay = 1_000 + n;
    if (kind(n) === 'prioritized') opts.priority = 1 + (n % 7);
    return { data: { n, kind: kind(n) }, opts };
  });
}

async function program() {
  const queue = open();
  const completed = new Map(), stalled = new Set();
  queue.on('global:completed', (id, result) => completed.set(id, [...(completed.get(id) ?? []), result]));
  queue.on('global:stalled', (id) => stalled.add(id));
  await queue.isReady();

  await queue.addBulk(jobs());
  assert.equal(await queue.getDelayedCount(), JOBS / KINDS.length);
  await queue.add({ n: 7 }, { repeat: { every: 200, limit: REPEATED } });

  const victim = startWorker(__filename), other = startWorker(__filename);
  await Promise.race([victim, other].map((worker) => new Promise((resolve) => {
    worker.once('message', () => { worker.kill('SIGKILL'); resolve(); });
  })));
  startWorker(__filename);

  const total = JOBS + REPEATED;
  await until(async () => await queue.getCompletedCount() + await queue.getFailedCount() >= total, 60, 'all jobs are done');
  await until(() => completed.size >= total, 10, 'all events have arrived');
  await verify(queue, completed, stalled);
  return `${JOBS} jobs (retried, delayed, prioritized), a repeated one; a worker killed, ${stalled.size} stalled jobs done`;
}

async function verify(queue, completed, stalled) {
  const { completed: done, ...others } = await queue.getJobCounts();
  assert.equal(done, JOBS + REPEATED);
  assert.deepEqual(others, { waiting: 0, active: 0, failed: 0, delayed: 0, paused: 0 });
  for (const [id, results] of completed) assert.equal(results.length, 1, `${id} has completed once`);
  for (let n = 0; n < JOBS; n++) {
    const id = `job-${n}`, once = kind(n) === 'flaky' ? 2 : 1;
    assert.equal(Number(completed.get(id)?.[0]), n * 2, `the result of ${id}`);
    const runs = Number(await queue.client.get(`runs:${id}`));
    assert(runs === once || (stalled.has(id) && runs === once + 1), `${id} has run ${runs} times`);
  }
  assert(stalled.has(`job-${HANGS}`), 'the job of the killed worker has stalled');
  assert.equal((await queue.getJob('job-1')).attemptsMade, 1);
}

if (isWorker) work();
else run(program);
