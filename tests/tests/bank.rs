//! The suite that runs in any place: without `HEADWATER_URL` on the embedded AWS, with it on the stack that `infra/deploy` has
//! told of.

use headwater_tests::{Place, suite};

#[tokio::test(flavor = "multi_thread")]
async fn the_bank_keeps_its_promises_wherever_it_runs() {
    suite::run(Place::here().await).await;
}
