//! Faults over real HTTP, drawn from a seed: what a bad network and a busy AWS do to some of all requests.
//!
//! Which request meets which fault is up to the order in which they come, so two runs of one seed are alike and not the
//! same.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use http::StatusCode;
use localstack::{Fault, Gate, Hook, Request};
use serde::Serialize;

/// How many requests meet a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// None, and nothing is killed.
    None,
    /// One in a hundred, and something is killed or frozen about every 6 s.
    Some,
    /// One in ten, and something is killed or frozen about every 3 s.
    Many,
}

impl Rate {
    /// Of a thousand requests, so many meet a fault.
    fn in_a_thousand(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Some => 10,
            Self::Many => 100,
        }
    }

    /// The pause between two kills, on average.
    pub(super) fn between_kills(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Some => Some(Duration::from_secs(6)),
            Self::Many => Some(Duration::from_secs(3)),
        }
    }
}

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It waits for up to 300 ms, and is done.
    Delayed,
    /// It is done, and its answer drips out over up to a second.
    SlowAnswer,
    /// The connection is closed; nothing is done.
    LostRequest,
    /// It is done, and the connection is closed.
    LostAnswer,
    /// It is done, and half of its answer is sent.
    HalfAnswer,
    /// The connection is reset; nothing is done.
    ResetRequest,
    /// It is done, and the connection is reset.
    ResetAnswer,
    /// The connection is reset in the middle of its body.
    CutRequest,
    /// 503 `SlowDown` of S3, `ProvisionedThroughputExceededException` of Kinesis for the whole call.
    Throttled,
    /// `ProvisionedThroughputExceededException` for some entries of a `PutRecords`; the others are done.
    ThrottledEntries,
    /// 500 `InternalError` or `InternalFailure`.
    Failed,
    /// 409 `ConditionalRequestConflict`, for a PUT.
    InFlight,
    /// It is not done, or done and not answered, or answered in part, until the caller gives up.
    Stalled,
}

impl Kind {
    /// Every kind, with its weight among all.
    pub const ALL: [(Self, u32); 13] = [
        (Self::Delayed, 26),
        (Self::SlowAnswer, 10),
        (Self::LostRequest, 8),
        (Self::LostAnswer, 8),
        (Self::HalfAnswer, 8),
        (Self::ResetRequest, 5),
        (Self::ResetAnswer, 6),
        (Self::CutRequest, 4),
        (Self::Throttled, 6),
        (Self::ThrottledEntries, 8),
        (Self::Failed, 6),
        (Self::InFlight, 3),
        (Self::Stalled, 2),
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::SlowAnswer => "slow answers",
            Self::LostRequest => "lost requests",
            Self::LostAnswer => "lost answers",
            Self::HalfAnswer => "half answers",
            Self::ResetRequest => "reset before",
            Self::ResetAnswer => "reset after",
            Self::CutRequest => "cut in the body",
            Self::Throttled => "throttled",
            Self::ThrottledEntries => "throttled entries",
            Self::Failed => "failed",
            Self::InFlight => "in flight",
            Self::Stalled => "stalled",
        }
    }

    /// Whether it can happen to such a request at all.
    fn suits(self, request: &Request) -> bool {
        match self {
            Self::ThrottledEntries => request.operation == "kinesis:PutRecords",
            Self::InFlight => request.operation == "s3:PutObject",
            Self::CutRequest => body(request) > 0,
            _ => true,
        }
    }
}

/// How many bytes of body its head says that a request has.
fn body(request: &Request) -> usize {
    let length = request.headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

/// Decides over every request, and counts what it does. Cheap to clone; clones share chance and counts.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    rate: Rate,
    drawn: Arc<Mutex<Drawn>>,
}

#[derive(Debug)]
struct Drawn {
    chance: Rng,
    happened: BTreeMap<Kind, u64>,
}

impl Faults {
    pub(super) fn new(rate: Rate, seed: u64) -> Self {
        let drawn = Drawn { chance: Rng::with_seed(seed), happened: BTreeMap::new() };
        Self { rate, drawn: Arc::new(Mutex::new(drawn)) }
    }

    /// What has happened so far, and how often.
    pub(super) fn happened(&self) -> BTreeMap<Kind, u64> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).happened.clone()
    }

    /// Draws one of some kinds, if it happens: each has its share of all requests.
    fn draw<T>(
        &self,
        request: &Request,
        kinds: impl Fn(Kind) -> bool,
        make: impl FnOnce(Kind, &mut Rng) -> T,
    ) -> Option<T> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = Kind::ALL.iter().map(|(_, weight)| weight).sum();
        let mut place = drawn.chance.u32(..1_000 * all);
        let (kind, _) = Kind::ALL.into_iter().find(|(_, weight)| {
            let share = weight * self.rate.in_a_thousand();
            let within = place < share;
            place = place.saturating_sub(share);
            within
        })?;
        if !kinds(kind) || !kind.suits(request) {
            return None;
        }
        *drawn.happened.entry(kind).or_default() += 1;
        Some(make(kind, &mut drawn.chance))
    }
}

impl Hook for Faults {
    fn on_request(&self, request: &Request) -> Fault {
        let s3 = request.operation.starts_with("s3:");
        let others = |kind| kind != Kind::CutRequest;
        self.draw(request, others, |kind, chance| fault(kind, s3, chance)).unwrap_or_default()
    }

    fn cut_in_body(&self, head: &Request) -> Option<usize> {
        self.draw(head, |kind| kind == Kind::CutRequest, |_, chance| chance.usize(..body(head)))
    }
}

/// Longer than any caller waits.
const FOR_EVER: Duration = Duration::from_mins(2);
const TOO_MUCH: &str = "ProvisionedThroughputExceededException";

fn fault(kind: Kind, s3: bool, chance: &mut Rng) -> Fault {
    let upto = |millis, chance: &mut Rng| Duration::from_millis(chance.u64(5..millis));
    match kind {
        Kind::Delayed => Fault::Delay(upto(300, chance)),
        Kind::SlowAnswer => Fault::SlowAnswer(upto(1_000, chance)),
        Kind::LostRequest => Fault::DropBefore,
        Kind::LostAnswer => Fault::DropAfter,
        Kind::HalfAnswer => Fault::CutAnswer,
        Kind::ResetRequest | Kind::CutRequest => Fault::ResetBefore,
        Kind::ResetAnswer => Fault::ResetAfter,
        Kind::Throttled if s3 => Fault::Respond(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Kind::Throttled => Fault::Respond(StatusCode::BAD_REQUEST, TOO_MUCH),
        Kind::ThrottledEntries => Fault::RefuseEntries(chance.u64(1..), TOO_MUCH),
        Kind::Failed if s3 => Fault::Respond(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Kind::Failed => Fault::Respond(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        Kind::InFlight => Fault::Respond(StatusCode::CONFLICT, "ConditionalRequestConflict"),
        Kind::Stalled => match chance.u8(..3) {
            0 => Fault::Delay(FOR_EVER),
            1 => Fault::SlowAnswer(FOR_EVER),
            _ => Fault::HoldAfter(Gate::new()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use localstack::{LocalAws, Options};

    use super::*;

    #[tokio::test]
    async fn the_rate_is_kept_and_every_kind_that_suits_happens() {
        let aws = LocalAws::start(Options::for_test()).await.expect("it starts");
        aws.create_bucket("bucket").expect("a bucket");
        let faults = Faults::new(Rate::Many, 7);
        let (shown, asked) = (faults.clone(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&asked);
        // A request that is seen once is drawn for many times over.
        aws.on_request(move |request: &Request| {
            for _ in 0..20_000 {
                shown.cut_in_body(request);
                shown.on_request(request);
                seen.fetch_add(1, Ordering::Relaxed);
            }
            Fault::Pass
        });
        let http = reqwest::Client::new();
        http.put(format!("{}/bucket/key", aws.endpoint())).body("body").send().await.expect("an answer");
        let happened = faults.happened();
        let total: u64 = happened.values().sum();
        let tenth = asked.load(Ordering::Relaxed) as u64 / 10;
        assert!(total > tenth * 8 / 10 && total < tenth * 11 / 10, "{total} of ten times {tenth}");
        let expected: Vec<Kind> =
            Kind::ALL.iter().map(|(kind, _)| *kind).filter(|kind| *kind != Kind::ThrottledEntries).collect();
        assert_eq!(happened.into_keys().collect::<Vec<_>>(), expected);
        assert!(Faults::new(Rate::None, 7).happened().is_empty());
    }
}
