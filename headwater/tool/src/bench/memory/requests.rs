//! The functions that take requests: the largest body that they read, and one that is too large for them.

use serde_json::{Value, json};

use super::{
    super::{Bench, Error, Figure},
    EVENTS, Function,
};
use crate::cluster::Cluster;

/// Each function with a command that it takes, by path and body; `#` is the number of the request.
const COMMANDS: [(&str, &str, &str); 5] = [
    ("accounts", "/accounts", r#"{"id":"asked-#""#),
    ("credit", "/accounts/asked-0/credit", r#"{"amount":5"#),
    ("withdraw", "/accounts/asked-0/withdraw", r#"{"amount":1"#),
    ("transfers", "/transfers", r#"{"id":"asked-#","from":"asked-0","to":"asked-1","amount":1"#),
    ("users", "/users", r#"{"id":"asked-#","username":"asked-#""#),
];
/// The largest body that a service reads.
const BODY_BYTES: usize = 256 << 10;
/// A body that is refused; Lambda takes 6 MiB in all.
const TOO_LARGE: usize = 5_900_000;

pub(super) async fn measure(bench: &Bench, cluster: &Cluster) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for (binary, path, begin) in COMMANDS {
        let function = Function::register(cluster, binary, "requests");
        bench.say(&function.name);
        for number in 0..bench.rounds(EVENTS).max(2) {
            let begin = begin.replace('#', &number.to_string());
            let body = format!("{begin}{}}}", " ".repeat(BODY_BYTES - begin.len() - 1));
            ask(&function, cluster, path, &body, &[200, 201, 202]).await?;
        }
        let bytes = ask(&function, cluster, path, &"x".repeat(TOO_LARGE), &[413]).await?;
        figures.push(function.figure(cluster, format!("{binary}, requests"), bytes)?);
    }
    Ok(figures)
}

/// Sends a request as API Gateway does; tells how large that was.
async fn ask(
    function: &Function,
    cluster: &Cluster,
    path: &str,
    body: &str,
    expected: &[u64],
) -> Result<usize, Error> {
    let request = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": "x", "content-type": "application/json"}, "isBase64Encoded": false, "body": body,
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "x", "domainPrefix": "x", "requestId": "r",
            "routeKey": "$default", "stage": "$default", "time": "21/Nov/2026:19:03:58 +0000",
            "timeEpoch": 1_795_287_838_000_i64,
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
        },
    });
    let request = request.to_string().into_bytes();
    let bytes = request.len();
    let answer: Value = serde_json::from_slice(&function.invoke(cluster, request).await?)?;
    match answer["statusCode"].as_u64() {
        Some(status) if expected.contains(&status) => Ok(bytes),
        _ => Err(format!("{} answers {answer}", function.name).into()),
    }
}
