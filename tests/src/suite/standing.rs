//! What stands after a run: its streams in S3, their records in Kinesis, their segments, views and claims, against one another
//! and against what callers were told. H1 to H11, and the bank's own rule of money.

use archiver::replay::Replay;
use bank::{Books, User};
use consumers::{balance::Balances, credit_limit::CreditLimits, exceptions::Exceptions};
use futures::{TryStreamExt, future};
use headwater::{consume::Rules, evidence::Evidence};

use crate::{Place, eventually};

/// Waits until views and archive have taken in everything, and every promise is kept; tells what was looked at.
pub(super) async fn keeps_every_promise(place: &Place) -> String {
    eventually(place.patience(), async || {
        let evidence = gather(place).await?;
        let (answers, observations) = place.told().all();
        assert_eq!(
            evidence.told(&answers, &observations),
            [],
            "what was told does not become right by waiting"
        );
        let mut broken: Vec<String> = evidence.violations().iter().map(ToString::to_string).collect();
        broken.extend(money(&evidence));
        if !broken.is_empty() {
            return Err(broken.join("\n"));
        }
        let (streams, commits, views) = (evidence.histories.len(), evidence.commits(), evidence.views.len());
        let (answers, observations) = (answers.len(), observations.len());
        Ok(format!(
            "every promise is kept over {streams} streams, {commits} commits, {} records, {views} views, \
             {answers} answers and {observations} reads",
            evidence.records
        ))
    })
    .await
}

/// What stands of this run.
async fn gather(place: &Place) -> Result<Evidence, String> {
    let ports = place.ports();
    let mut evidence =
        Evidence::gather_of(&ports, |stream| place.owns(stream)).await.map_err(|error| error.to_string())?;
    let replay = Replay::new(place.archive(), ports.entropy.clone(), place.stream());
    let commits = replay.commits().map_ok(|replayed| (replayed.archived.stream, replayed.archived.commit));
    let commits = commits.try_filter(|(stream, _)| future::ready(place.owns(stream)));
    evidence.replayed(commits.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?);
    let read = async {
        evidence.projected(&ports, &Rules::of(Balances)).await?;
        evidence.projected(&ports, &Rules::of(Exceptions)).await?;
        evidence.projected(&ports, &Rules::forwarding(CreditLimits)).await?;
        evidence.claimed::<User>(&ports).await
    };
    read.await.map_err(|error: headwater::StoreError| error.to_string())?;
    Ok(evidence)
}

/// What breaks a rule of money between this run's accounts.
fn money(evidence: &Evidence) -> Vec<String> {
    let mut books = Books::default();
    let mut broken = Vec::new();
    for (stream, history) in &evidence.histories {
        let events = history.commits.iter().flat_map(|commit| &commit.events);
        broken.extend(books.take(stream, events).err().map(|error| format!("{stream}: {error}")));
    }
    broken.extend(books.audit_at_rest().violations);
    broken
}
