//! One request, and what a good client does with it: it asks again, with the same key, until it has an answer that says
//! something.

use std::time::Duration;

use headwater::{StreamId, Token};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::Place;
use crate::Answer;

/// How long a client waits for one answer: longer than a service takes to give up.
const ATTEMPT: Duration = Duration::from_secs(35);
/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(40);

/// A request.
#[must_use = "nobody has asked yet"]
pub struct Ask<'a> {
    place: &'a Place,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    signed: bool,
}

impl<'a> Ask<'a> {
    pub(super) fn new(place: &'a Place, method: Method, path: String) -> Self {
        Self { place, method, path, headers: Vec::new(), body: String::new(), signed: true }
    }

    /// With a header, in the place of one of the same name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this `Idempotency-Key`.
    pub fn with_key(self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    /// Only on top of this version.
    pub fn only_at(self, version: u64) -> Self {
        self.with("if-match", format!("\"{version}\""))
    }

    /// Showing this write at least.
    pub fn showing(self, token: &Token) -> Self {
        self.with("session-token", token.to_string())
    }

    /// With a body, whatever it is.
    pub fn with_body(mut self, media_type: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        self.with("content-type", media_type)
    }

    /// As nobody.
    pub fn unsigned(self) -> Self {
        Self { signed: false, ..self }
    }

    /// Asks until there is an answer that says something: not that others were faster, that there is too much to do, or that
    /// nobody knows.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub async fn answer(&self) -> Answer {
        let deadline = Instant::now() + self.place.patience();
        loop {
            let found = match self.once().await {
                Ok(answer) if says_something(&answer) => return answer,
                Ok(answer) => format!("{answer:?}"),
                Err(error) => format!("{error:?}"),
            };
            assert!(Instant::now() < deadline, "{} {}: {found}", self.method, self.path);
            sleep(PAUSE).await;
        }
    }

    /// Asks until there is an answer, which must have this status.
    ///
    /// # Panics
    ///
    /// If it has another.
    pub async fn expect(&self, status: u16) -> Answer {
        let answer = self.answer().await;
        assert_eq!(answer.status.as_u16(), status, "{} {}: {answer:?}", self.method, self.path);
        answer
    }

    /// Asks once.
    async fn once(&self) -> Result<Answer, reqwest::Error> {
        let must_show = self.must_show();
        let mut request = self.place.http.request(self.method.clone(), self.place.url(&self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(self.body.clone()).timeout(ATTEMPT).build()?;
        if self.signed
            && let Some(signer) = self.place.signer()
        {
            signer.sign(&mut request).await;
        }
        let answer = Answer::read(self.place.http.execute(request).await?).await?;
        self.keep(&answer, must_show);
        Ok(answer)
    }

    /// What a read must show that begins now: of a stream that is loaded, whatever has been answered; of a view, the token.
    fn must_show(&self) -> Option<Token> {
        let mut parts = self.path.trim_start_matches('/').split('/');
        let kind = match parts.next()? {
            "accounts" => "account",
            "transfers" => "transfer",
            "users" => "user",
            _ => return self.header("session-token")?.parse().ok(),
        };
        let stream = StreamId::new(kind, parts.next()?).ok()?;
        let version = self.place.told.newest(&stream)?;
        Some(Token { stream, version })
    }

    /// Keeps what was told.
    fn keep(&self, answer: &Answer, must_show: Option<Token>) {
        let Some(told) = answer.token() else { return };
        if self.method == Method::POST {
            if let Some(key) = self.header("idempotency-key").filter(|_| answer.status.is_success()) {
                self.place.told.answered(key, told);
            }
        } else if let Some(Token { version, .. }) = must_show.filter(|must| must.stream == told.stream) {
            self.place.told.observed(version, told);
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a client has no reason to ask again.
fn says_something(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::CONFLICT => answer.problem() != "conflict",
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => false,
        _ => true,
    }
}
