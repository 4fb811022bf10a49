//! H10 under two archivers on one shard: every interleaving of their steps for small cases, and drawn ones for larger,
//! with lost answers, refusals and crashes.
//!
//! Batches are handed out as a mapping does: from any place at or before the first record that is not archived, to any
//! place after it. The records lie on both sides of midnight, and arrival times step back, so that the date in a key
//! depends on which record an archiver takes for the first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use headwater::{
    memory::{MemoryObjects, World},
    port::Arrival,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::lab::{
    Choices, Request, Step, Stepwise, Verdict, archiver, arrival, ask, at, bucket, chain, check, commit,
};

const BEFORE: &str = "2026-11-21T23:59:59.999Z";
const AFTER: &str = "2026-11-22T00:00:00.001Z";

/// What is tried.
#[derive(Clone, Copy)]
struct Case {
    /// Batches that each archiver takes.
    batches: [usize; 2],
    /// Steps that may go wrong in one run.
    faults: usize,
    /// The records.
    records: fn() -> Vec<Arrival>,
    /// Without the condition.
    overwrite: bool,
}

/// A stream's commits over midnight, with a repeat and a record that is no commit among them.
fn records() -> Vec<Arrival> {
    let mut stray = arrival(2, at(AFTER), "account/1", vec![commit(9, 1)]);
    stray.data = "no commit".into();
    vec![
        arrival(1, at(BEFORE), "account/1", vec![commit(1, 1)]),
        stray,
        arrival(3, at(BEFORE), "account/1", vec![commit(1, 1), commit(2, 2)]),
        arrival(4, at("2026-11-24T00:00:00Z"), "account/1", vec![commit(2, 2)]),
        arrival(5, at("2026-11-24T00:00:00Z"), "account/1", vec![commit(4, 1)]),
    ]
}

fn few_records() -> Vec<Arrival> {
    let mut records = records();
    records.remove(3);
    records.remove(0);
    records
}

/// One run: tells what is wrong in the end.
async fn run(case: Case, choices: &mut Choices) -> Result<(), String> {
    let world = World::new(1);
    let objects = bucket(&world);
    let records = (case.records)();
    let checkpoint = Arc::new(AtomicUsize::new(0));
    let (requests, mut asked) = mpsc::unbounded_channel();
    let mut archivers: Vec<JoinHandle<()>> = Vec::new();
    for (name, batches) in case.batches.into_iter().enumerate() {
        archivers.push(spawn(&world, &objects, name, batches, requests.clone(), case.overwrite, &checkpoint));
    }
    let mut waiting: Vec<Option<Request>> = vec![None, None];
    let mut done = [false; 2];
    let mut faults = case.faults;
    loop {
        while (0..2).any(|name| !done[name] && waiting[name].is_none()) {
            let request = asked.recv().await.expect("an archiver asks");
            let name = request.0;
            done[name] = request.1 == Step::Done;
            waiting[name] = Some(request).filter(|request| request.1 != Step::Done);
        }
        let able: Vec<usize> = (0..2).filter(|name| waiting[*name].is_some()).collect();
        if able.is_empty() {
            break;
        }
        let name = able[choices.choose(able.len())];
        let (_, step, answer) = waiting[name].take().expect("it waits");
        let verdict = match step {
            Step::Take => {
                Verdict::Batch(hand_out(&objects, &records, checkpoint.load(Ordering::Relaxed), choices)?)
            }
            step => {
                let wrong =
                    if faults == 0 { 0 } else { choices.choose(if step == Step::Put { 5 } else { 2 }) };
                faults -= usize::from(wrong > 0);
                match wrong {
                    0 => Verdict::Go,
                    1 => {
                        archivers[name].abort();
                        let cold =
                            spawn(&world, &objects, name, 1, requests.clone(), case.overwrite, &checkpoint);
                        archivers[name] = cold;
                        continue;
                    }
                    2 => Verdict::Lost,
                    3 => Verdict::Fail,
                    _ => Verdict::Conflict,
                }
            }
        };
        let _ = answer.send(verdict);
    }
    let archived = checkpoint.load(Ordering::Relaxed);
    let rest: Vec<Arrival> = records.iter().filter(|record| number(record) > archived).cloned().collect();
    archiver(&world, objects.clone())
        .archive(super::lab::SHARD, &rest)
        .await
        .map_err(|error| error.to_string())?;
    let quarantined = objects.all("quarantine/").len();
    if quarantined != 1 {
        return Err(format!("{quarantined} in quarantine"));
    }
    check(&objects, &records)
}

/// An archiver that takes some batches.
fn spawn(
    world: &World,
    objects: &Arc<MemoryObjects>,
    name: usize,
    batches: usize,
    requests: mpsc::UnboundedSender<Request>,
    overwrite: bool,
    checkpoint: &Arc<AtomicUsize>,
) -> JoinHandle<()> {
    let stepwise = Stepwise { inner: objects.clone(), name, requests: requests.clone(), overwrite };
    let (archiver, checkpoint) = (archiver(world, Arc::new(stepwise)), checkpoint.clone());
    tokio::spawn(async move {
        for _ in 0..batches {
            if let Verdict::Batch(batch) = ask(&requests, name, Step::Take).await {
                // What fails comes again; here it does in the end.
                if archiver.archive(super::lab::SHARD, &batch).await.is_ok() {
                    let last = batch.last().map_or(0, number);
                    checkpoint.fetch_max(last, Ordering::Relaxed);
                }
            }
        }
        let _ = ask(&requests, name, Step::Done).await;
    })
}

/// How many records the chain covers.
fn covered(objects: &MemoryObjects, records: &[Arrival]) -> Result<usize, String> {
    let (tail, _) = chain(objects, super::lab::SHARD)?;
    Ok(tail.map_or(0, |tail| records.partition_point(|record| record.sequence <= tail.last)))
}

/// A batch that begins at or before the first record that is neither archived nor behind the checkpoint.
fn hand_out(
    objects: &MemoryObjects,
    records: &[Arrival],
    checkpoint: usize,
    choices: &mut Choices,
) -> Result<Vec<Arrival>, String> {
    let passed = records.partition_point(|record| number(record) <= checkpoint);
    let done = covered(objects, records)?.max(passed).min(records.len() - 1);
    let first = done - choices.choose(done + 1);
    let end = records.len() - choices.choose(records.len() - first);
    Ok(records[first..end].to_vec())
}

/// The number that a record was made with.
fn number(record: &Arrival) -> usize {
    (1..100).find(|number| super::lab::sequence(*number as u64) == record.sequence).unwrap_or_default()
}

/// Runs every sequence of choices, and counts them; the first failure ends it.
async fn every_run(case: Case) -> Result<u64, String> {
    let (mut choices, mut runs) = (Choices::default(), 0);
    loop {
        runs += 1;
        run(case, &mut choices).await.map_err(|error| format!("run {runs}: {error}: {choices:?}"))?;
        if !choices.next() {
            return Ok(runs);
        }
    }
}

async fn drawn_runs(case: Case, runs: u64) -> Result<(), String> {
    for seed in 0..runs {
        let mut choices = Choices::drawn(seed);
        run(case, &mut choices).await.map_err(|error| format!("seed {seed}: {error}"))?;
    }
    Ok(())
}

const RACE: Case = Case { batches: [1, 1], faults: 0, records: few_records, overwrite: false };

#[tokio::test(start_paused = true)]
async fn two_cold_archivers_archive_every_commit_once() {
    let runs = every_run(RACE).await.expect("H10");
    assert!(runs > 100, "{runs} runs");
}

#[tokio::test(start_paused = true)]
async fn drawn_races_with_faults_archive_every_commit_once() {
    drawn_runs(Case { batches: [4, 3], faults: 3, records, ..RACE }, 400).await.expect("H10");
}

#[tokio::test(start_paused = true)]
async fn without_the_condition_commits_are_lost() {
    every_run(Case { overwrite: true, ..RACE }).await.expect_err("H10 without a condition");
}
