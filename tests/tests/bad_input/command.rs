//! What a user of `headwater` gets wrong: exit code 1, one line on stderr that names it and the next step, nothing written.

use std::{io::Write, process::Stdio, sync::Arc, time::Duration};

use headwater::{
    aws,
    format::identity::Names,
    identity,
    port::{Objects, Ports},
};
use headwater_tests::PATIENCE;
use headwater_tool::cluster::{ARCHIVE, STORE, STREAM, binaries::Binaries};
use localstack::{Credentials, LocalAws, Options};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};

use super::standing::Standing;

/// The real binary, without anything that cargo or a shell set for this test.
fn headwater(arguments: &[&str]) -> Command {
    let binary = Binaries::ready().expect("the binaries").path("headwater");
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().env("HEADWATER_LOG", "off").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end: exit code, stdout, stderr.
async fn ended(mut command: Command) -> (i32, String, String) {
    let output = timeout(PATIENCE, command.output()).await.expect("it ends in time").expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

/// A store on a local AWS.
async fn store(options: Options) -> (LocalAws, Ports) {
    let local = LocalAws::start(options).await.expect("AWS starts");
    for bucket in [STORE, ARCHIVE] {
        local.create_bucket(bucket).expect("a bucket");
    }
    local.create_stream(STREAM, 1).await.expect("a stream");
    let clients = aws::connect(&aws::Settings::local(local.endpoint())).await.expect("clients");
    let ports = clients.ports(STORE, STREAM);
    let names = Names { store: STORE.to_owned(), stream: STREAM.to_owned(), archive: ARCHIVE.to_owned() };
    let archive: Arc<dyn Objects> = Arc::new(clients.objects(ARCHIVE));
    let Ports { objects, entropy, clock, .. } = &ports;
    identity::create(objects, &archive, entropy, &names, clock.now()).await.expect("a store");
    (local, ports)
}

/// A line of an import.
fn line(stream: &str, id: &str) -> String {
    let event = r#"{"type":"Noted","data":{"n":1}}"#;
    format!(r#"{{"stream":"{stream}","id":"{id}","at":"2010-10-02T09:20:39.266+02:00","events":[{event}]}}"#)
}

fn file(lines: &[String]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(lines.join("\n").as_bytes()).expect("it is written");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_target_is_told_with_the_next_step() {
    let pair = Credentials { access_key_id: "test".to_owned(), secret_access_key: "test".to_owned() };
    let (local, ports) = store(Options { credentials: Some(pair), ..Options::for_test() }).await;
    let file = file(&[line("note/1", "a")]);
    let import = ["import", file.path().to_str().expect("a path")];
    let read = ["read", "note/1"];
    let before = Standing::of(&local, &ports).await;
    for (arguments, secret, code, says) in [
        ([&import[..], &["--store", "nowhere"]].concat(), "test", 1, "there is no bucket nowhere at http://"),
        (
            [&import[..], &["--stream", "nowhere"]].concat(),
            "test",
            1,
            "the stream nowhere is not the one of the store headwater-store",
        ),
        (vec!["tail", "--stream", "nowhere"], "test", 1, "there is no stream nowhere at http://"),
        ([&read[..], &["--store", "nowhere"]].concat(), "test", 1, "give --store"),
        (vec!["parked", "--store", "nowhere"], "test", 1, "give --store"),
        (import.to_vec(), "guessed", 1, "check AWS_PROFILE, or AWS_ACCESS_KEY_ID"),
        (read.to_vec(), "guessed", 1, "does not let you use bucket headwater-store"),
        (vec!["tail"], "guessed", 1, "does not let you use stream headwater"),
        (read.to_vec(), "test", 1, "there is no stream note/1 in bucket headwater-store: check the name"),
        (vec!["import", "/no/such/file"], "test", 1, "/no/such/file can't be opened"),
        (vec!["read", "no-stream"], "test", 2, "kind/id"),
        (vec!["read", "Note/1"], "test", 2, "kind must be 1 to 40 lower-case letters"),
    ] {
        let mut command = headwater(&arguments);
        command.env("AWS_ENDPOINT_URL", local.endpoint()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", secret);
        let (found, shown, said) = ended(command).await;
        assert_eq!((found, shown.as_str()), (code, ""), "{arguments:?}: {said}");
        assert!(said.contains("error: ") && said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(Standing::of(&local, &ports).await, before, "{arguments:?}: something was written");
    }
    local.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_named_and_nothing_of_it_is_committed() {
    let good = line("note/bad", "a");
    for (bad, says) in [
        (good.replace("note/bad", "note"), "line 3: stream must read kind/id, as account/42"),
        (good.replace("note/bad", &"n".repeat(41)), "line 3: stream "),
        (
            good.replace(r#""id":"a""#, r#""id":"a b""#),
            "line 3: id must be 1 to 192 visible ASCII characters",
        ),
        (good.replace(r#""id":"a","#, ""), "line 3: missing field `id`"),
        (good.replace("+02:00", ""), "line 3: at must be an RFC 3339 time with an offset"),
        (good.replace("Noted", ""), "line 3: events[0].type must have 1 to 128 bytes"),
        (good.replace(r#","data":{"n":1}"#, ""), "line 3: events[0] missing field `data`"),
        (good.replace(r#""data""#, r#""date""#), "line 3: events[0].date unknown field `date`"),
        (
            good.replace(r#"[{"type":"Noted","data":{"n":1}}]"#, "[]"),
            "line 3: events must be 1 to 1000, are 0",
        ),
        (good.replace("\"at\"", "\"when\""), "line 3: when unknown field `when`"),
        (good[..40].to_owned(), "line 3: "),
        ("x".repeat(3 << 20), "line 3: has 3145728 bytes, the most is 2097152"),
        (good.replace("{\"n\":1}", &format!("\"{}\"", "x".repeat(1 << 20))), "line 3: "),
    ] {
        let (local, ports) = store(Options::for_test()).await;
        let file = file(&[line("note/1", "a"), line("note/2", "a"), bad]);
        let path = file.path().to_str().expect("a path");
        let mut command = headwater(&["import", path, "--json"]);
        command.env("AWS_ENDPOINT_URL", local.endpoint());
        let (code, shown, said) = ended(command).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(said.contains("nothing of this line is committed, every line before it is"), "{said}");
        assert!(said.len() < 2_000, "an error does not repeat megabytes: {} bytes", said.len());
        let summary: serde_json::Value = serde_json::from_str(&shown).expect("a summary");
        assert_eq!((&summary["commits"], &summary["bad"]), (&2.into(), &1.into()), "{says}");
        let standing = Standing::of(&local, &ports).await;
        assert_eq!(standing.keys(), ["heads/note/1", "heads/note/2", "store.json"], "{says}");
        assert!((1..=2).contains(&standing.records), "{says}: {standing:?}");
        local.shutdown().await;
    }
}

/// A running `headwater up`, told to end when it is dropped, so that it takes its services along.
struct Up(Child);

impl Up {
    /// Tells it to end; false where it can't be told.
    fn end(&self) -> bool {
        let Some(id) = self.0.id() else { return false };
        let told = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status();
        told.is_ok_and(|status| status.success())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // A test that fails still lets it end by itself: killed, it would leave its services behind.
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.end() && matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_up_on_the_same_port_says_what_to_do() {
    let mut first = Up(headwater(&["up", "--any-port"]).stderr(Stdio::null()).spawn().expect("it starts"));
    let mut lines = BufReader::new(first.0.stdout.take().expect("its output")).lines();
    let port = loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("it writes");
        let line = line.expect("it says where AWS is");
        if let Some(url) = line.trim().strip_prefix("AWS ") {
            break url.rsplit(':').next().expect("a port").to_owned();
        }
    };
    let (code, shown, said) = ended(headwater(&["up", "--port", &port])).await;
    assert_eq!((code, shown.as_str()), (1, ""), "{said}");
    let next = format!(
        "error: port {port}, which is that of the local AWS, is taken: end the program that listens there, or start with --any-port"
    );
    assert!(said.contains(&next), "{said}");
    // The first one is none the worse for it.
    let endpoint = format!("http://127.0.0.1:{port}");
    let (code, _, said) = ended(headwater(&["parked", "--endpoint", &endpoint])).await;
    assert_eq!(code, 0, "{said}");
    assert!(first.end(), "it is told to end");
    let status = timeout(PATIENCE, first.0.wait()).await.expect("it ends in time").expect("it ran");
    assert_eq!(status.code(), Some(0));
}
