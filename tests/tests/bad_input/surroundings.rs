//! What stands or is set up wrongly: nothing is guessed, and nothing is written over what can't be read.

use std::{path::PathBuf, process::Stdio};

use futures::future::join_all;
use headwater::{aws, format::key, port::Got};
use headwater_tests::{Answer, PATIENCE};
use headwater_tool::cluster::{STORE, STREAM, binaries::Binaries};
use localstack::{Credentials, LocalAws, Options};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Refusal, World, standing::Standing};

/// What becomes of a head's text.
type Damage = fn(&str) -> String;

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_can_not_be_read_is_corrupt_and_stays_as_it_is() {
    let world = World::new().await;
    let corrupt = Refusal::of(500, "/problems/corrupt");
    let mut wrong = Vec::new();
    let damages: [(&str, Damage); 5] = [
        ("another-format", another_format),
        ("cut-off", |head| head[..head.len() / 2].to_owned()),
        ("of-another", |head| head.replace("of-another", "of-somebody")),
        ("no-head", |_| "[]".to_owned()),
        ("empty", |_| String::new()),
    ];
    for (id, damage) in damages {
        world.account(id).await;
        let object = key::head(&format!("account/{id}").parse().expect("a stream"));
        overwrite(&world, &object, damage).await;

        let before = world.standing().await;
        let amount = r#"{"amount":1}"#;
        let requests = [
            world.get("accounts", &format!("/accounts/{id}")),
            world.post("accounts", "/accounts", &json!({ "id": id }).to_string()),
            world.post("accounts", &format!("/accounts/{id}/close"), ""),
            world.post("credit", &format!("/accounts/{id}/credit"), amount),
            world.post("withdraw", &format!("/accounts/{id}/withdraw"), amount),
        ];
        for answer in join_all(requests.map(Answer::to)).await {
            wrong.extend(corrupt.differs(&answer).map(|found| format!("{id}: {found}")));
            assert_eq!(answer.json["detail"], Value::Null, "why is the operator's to know");
        }
        assert_eq!(world.standing().await, before, "{id}: something was written");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let healthy = Answer::to(world.post("credit", "/accounts/42/credit", r#"{"amount":1}"#)).await;
    assert_eq!(healthy.status, 200, "the others go on");
    world.cluster.stop(PATIENCE).await;
}

fn another_format(head: &str) -> String {
    let mut head: Value = serde_json::from_str(head).expect("a head");
    assert_eq!(head["format"], 1, "the head has a format number");
    head["format"] = json!(99);
    head.to_string()
}

/// Damages an object as a stranger would.
async fn overwrite(world: &World, object: &str, damage: Damage) {
    let Got::Found { body, .. } = world.ports.objects.get(object, None).await.expect("S3 answers") else {
        panic!("{object} does not stand")
    };
    let text = std::str::from_utf8(&body).expect("text");
    let damaged = damage(text);
    assert_ne!(damaged, text);
    let clients = world.cluster.clients().await.expect("clients");
    let put = clients.s3().put_object().bucket(STORE).key(object).body(damaged.into_bytes().into());
    put.send().await.expect("it is written");
}

/// A service of the bank as a process; killed when it is dropped.
struct Service {
    url: String,
    _child: Child,
}

impl Service {
    async fn start(name: &str, environment: &[(&str, &str)]) -> Self {
        let binary: PathBuf = Binaries::ready().expect("the binaries").path(name);
        let mut command = Command::new(binary);
        command.env_clear().envs(environment.iter().copied()).env("HEADWATER_LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line");
        let line = line.expect("it listens");
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { url, _child: child }
    }

    async fn open(&self, id: &str) -> Answer {
        let request = Client::new().post(format!("{}/accounts", self.url)).json(&json!({ "id": id }));
        Answer::to(request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_set_up_wrongly_says_so_and_writes_nothing() {
    let pair = |id: &str, secret: &str| Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
    };
    // The key pair of `aws::Settings::local`, with which this test itself asks.
    let options = Options { credentials: Some(pair("test", "test")), ..Options::for_test() };
    let local = LocalAws::start(options).await.expect("AWS starts");
    local.create_bucket(STORE).expect("a bucket");
    local.create_stream(STREAM, 1).await.expect("a stream");
    let settings = aws::Settings::local(local.endpoint());
    let ports = aws::connect(&settings).await.expect("clients").ports(STORE, STREAM);
    let right = [
        ("AWS_ENDPOINT_URL", local.endpoint()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("HEADWATER_STORE", STORE),
        ("HEADWATER_STREAM", STREAM),
        ("HEADWATER_LOG", "off"),
    ];
    let but = |name: &str, value: &'static str| {
        right.map(|(variable, right)| (variable, if variable == name { value } else { right }))
    };
    let denied = Refusal::of(500, "/problems/denied");
    for (what, environment) in [
        ("a missing bucket", but("HEADWATER_STORE", "nowhere")),
        ("an unknown key", but("AWS_ACCESS_KEY_ID", "stranger")),
        ("a wrong secret", but("AWS_SECRET_ACCESS_KEY", "guessed")),
    ] {
        let service = Service::start("accounts", &environment).await;
        let before = Standing::of(&local, &ports).await;
        let answer = service.open("7").await;
        assert_eq!(denied.differs(&answer), None, "{what}");
        assert_eq!(Standing::of(&local, &ports).await, before, "{what}: something was written");
    }
    // A missing stream is found out only after the commit: it stands, the answer says that Kinesis does not have it, and
    // whoever has the stream publishes it with the next write.
    let service = Service::start("accounts", &but("HEADWATER_STREAM", "nowhere")).await;
    let pending = service.open("8").await;
    assert_eq!(
        (pending.status.as_u16(), &pending.json["publication"]),
        (201, &json!("pending")),
        "{pending:?}"
    );
    let standing = Standing::of(&local, &ports).await;
    assert_eq!((standing.keys(), standing.records), (vec!["heads/account/8"], 0));
    drop(service);

    let credit = Service::start("credit", &right).await;
    let request = Client::new().post(format!("{}/accounts/8/credit", credit.url)).json(&json!({"amount": 1}));
    let credited = Answer::to(request).await;
    assert_eq!((credited.status.as_u16(), &credited.json["publication"]), (200, &json!("published")));
    let evidence = headwater::evidence::Evidence::gather(&ports).await.expect("the store reads");
    assert_eq!(evidence.published.values().map(Vec::len).collect::<Vec<_>>(), [2]);
    local.shutdown().await;
}
