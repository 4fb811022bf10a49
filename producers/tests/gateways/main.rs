//! One table of odd requests, asked on a port and through every gateway that a Lambda may stand behind: the answers are the
//! same, and so is what is in the store afterwards.
//!
//! A gateway of [`Gateway::HttpApi`] decodes paths before it hands them over. What an encoded slash, an encoded question mark
//! or bytes that are no UTF-8 were, nobody can tell then: those must be refused there as on a port, in whatever words.

#![allow(unreachable_pub, clippy::expect_used, clippy::unwrap_used, reason = "the modules of one test")]

mod event;
mod table;

use std::sync::Arc;

use axum::Router;
use headwater::memory::World;
use producers::{Bank, accounts, credit};
use serde_json::{Value, value::RawValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    event::Gateway,
    table::{Asked, Service},
};

/// Both services over a world of their own, with the accounts M1 and M2.
struct Place {
    world: Arc<World>,
    accounts: Router,
    credit: Router,
}

/// What is compared of an answer: its status, and its body but for the path, which is encoded in more than one way.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u64,
    body: Option<Value>,
}

impl Answered {
    fn of(asked: &Asked, status: u64, body: &str) -> Self {
        // Whoever hands an answer to a HEAD over leaves its body out.
        let body = if asked.method == "HEAD" { "" } else { body };
        let mut body: Option<Value> = serde_json::from_str(body).ok();
        if let Some(Value::Object(members)) = &mut body {
            members.remove("instance");
        }
        Self { status, body }
    }

    fn is_refused(&self) -> bool {
        (400..500).contains(&self.status)
    }
}

impl Place {
    fn new() -> Self {
        let world = Arc::new(World::new(11));
        let bank = Bank::new(world.ports());
        Self { accounts: accounts::app(bank.clone()), credit: credit::app(bank), world }
    }

    fn service(&self, service: Service) -> Router {
        match service {
            Service::Accounts => self.accounts.clone(),
            Service::Credit => self.credit.clone(),
        }
    }

    /// Asks as this gateway does.
    async fn invoke(&self, gateway: Gateway, asked: &Asked) -> Answered {
        let event = RawValue::from_string(gateway.event(asked).to_string()).expect("JSON");
        let answer = service::answer_event(self.service(asked.service), &event).await.expect("an answer");
        let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        Answered::of(
            asked,
            answer["statusCode"].as_u64().expect("a status"),
            answer["body"].as_str().expect("a body"),
        )
    }

    /// Asks on a port, byte by byte what is written in the table.
    async fn ask(&self, asked: &Asked) -> Answered {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(axum::serve(listener, self.service(asked.service)).into_future());
        let mut caller = TcpStream::connect(address).await.expect("connects");
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", asked.method, asked.target);
        for (name, value) in &asked.headers {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        head.extend(["content-length: ", &asked.body.len().to_string(), "\r\n\r\n"]);
        caller.write_all(head.as_bytes()).await.expect("sends");
        // A server may answer before it has read all of a body that is too long.
        let _ = caller.write_all(&asked.body).await;
        let mut answer = Vec::new();
        let _ = caller.read_to_end(&mut answer).await;
        server.abort();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Answered::of(asked, status.unwrap_or_else(|| panic!("no answer to {asked:?}: {answer:?}")), body)
    }

    /// Every stream's newest state.
    fn heads(&self) -> Vec<(String, Value)> {
        let read = |(key, body): (String, bytes::Bytes)| {
            let head: Value = serde_json::from_slice(&body).expect("JSON");
            (key, head["version"].clone())
        };
        self.world.objects.all("heads/").into_iter().map(read).collect()
    }
}

#[tokio::test]
async fn odd_requests_are_answered_alike_on_a_port_and_behind_every_gateway() {
    let table = table::all();
    assert!(table.len() > 100, "{}", table.len());
    let port = Place::new();
    let mut expected = Vec::new();
    for asked in &table {
        expected.push(port.ask(asked).await);
    }
    let mut differences = Vec::new();
    for gateway in Gateway::ALL {
        let place = Place::new();
        for (asked, expected) in table.iter().zip(&expected) {
            if !gateway.can_tell(asked) {
                continue;
            }
            let answered = place.invoke(gateway, asked).await;
            // What the server refuses before a service sees it has no words of ours.
            let alike = answered == *expected
                || (answered.is_refused()
                    && expected.is_refused()
                    && (expected.body.is_none() || asked.is_lossy()));
            if !alike {
                differences.push(format!("{gateway:?} {asked:?}: {answered:?}, and on a port {expected:?}"));
            }
        }
        assert_eq!(place.heads(), port.heads(), "{gateway:?}: another state");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn a_decoded_path_acts_on_no_other_account() {
    let place = Place::new();
    for id in ["M1", "M2"] {
        let opened =
            place.ask(&Asked::post(Service::Accounts, "/accounts", &format!(r#"{{"id":"{id}"}}"#))).await;
        assert_eq!(opened.status, 201, "{opened:?}");
    }
    let before = place.heads();
    for path in [
        "/accounts/M\n1/credit",
        "/accounts/M\t1/credit",
        "/accounts/M\r1/credit",
        "/accounts/ M1/credit",
        "/accounts/evil\\..\\M1/credit",
        "/accounts/M2/../M1/credit",
        "/accounts/./M1/credit",
        "/accounts/M1?/credit",
        "/accounts/M1#/credit",
        "/accounts/M%31/credit",
        "/accounts/M1/x/credit",
        "/accounts/M1\u{fffd}/credit",
    ] {
        let mut event =
            Gateway::HttpApi.event(&Asked::post(Service::Credit, "/accounts/M1/credit", r#"{"amount":1}"#));
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        let event = RawValue::from_string(event.to_string()).expect("JSON");
        let answer = service::answer_event(place.credit.clone(), &event).await.expect("an answer");
        let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        assert_eq!(answer["statusCode"], 400, "{path:?}: {answer}");
    }
    assert_eq!(place.heads(), before);
}
