//! What a shell sees: exit codes, what goes to stdout and stderr, and errors that say what to do next.

use std::{
    io::Write,
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use localstack::{Credentials, LocalAws, Options};

use super::world::{World, line};

/// Runs the binary without any configuration of AWS.
fn headwater(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs it beside the tasks of the test, and gives exit code, stdout and stderr.
pub async fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let input = input.to_owned();
    let run = move || headwater(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &input);
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_next_step() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    for command in [&["read", "account/1"][..], &["tail"], &["import", "-"], &["parked"]] {
        let (code, shown, said) = run(&[command, &["--endpoint", &endpoint]].concat(), "").await;
        let expected = format!(
            "error: nothing listens on {endpoint}: start `headwater up` in another terminal, or give --endpoint\n"
        );
        assert_eq!((code, shown.as_str(), said), (1, "", expected));
    }
}

#[tokio::test]
async fn a_missing_bucket_or_stream_is_told_with_the_next_step() {
    let world = World::new().await;
    let endpoint = world.aws.endpoint();
    for (arguments, says) in [
        (&["read", "account/1", "--store", "nowhere"][..], "there is no bucket nowhere at http://127.0.0.1:"),
        (&["tail", "--stream", "nowhere"], "there is no stream nowhere at http://127.0.0.1:"),
    ] {
        let (code, _, said) = run(&[arguments, &["--endpoint", endpoint]].concat(), "").await;
        assert!(code == 1 && said.contains(says), "{code} {said}");
        assert!(said.contains(&format!("give {}", arguments[arguments.len() - 2])), "{said}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_as_such() {
    let credentials =
        Credentials { access_key_id: "right".to_owned(), secret_access_key: "right".to_owned() };
    let aws =
        LocalAws::start(Options { credentials: Some(credentials), ..Options::for_test() }).await.unwrap();
    aws.create_bucket("headwater-store").unwrap();
    aws.create_stream("headwater", 1).await.unwrap();
    for command in [&["read", "account/1"][..], &["tail"]] {
        let (code, _, said) = run(&[command, &["--endpoint", aws.endpoint()]].concat(), "").await;
        assert!(code == 1 && said.contains("check AWS_PROFILE, or AWS_ACCESS_KEY_ID"), "{code} {said}");
    }
}

#[tokio::test]
async fn usage_errors_have_a_code_of_their_own() {
    for arguments in [
        &["read"][..],
        &["read", "no-stream"],
        &["read", "a/1", "--endpoint", "127.0.0.1"],
        &["wash"],
        &["tail", "--kind", "Account"],
        &["replay", "--kind", "x y"],
    ] {
        let (code, shown, said) = run(arguments, "").await;
        assert!(code == 2 && shown.is_empty() && said.contains("error: "), "{code} {said}");
    }
    let (code, shown, _) = run(&["--help"], "").await;
    assert!(code == 0 && shown.contains("Exit codes: 0 done"), "{shown}");
}

#[tokio::test]
async fn a_store_is_adopted_again_without_a_word_of_what_it_says_itself() {
    let world = World::without_identity().await;
    let adopt = ["adopt", "--json", "--endpoint", world.aws.endpoint()];
    let (code, _, said) = run(&adopt, "").await;
    assert!(code == 1 && said.contains("give --stream"), "{code} {said}");
    let same = ["--stream", "headwater", "--archive", "headwater-store"];
    let (code, _, said) = run(&[&adopt[..], &same].concat(), "").await;
    assert!(code == 1 && said.contains("must be another bucket"), "{code} {said}");
    let named = ["--stream", "headwater", "--archive", "headwater-archive"];
    let (code, first, said) = run(&[&adopt[..], &named].concat(), "").await;
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(run(&adopt, "").await, (0, first, String::new()));
    let replay = ["replay", "--commits", "--endpoint", world.aws.endpoint()];
    let (code, shown, said) = run(&replay, "").await;
    assert_eq!((code, shown.as_str()), (0, ""), "{said}");
    for (flag, wrong) in [("--stream", "headwaterr"), ("--archive", "headwater-store")] {
        let (code, _, said) = run(&[&replay[..], &[flag, wrong]].concat(), "").await;
        assert!(
            code == 1 && said.contains(wrong) && said.contains("has nothing of the stream"),
            "{code} {said}"
        );
    }
}

#[tokio::test]
async fn a_directory_is_a_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let target = ["--data", data.to_str().unwrap()];
    let lines = format!("{}\n{}\n", line("note/1", 0), line("note/1", 1));
    let (code, shown, said) = run(&[&["import", "-", "--json"], &target[..]].concat(), &lines).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let summary: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&summary["lines"], &summary["commits"]), (&2.into(), &2.into()));

    let (code, shown, said) = run(&[&["read", "note/1", "--json"], &target[..]].concat(), "").await;
    assert_eq!((code, said.as_str(), shown.lines().count()), (0, "", 2));

    let (code, shown, said) = run(&[&["import", "-"], &target[..]].concat(), &lines).await;
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(
        shown.starts_with("0 events in 0 commits from 2 lines for 1 streams")
            && shown.contains("2 lines stood already"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_audit_that_has_no_code_for_something_names_it_and_has_a_code_of_its_own() {
    let world = World::new().await;
    let endpoint = ["--endpoint", world.aws.endpoint()];
    for (stream, event, expected) in [
        ("account/1", r#"{"type":"Opened","data":{"overdraft_limit":0}}"#, 0),
        ("member/1", r#"{"type":"Joined","data":{}}"#, 3),
    ] {
        let line =
            format!(r#"{{"stream":"{stream}","id":"1","at":"2026-10-02T09:20:00Z","events":[{event}]}}"#);
        let (code, _, said) = run(&[&["import", "-"][..], &endpoint].concat(), &(line + "\n")).await;
        assert_eq!(code, 0, "{said}");
        let (code, shown, said) = run(&[&["audit"][..], &endpoint].concat(), "").await;
        assert_eq!((code, shown.contains("nothing is amiss")), (expected, expected == 0), "{shown}{said}");
        let named = said.contains("no code here for states of kind member");
        assert_eq!(named, expected == 3, "{said}");
    }
}

/// One of each kind that a terminal obeys or does not show.
const HIDDEN: &str = "\u{7f}\u{9b}\u{61c}\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}";

fn hides(text: &str) -> bool {
    text.contains(|c| HIDDEN.contains(c))
}

#[tokio::test]
async fn whatever_others_wrote_a_terminal_gets_no_orders_and_nothing_unseen() {
    let world = World::new().await;
    let name = HIDDEN.replace(['\u{7f}', '\u{9b}'], "");
    let text = format!(
        r#"{{"stream":"note/{name}","id":"a","at":"2020-01-01T00:00:00Z","events":[{{"type":"N{name}","data":{{"{HIDDEN}":"{HIDDEN}é"}}}}],"meta":{{"by":"{HIDDEN}"}}}}"#
    );
    let target = ["--endpoint", world.aws.endpoint()];
    assert_eq!(run(&[&["import", "-"], &target[..]].concat(), &text).await.0, 0);
    world.archive().await;
    let stream = format!("note/{name}");
    for arguments in [
        &["read", &stream][..],
        &["replay"],
        &["read", &stream, "--json"],
        &["replay", "--json"],
        &["replay", "--commits"],
    ] {
        let (code, shown, said) = run(&[arguments, &target].concat(), "").await;
        assert!(code == 0 && shown.contains('é') && !hides(&shown) && !hides(&said), "{shown}{said}");
        if arguments.len() > 2 || arguments.last().is_some_and(|last| last.starts_with("--")) {
            let value: serde_json::Value = serde_json::from_str(shown.trim_end()).unwrap();
            assert_eq!((&value["stream"], &value["meta"]["by"]), (&stream.as_str().into(), &HIDDEN.into()));
        }
    }
    // What is wrong is told on stderr, in the words of others too.
    let missing = format!("memo/{name}");
    let usage = format!("{HIDDEN}/1");
    for (arguments, expected) in
        [(["read", missing.as_str()], 1), (["read", usage.as_str()], 2), (["import", name.as_str()], 1)]
    {
        let (code, _, said) = run(&[&arguments, &target[..]].concat(), "").await;
        assert!(code == expected && said.contains("\\u{202e}") && !hides(&said), "{code} {said}");
    }
    let (code, _, said) =
        run(&[&["import", "-"], &target[..]].concat(), &text.replace("note/", HIDDEN)).await;
    assert!(code == 1 && !hides(&said), "{code} {said}");
}
