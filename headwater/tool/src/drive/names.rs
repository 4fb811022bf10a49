//! Users who want the same names: two for each, at the same time, at any process. One gets it, the other is told so (H9).

use std::time::Duration;

use fastrand::Rng;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{DriveError, Plan, client::is_problem};

/// How long a client repeats a registration.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where users register.
const PATH: &str = "/users";

/// Registers two users for each of so many names.
pub async fn register(plan: &Plan, names: usize) -> Result<(), DriveError> {
    let http = Client::new();
    let wants = (0..names).map(|number| {
        let (http, name) = (&http, format!("n-{}-{number}", plan.run));
        async move {
            let loud = name.to_uppercase();
            let (one, other) = tokio::join!(want(plan, http, &name, 1), want(plan, http, &loud, 2));
            match (one?, other?) {
                (true, false) | (false, true) => Ok(()),
                (both, _) => {
                    let found =
                        format!("{} of two users got the name {name}", if both { "both" } else { "none" });
                    Err(failed(found))
                }
            }
        }
    });
    stream::iter(wants).buffer_unordered(plan.clients).try_collect().await
}

/// Whether this user got the name; asked until there is an answer.
async fn want(plan: &Plan, http: &Client, name: &str, user: u8) -> Result<bool, DriveError> {
    let id = format!("{}-{user}", name.to_lowercase());
    let mut chance = Rng::with_seed(plan.seed ^ u64::from(user));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let base = plan.addresses.pick("users", &mut chance).ok_or(DriveError::NoService("users"))?;
        let request = http.post(base + PATH).header("Idempotency-Key", &id).timeout(plan.request);
        let found = match request.json(&json!({"id": id, "username": name})).send().await {
            Ok(response) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_default();
                match status {
                    StatusCode::CREATED => return Ok(true),
                    StatusCode::CONFLICT if is_problem(&body, "taken") => return Ok(false),
                    StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => body,
                    _ => return Err(failed(format!("{status}: {body}"))),
                }
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(failed(found));
        }
        sleep(Duration::from_millis(chance.u64(5..50))).await;
    }
}

fn failed(found: String) -> DriveError {
    DriveError::Failed { request: PATH.to_owned(), found }
}
