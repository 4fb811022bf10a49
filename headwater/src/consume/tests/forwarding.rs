//! Forwarding: the derived stream and the view cannot come apart.

use std::{collections::BTreeMap, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures::future::join_all;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Bench, Event, added, history, plain, raw, record, stream};
use crate::{
    consume::{ApplyError, Derived, Envelope, Forward, Projection, Projector},
    format::{commit::Commit, key, record::Record, view::View},
    id::{StreamId, Version},
    memory::{Fault, FaultyLog, MemoryLog, Operation},
    port::{Log, LogError, ObjectError},
    schema::Schemas,
};

/// Tells of every commit that made the sum pass a multiple of ten.
struct Tens;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reached {
    sum: u64,
    told: u64,
    events: u64,
}

#[derive(Serialize, Deserialize)]
enum Ten {
    Reached {
        tens: u64,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        padding: String,
    },
}

impl Projection for Tens {
    const NAME: &'static str = "tens";
    type View = Reached;
    type Reads = Event;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut Reached, envelope: &Envelope<'_, Event>) -> Result<(), ApplyError> {
        let Event::Added(number) = envelope.event else { return Err(ApplyError::new("refused")) };
        view.sum += number;
        Ok(())
    }
}

impl Forward for Tens {
    fn derive(&self, view: &mut Reached, stream: &StreamId) -> Result<Option<Derived>, ApplyError> {
        let tens = view.sum / 10;
        if tens == view.told {
            return Ok(None);
        }
        let after = Version::new(view.events);
        view.told = tens;
        view.events += 1;
        let padding = if tens > 1_000_000 { "x".repeat(1 << 20) } else { String::new() };
        let stream = StreamId::new("tens", stream.id())?;
        Derived::one(stream, after, &Ten::Reached { tens, padding }, Schemas::FIRST).map(Some)
    }
}

struct Second {
    memory: Arc<MemoryLog>,
    log: Arc<FaultyLog>,
}

impl Second {
    fn new(bench: &Bench) -> Self {
        let memory = Arc::new(MemoryLog::new(bench.ports.clock.clone(), 2));
        Self { log: Arc::new(FaultyLog::new(memory.clone())), memory }
    }

    fn projector(&self, bench: &Bench) -> Projector<Tens> {
        Projector::forwarding(Tens, &bench.ports, self.log.clone() as Arc<dyn Log>)
    }

    /// The derived commits in the order of their first arrival; a repeat must be the same to the letter.
    fn commits(&self) -> Vec<Arc<Commit>> {
        let mut first: Vec<Arc<Commit>> = Vec::new();
        for arrival in self.memory.records() {
            let record = Record::decode(&arrival.data).expect("a record");
            assert_eq!((record.kind.as_str(), arrival.key.as_str()), ("tens", record.stream.as_str()));
            for commit in record.commits {
                match first.iter().find(|known| known.first == commit.first) {
                    Some(known) => assert_eq!(*known, commit, "a repeat says the same"),
                    None => first.push(commit),
                }
            }
        }
        first
    }
}

fn view(bench: &Bench) -> Option<View<Reached>> {
    let all = bench.world.objects.all(&key::view(Tens::NAME, "1"));
    all.first().map(|(_, body)| View::decode(body).expect("a view"))
}

/// What should be derived from the first commits of a stream: cause and tens.
fn expected(commits: &[Arc<Commit>]) -> Vec<(String, u64)> {
    let (mut sum, mut told, mut expected) = (0, 0, Vec::new());
    for commit in commits {
        sum +=
            commit.events.iter().map(|event| event.data.get().parse::<u64>().expect("a number")).sum::<u64>();
        if sum / 10 != told {
            told = sum / 10;
            expected.push((commit.id.to_string(), told));
        }
    }
    expected
}

/// The derived stream is what it should be, contiguous and in order, through the end of what the view reflects at least.
fn check(bench: &Bench, second: &Second, commits: &[Arc<Commit>], complete: bool) {
    let derived = second.commits();
    let all = expected(commits);
    for (number, (commit, (cause, tens))) in derived.iter().zip(&all).enumerate() {
        assert_eq!(
            (commit.first.get(), commit.last.get()),
            (number as u64 + 1, number as u64 + 1),
            "in order"
        );
        assert_eq!(commit.id.as_str(), cause);
        let Ten::Reached { tens: told, .. } = Schemas::FIRST.decode(&commit.events[0]).expect("decodes");
        assert_eq!(told, *tens);
    }
    let told = view(bench).map_or(0, |view| view.state.events);
    assert!(derived.len() as u64 >= told, "what the view counts was published");
    assert!(derived.len() <= all.len());
    if complete {
        assert_eq!((derived.len() as u64, told), (all.len() as u64, all.len() as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_forwards_everything_in_order() {
    let (of, commits) = (stream("account/1"), plain(12));
    for steps in 0.. {
        let bench = Bench::new();
        let second = Second::new(&bench);
        bench.store(&of, &commits, 5);
        let batch = [record(1, &of, &commits[..6]), record(2, &of, &commits[9..])];
        let projector = second.projector(&bench);
        let ended = {
            let mut future = pin!(projector.project(&batch));
            let mut left = steps;
            poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(false);
                }
                left -= 1;
                future.as_mut().poll(context).map(|_| true)
            })
            .await
        };
        check(&bench, &second, &commits, false);
        assert_eq!(projector.project(&batch).await, BTreeMap::new());
        check(&bench, &second, &commits, true);
        if ended {
            assert!(steps > 6, "there are that many awaits to crash at, at least");
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn racing_handlers_and_lost_answers_forward_the_same_in_order(
        numbers in proptest::collection::vec(0_u64..15, 1..14),
        handlers in proptest::collection::vec(proptest::collection::vec((0_usize..14, 1_usize..5), 0..6), 1..4),
        faults in proptest::collection::vec(0_u8..60, 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let bench = Bench::new();
            let second = Second::new(&bench);
            let of = stream("account/1");
            let commits = history(numbers.iter().map(|number| vec![added(*number)]));
            bench.store(&of, &commits, 3);
            let drawn = faults.clone();
            let at = |drawn: &[u8], number: u64| drawn.get(usize::try_from(number).expect("few")).copied();
            bench.objects.faults().hook(move |call| match at(&drawn, call.number) {
                Some(0..8) => Fault::After(ObjectError::Unknown("lost".into())),
                Some(delay @ 8..40) => Fault::Delay(Duration::from_millis(u64::from(delay))),
                _ => Fault::None,
            });
            second.log.faults().hook(move |call| match at(&faults, call.number) {
                Some(0..8) => Fault::Before(LogError::Unknown("lost".into())),
                Some(8..16) => Fault::After(LogError::Unknown("lost".into())),
                Some(late @ 16..22) => Fault::Late(LogError::Unknown("late".into()), Duration::from_millis(u64::from(late) * 9)),
                Some(delay @ 22..50) => Fault::Delay(Duration::from_millis(u64::from(delay))),
                _ => Fault::None,
            });
            let racing: Vec<_> = handlers.into_iter().map(|batches| {
                let (projector, commits, of) = (second.projector(&bench), &commits, &of);
                async move {
                    for (from, most) in batches {
                        let from = from.min(commits.len() - 1);
                        let arrivals = [record(1, of, &commits[from..(from + most).min(commits.len())])];
                        while !projector.project(&arrivals).await.is_empty() {}
                    }
                }
            }).collect();
            join_all(racing).await;
            check(&bench, &second, &commits, false);
            let newest = [record(1, &of, &commits[commits.len() - 1..])];
            while !second.projector(&bench).project(&newest).await.is_empty() {}
            check(&bench, &second, &commits, true);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_is_not_written_before_its_derived_records_are_acknowledged() {
    let bench = Bench::new();
    let second = Second::new(&bench);
    let (of, commits) = (stream("account/1"), plain(6));
    second.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    let failed = second.projector(&bench).project(&[record(5, &of, &commits)]).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [super::number(5)]);
    assert!(view(&bench).is_none());
    second.log.faults().clear();
    second.log.throttle_next(3);
    assert_eq!(second.projector(&bench).project(&[record(5, &of, &commits)]).await, BTreeMap::new());
    check(&bench, &second, &commits, true);
    assert_eq!(second.memory.records().len(), 1, "one record for a batch");
    assert_eq!(second.commits()[0].meta["causation"], "account/1@4");
}

#[tokio::test(start_paused = true)]
async fn a_derived_commit_that_no_record_can_hold_parks_its_stream() {
    let bench = Bench::new();
    let second = Second::new(&bench);
    let of = stream("account/1");
    let commits = history([vec![added(10)], vec![added(100_000_000)], vec![raw("Added", "1")]]);
    assert_eq!(second.projector(&bench).project(&[record(1, &of, &commits)]).await, BTreeMap::new());
    let view = view(&bench).expect("a view");
    assert!(view.parked[&of].error.contains("a record 1048576"), "{:?}", view.parked);
    assert_eq!((view.applied(&of), view.state.events), (Version::new(1), 1));
    assert_eq!(second.commits().len(), 1);
    assert_eq!(second.log.faults().calls(Operation::PutRecords), 1);
}
