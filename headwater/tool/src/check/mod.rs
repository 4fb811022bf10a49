//! The check after load: every invariant over what really stands in S3, Kinesis, views and segments, against what the
//! clients were told; and the bank's own promises.

mod summary;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use archiver::{chain::ChainError, replay::Replay};
use bank::{Account, AccountEvent, Books, User};
use consumers::{balance::Balances, credit_limit::CreditLimits};
use futures::TryStreamExt;
use headwater::{
    Aggregate, CommitId, Schemas, StoreError, StreamId, aws::Clients, consume::Rules, evidence::Evidence,
    invariants::History,
};

pub use self::summary::Summary;
use crate::{
    cluster::{ARCHIVE, STORE, STREAM},
    drive::{Driven, OVERDRAFT_LIMIT},
};

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The evidence could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be replayed.
    #[error(transparent)]
    Archive(#[from] ChainError),
}

/// What a check found.
#[derive(Debug)]
pub struct Found {
    /// What stands.
    pub evidence: Evidence,
    /// Segments of the archive.
    pub segments: u64,
    /// What is broken of the invariants and of the bank's own promises.
    pub violations: Vec<String>,
}

/// Checks every invariant over what stands, and against what callers were told.
pub async fn check(clients: &Clients, driven: &Driven) -> Result<Found, CheckError> {
    let (evidence, segments) = gather(clients).await?;
    let mut violations: Vec<String> = evidence.violations().iter().map(ToString::to_string).collect();
    violations.extend(evidence.told(&driven.answers, &driven.observations).iter().map(ToString::to_string));
    violations.extend(money(&evidence.histories, driven));
    violations.extend(books(&evidence.histories));
    Ok(Found { evidence, segments, violations })
}

/// What stands, and how many segments hold it.
async fn gather(clients: &Clients) -> Result<(Evidence, u64), CheckError> {
    let ports = clients.ports(STORE, STREAM);
    let replay = Replay::new(Arc::new(clients.objects(ARCHIVE)), Arc::clone(&ports.entropy), STREAM);
    let mut evidence = Evidence::gather(&ports).await?;
    let commits = replay.commits().map_ok(|replayed| (replayed.archived.stream, replayed.archived.commit));
    evidence.replayed(commits.try_collect::<Vec<_>>().await?);
    evidence.projected(&ports, &Rules::of(Balances)).await?;
    evidence.claimed::<User>(&ports).await?;
    evidence.projected(&ports, &Rules::forwarding(CreditLimits)).await?;
    Ok((evidence, replay.count().await?.segments))
}

/// The bank's own promises: every account has what the answers say, and none was ever below its overdraft limit.
fn money(histories: &BTreeMap<StreamId, History>, driven: &Driven) -> Vec<String> {
    let mut violations = Vec::new();
    let ledger = ledger(histories, driven);
    for (stream, expected) in &ledger {
        let (mut account, mut lowest) = (Account::default(), 0);
        for stored in histories
            .get(stream)
            .iter()
            .flat_map(|history| &history.commits)
            .flat_map(|commit| &commit.events)
        {
            match Schemas::of::<Account>().decode::<AccountEvent>(stored) {
                Ok(event) => account.evolve(&event),
                Err(error) => violations.push(format!("{stream}: {error}")),
            }
            lowest = lowest.min(account.balance().get());
        }
        if account.balance().get() != *expected {
            violations.push(format!("{stream} has {}, the answers make {expected}", account.balance()));
        }
        if lowest < -OVERDRAFT_LIMIT {
            violations
                .push(format!("{stream} was at {lowest}, below its overdraft limit of {OVERDRAFT_LIMIT}"));
        }
    }
    violations
}

/// What breaks a rule of money between accounts, all of them together.
fn books(histories: &BTreeMap<StreamId, History>) -> Vec<String> {
    let mut books = Books::default();
    let mut violations = Vec::new();
    for (stream, history) in histories {
        let events = history.commits.iter().flat_map(|commit| &commit.events);
        violations.extend(books.take(stream, events).err().map(|error| format!("{stream}: {error}")));
    }
    violations.extend(books.audit_at_rest().violations);
    violations
}

/// What each account must have: by the answers, and by those commits of doubtful commands that stand.
fn ledger(histories: &BTreeMap<StreamId, History>, driven: &Driven) -> BTreeMap<StreamId, i64> {
    let mut ledger = driven.ledger.clone();
    let doubtful: HashSet<(&StreamId, &CommitId)> =
        driven.doubtful.iter().map(|(stream, commit, _)| (stream, commit)).collect();
    let standing: HashSet<(&StreamId, &CommitId)> = histories
        .iter()
        .flat_map(|(stream, history)| history.commits.iter().map(move |commit| (stream, &commit.id)))
        .filter(|commit| doubtful.contains(commit))
        .collect();
    for (stream, commit, amount) in &driven.doubtful {
        if standing.contains(&(stream, commit)) {
            *ledger.entry(stream.clone()).or_default() += amount;
        }
    }
    ledger
}

#[cfg(test)]
mod tests {
    use headwater::{
        Version,
        format::{
            commit::{Commit, Meta},
            head::Head,
        },
    };

    use super::*;

    fn history(stream: &StreamId, id: &str) -> History {
        let commit = Commit {
            id: id.parse().expect("an id"),
            first: Version::new(1),
            last: Version::new(1),
            at: jiff::Timestamp::UNIX_EPOCH,
            events: Vec::new(),
            meta: Meta::new(),
        };
        History { head: Head::new(stream.clone()), commits: vec![Arc::new(commit)] }
    }

    #[test]
    fn a_doubtful_command_counts_where_it_stands() {
        let [one, two]: [StreamId; 2] =
            ["account/1", "account/2"].map(|name| name.parse().expect("a stream"));
        let mut driven = Driven::new().expect("nothing yet");
        driven.ledger.extend([(one.clone(), 10), (two.clone(), 10)]);
        let key: CommitId = "key".parse().expect("an id");
        driven.doubtful.extend([(one.clone(), key.clone(), -3), (two.clone(), key, -3)]);
        let histories =
            BTreeMap::from([(one.clone(), history(&one, "key")), (two.clone(), history(&two, "another"))]);
        assert_eq!(ledger(&histories, &driven), BTreeMap::from([(one, 7), (two, 10)]));
    }
}
