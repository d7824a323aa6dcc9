// Bee-Queue: jobs with retries, failures and delays; the jobs of a killed worker are done by another one.
'use strict';

const Queue = require('bee-queue');
const { assert, connection, isWorker, run, sleep, startWorker, until } = require('./helpers');

const JOBS = 300, CONCURRENCY = 5;
const HANGS = 'plain-100'; // This job never ends, the first time.
const KINDS = ['plain', 'flaky', 'delayed', 'broken'];

function open() {
  return new Queue('work', { redis: connection, stallInterval: 1_000, activateDelayedJobs: true, delayedDebounce: 50,
    isWorker });
}

async function work() {
  const queue = open();
  const command = (name, ...words) => new Promise((resolve, reject) => {
    queue.client[name](...words, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
  queue.process(CONCURRENCY, async (job) => {
    const runs = await command('incr', `runs:${job.id}`);
    if (job.data.kind === 'broken') throw new Error('this job always fails');
    if (job.data.kind === 'flaky' && runs === 1) throw new Error('the first time it fails');
    if (job.id === HANGS && runs === 1) {
      process.send('hangs');
      await sleep(600_000);
    }
    job.reportProgress({ runs });
    return job.data.n * 2;
  });
}

function create(queue, n) {
  const kind = KINDS[n % KINDS.length];
  const job = queue.createJob({ n, kind }).setId(`${kind}-${n}`).retries(2).backoff('fixed', 50);
  return kind === 'delayed' ? job.delayUntil(Date.now() + 1_000 + n) : job;
}

async function program() {
  const queue = open();
  const ended = { succeeded: [], failed: [] }, progress = new Set();
  queue.on('job succeeded', (id, result) => ended.succeeded.push([id, result]));
  queue.on('job failed', (id) => ended.failed.push(id));
  queue.on('job progress', (id) => progress.add(id));
  await queue.ready();
  const errors = await queue.saveAll(Array.from({ length: JOBS }, (_, n) => create(queue, n)));
  assert.equal(errors.size, 0, 'all jobs are saved');

  const workers = [startWorker(__filename), startWorker(__filename)];
  await Promise.race(workers.map((worker) => new Promise((resolve) => {
    worker.once('message', () => { worker.kill('SIGKILL'); resolve(); });
  })));
  startWorker(__filename);

  let stalled = 0;
  await until(async () => {
    stalled += await queue.checkStalledJobs();
    return ended.succeeded.length + ended.failed.length >= JOBS;
  }, 40, 'all jobs are done');
  await verify(queue, ended, progress);
  assert(stalled >= 1, 'the job of the killed worker has stalled');
  return `${JOBS} jobs (retried, failing, delayed), progress; a worker killed, ${stalled} stalled jobs done`;
}

async function verify(queue, ended, progress) {
  const share = JOBS / KINDS.length;
  assert.equal(new Set(ended.succeeded.map(([id]) => id)).size, ended.succeeded.length, 'none has succeeded twice');
  for (const [id, result] of ended.succeeded) assert.equal(result, Number(id.split('-')[1]) * 2, id);
  assert.equal(ended.succeeded.length, 3 * share);
  assert.equal(ended.failed.length, share);
  assert(ended.failed.every((id) => id.startsWith('broken-')), 'only broken jobs have failed');
  assert.equal(progress.size, 3 * share);
  const { newestJob, ...health } = await queue.checkHealth();
  assert.deepEqual(health, { waiting: 0, active: 0, succeeded: 3 * share, failed: share, delayed: 0 });
  const broken = await queue.getJob('broken-3');
  assert.deepEqual([broken.status, broken.options.retries], ['failed', 0]);
  await queue.removeJob('broken-3');
  assert.equal(await queue.getJob('broken-3'), null);
}

if (isWorker) work();
else run(program);
