//! A short soak: one request in ten is lost, cut, reset, slow, stalled or refused, processes are killed and frozen, and no
//! invariant is broken. Memory is judged by the long one (`headwater soak`), not here.

#![allow(clippy::expect_used, reason = "a test")]

use std::{collections::BTreeSet, time::Duration};

use headwater_tool::{
    cluster::SERVICES,
    soak::{Deed, Kind, LOCAL_AWS, Rate, Soak, soak},
};
use indicatif::ProgressBar;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_under_faults_and_kills() {
    let plan = Soak {
        time: Duration::from_secs(20),
        seed: 3,
        rate: Rate::Many,
        processes: 2,
        accounts: 20,
        clients: 24,
        data: None,
    };
    let figures = soak(&plan, &ProgressBar::hidden()).await.expect("every command is answered");

    assert_eq!(figures.summary.violations, Vec::<String>::new());
    assert_eq!(figures.unruly, Vec::<String>::new());
    assert!(figures.holds());
    // It would prove nothing, had nothing happened.
    let faults: u64 = figures.faults.values().sum();
    assert!(faults * 20 > figures.requests, "{faults} of {} requests", figures.requests);
    let often = [Kind::LostRequest, Kind::LostAnswer, Kind::HalfAnswer, Kind::ResetAnswer, Kind::Throttled];
    assert!(often.iter().all(|kind| figures.faults.contains_key(kind)), "{:?}", figures.faults);
    assert!(figures.deeds.contains_key(&Deed::ServiceKilled), "{:?}", figures.deeds);
    assert!(figures.summary.repeated_commits > 0, "nothing was helped along");
    // Every role was measured.
    let roles: BTreeSet<&str> = figures.memory.iter().map(|role| role.role.as_str()).collect();
    let services = SERVICES.map(|(service, _)| service);
    // Nobody has too many accounts here, so `exceptions` is never invoked.
    let lambdas = [
        "archiver (Lambda)",
        "balance (Lambda)",
        "credit-limit (Lambda)",
        "holdings (Lambda)",
        "relay (Lambda)",
        "transfer-process (Lambda)",
    ];
    assert_eq!(roles, services.into_iter().chain(lambdas).chain([LOCAL_AWS]).collect());
    assert!(figures.memory.iter().all(|role| role.most > 1 << 20), "{:?}", figures.memory);
}
