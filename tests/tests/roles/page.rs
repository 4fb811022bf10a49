//! `docs/roles.md`: each right of each role with the call that needs it, as the template has them.
//!
//! With `UPDATE=1` the page is written; without, what stands there must be it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use headwater_tool::cluster::{ARCHIVE, CREDIT_LIMITS, FAILURES, STORE, STREAM};

use super::{
    policy::{Policies, Right, Statement},
    template::root,
};

/// What AWS does in the name of a role, and no binary asks for.
struct ByAws {
    sid: &'static str,
    actions: &'static [&'static str],
    on: &'static [&'static str],
    why: &'static str,
}

const BY_AWS: [ByAws; 5] = [
    ByAws {
        sid: "Logs",
        actions: &["logs:CreateLogStream", "logs:PutLogEvents"],
        on: &["its logs"],
        why: "Lambda writes what the function prints",
    },
    ByAws {
        sid: "Key",
        actions: &["kms:Decrypt", "kms:GenerateDataKey"],
        on: &["the key"],
        why: "S3 and Kinesis encrypt and decrypt",
    },
    ByAws {
        sid: "Mapping",
        actions: &[
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        ],
        on: &["Stream"],
        why: "Lambda reads the stream for the event source mapping",
    },
    ByAws {
        sid: "FanOut",
        actions: &["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
        on: &["Stream `consumer/*`"],
        why: "Lambda reads the stream for the event source mapping, with `Readers` fanned out",
    },
    ByAws {
        sid: "GivenUp",
        actions: &["s3:PutObject", "s3:ListBucket"],
        on: &["Failures", "Failures `*`"],
        why: "Lambda keeps what the event source mapping gives up on",
    },
];

/// That statement of those, if it is one.
fn by_aws(sid: &str) -> Option<&'static ByAws> {
    BY_AWS.iter().find(|by_aws| by_aws.sid == sid)
}

/// No binary makes use of this right: AWS does.
pub(crate) fn is_for_aws(right: &Right) -> bool {
    by_aws(&right.sid).is_some_and(|by_aws| by_aws.actions.contains(&right.action.as_str()))
}

/// The calls that need what a statement allows: the role, or any; the statement's name; the calls.
const CALLS: [(&str, &str, &str); 25] = [
    (
        "archiver",
        "Missing",
        "`headwater/src/read.rs`: a GET of the watermark that does not stand yet is answered by 404, and by 403 without",
    ),
    ("archiver", "Chain", "`archiver/src/chain.rs`: LIST for the newest segment; a GET that finds none"),
    ("archiver", "Watermark", "`archiver/src/watermark.rs`: GET, to know what may come again"),
    ("archiver", "Segments", "`archiver/src/chain.rs`: GET of those that stand, PUT of the next"),
    ("archiver", "Quarantine", "`archiver/src/archive.rs`: PUT of a record that is no commit"),
    (
        "relay",
        "Identity",
        "`headwater/src/identity.rs`: GET, and PUT where the store has none or is new, in the archive's bucket first",
    ),
    ("relay", "Heads", "`archiver/src/relay.rs`: LIST of the heads, and for the time of S3"),
    ("relay", "Chain", "`archiver/src/chain.rs`: LIST for the newest segment; a GET that finds none"),
    ("relay", "Read", "`headwater/src/read.rs`: GET of the heads that changed"),
    ("relay", "Watermark", "`archiver/src/relay.rs`: GET, and PUT where everything is delivered"),
    ("relay", "Segments", "`archiver/src/relay/published.rs`: GET, to see what is published"),
    (
        "relay",
        "Stream",
        "`archiver/src/relay/published.rs`: what is behind the segments; `headwater/src/publish.rs`: what nobody published",
    ),
    (
        "transfer-process",
        "Missing",
        "`headwater/src/read.rs`: a GET that finds nothing is answered by 404, and by 403 without; `headwater/src/consume/timer.rs`: LIST of what is due",
    ),
    (
        "",
        "Missing",
        "`headwater/src/read.rs`: a GET that finds nothing is answered by 404, and by 403 without",
    ),
    (
        "",
        "Read",
        "`headwater/src/read.rs`: GET of heads, and of pages where no snapshot stands; `headwater/src/commit/settled.rs`: GET of the watermark",
    ),
    (
        "",
        "Commit",
        "`headwater/src/commit/swap.rs`: PUT of the head; `headwater/src/commit/paging.rs`: PUT of a page",
    ),
    ("", "Identity", "`headwater/src/identity.rs`: GET, once in a process's life"),
    ("", "Publish", "`headwater/src/publish.rs`: PutRecords of commits"),
    ("", "Claim", "`headwater/src/commit/claim.rs`: GET, PUT, and DELETE of a name that is given up"),
    ("", "Heal", "`headwater/src/consume/heal.rs`: GET of head and pages, where a record is missing"),
    ("", "Generation", "`headwater/src/consume/generation.rs`: GET, to know which views serve"),
    ("", "View", "`headwater/src/consume/project.rs`: GET and PUT"),
    ("", "Forward", "`headwater/src/consume/forward.rs`: PutRecords of what was derived"),
    (
        "",
        "Timers",
        "`headwater/src/consume/timer.rs`: PUT, GET of what is due, DELETE of what was reacted to",
    ),
    ("", "Progress", "`headwater/src/consume/react.rs`: GET and PUT of how far it is with a stream"),
];

/// Compares the page with what stands, or writes it.
pub(crate) fn check(policies: &Policies, refused: &[(&str, &str, String)]) {
    for file in CALLS.iter().flat_map(|(_, _, calls)| calls.split('`').skip(1).step_by(2)) {
        assert!(root().join(file).is_file(), "{file} is not there any more");
    }
    let (page, file) = (page(policies, refused), root().join("docs/roles.md"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, page).expect("it is written");
        return;
    }
    let stands = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        stands == page,
        "docs/roles.md is not what the template says: write it by UPDATE=1, and look at the change"
    );
}

fn page(policies: &Policies, refused: &[(&str, &str, String)]) -> String {
    let mut lines = vec![HEAD.to_owned()];
    for ByAws { sid, actions, on, why } in &BY_AWS {
        let has = |all: &Vec<Statement>| all.iter().any(|statement| statement.sid == *sid);
        let roles: Vec<&str> =
            policies.roles.iter().filter(|(_, all)| has(all)).map(|(role, _)| role.as_str()).collect();
        let whose = if roles.len() == policies.roles.len() { "all".to_owned() } else { roles.join(", ") };
        lines.push(format!("| {sid} | {} | {} | {why} | {whose} |", code(actions), on.join(", ")));
    }
    for (role, statements) in &policies.roles {
        lines.push(format!(
            "\n### {role}\n\n| statement | actions | on | which calls need it |\n|---|---|---|---|"
        ));
        for Statement { sid, actions, resources, .. } in statements {
            if by_aws(sid).is_none() {
                let on: Vec<String> = resources.iter().map(|resource| short(resource)).collect();
                lines.push(format!(
                    "| {sid} | {} | {} | {} |",
                    code(actions),
                    on.join(", "),
                    calls(role, sid)
                ));
            }
        }
    }
    lines.push(REFUSED.to_owned());
    for (caller, what, resource) in refused {
        let caller = if policies.roles.contains_key(*caller) { caller } else { "anybody" };
        lines.push(format!("| {caller} | {what} | {} |", short(resource)));
    }
    lines.join("\n") + "\n"
}

fn code<T: AsRef<str>>(actions: &[T]) -> String {
    actions.iter().map(|action| format!("`{}`", action.as_ref())).collect::<Vec<_>>().join(", ")
}

fn calls(role: &str, sid: &str) -> &'static str {
    let of = |whose: &str| CALLS.iter().find(|(role, call, _)| *role == whose && *call == sid);
    let (_, _, calls) =
        of(role).or_else(|| of("")).unwrap_or_else(|| panic!("say which calls of {role} need {sid}"));
    calls
}

/// A resource as the template calls it.
fn short(resource: &str) -> String {
    let buckets = [(STORE, "Store"), (ARCHIVE, "Archive"), (FAILURES, "Failures")];
    let rest = resource.rsplit(":::").next().unwrap_or(resource);
    let (bucket, key) = rest.split_once('/').map_or((rest, None), |(bucket, key)| (bucket, Some(key)));
    if let Some((_, name)) = buckets.iter().find(|(name, _)| *name == bucket) {
        return key.map_or((*name).to_owned(), |key| format!("{name} `{key}`"));
    }
    let streams = [(STREAM, "Stream"), (CREDIT_LIMITS, "Forward")];
    let stream = streams.iter().find_map(|(name, short)| {
        let (_, below) = resource.split_once(&format!(":stream/{name}"))?;
        (below.is_empty() || below.starts_with('/')).then_some((short, below))
    });
    match (stream, resource.split(':').nth(2)) {
        (Some((name, "")), _) => (*name).to_owned(),
        (Some((name, below)), _) => format!("{name} `{}`", &below[1..]),
        (None, Some("logs")) => "its logs".to_owned(),
        (None, Some("kms")) => "the key".to_owned(),
        _ => panic!("{resource} has no name"),
    }
}

/// What AWS does in a role's name is just what it asks for, on what is the role's, and for those that have a mapping.
pub(crate) fn assert_by_aws(policies: &Policies, mappings: &BTreeMap<String, bool>) {
    let mut logs = BTreeSet::new();
    for (role, statements) in &policies.roles {
        let has = |sid| statements.iter().any(|statement| statement.sid == sid);
        assert_eq!(has("Mapping"), mappings.contains_key(role), "{role}");
        assert_eq!(has("FanOut"), mappings.contains_key(role), "{role}");
        assert_eq!(has("GivenUp"), mappings.get(role).is_some_and(|kept| *kept), "{role}");
        for statement in statements {
            let Some(by_aws) = by_aws(&statement.sid) else { continue };
            assert_eq!(statement.actions, by_aws.actions, "{role}: {}", statement.sid);
            let on: Vec<String> = statement.resources.iter().map(|resource| short(resource)).collect();
            assert_eq!(on, by_aws.on, "{role}: {}", statement.sid);
            if by_aws.sid == "Logs" {
                assert!(logs.insert(&statement.resources), "{role} writes the logs of another");
            }
        }
    }
    assert_eq!(logs.len(), policies.roles.len(), "every function has logs");
}

const HEAD: &str = "# What each function may do

Every Lambda has a role of its own in `infra/headwater.yaml`, with what it needs and nothing else. The test `tests/tests/roles` writes
this page, and proves it:

- the policies are enforced on every request while the bank does all that it does, and no request is refused;
- every right, each action on each resource, is made use of;
- what stands at the end of this page is refused.

After a change of the template, `UPDATE=1 cargo test -p headwater-tests --test roles` writes the page anew: read what changed.

Names with a capital letter are the template's. `If-Match` needs `s3:GetObject` beside `s3:PutObject` or `s3:DeleteObject`. Whoever
may not list a bucket is told 403 instead of 404 of what is not there.

## What AWS does in a role's name

No binary asks for it, so it is compared with what AWS asks for.

| statement | actions | on | what for | roles |
|---|---|---|---|---|";

const REFUSED: &str = "
## Refusals

By the roles, or, whatever a role says, by the buckets' policies: nothing is written without a condition, and no history is deleted
or replaced.

| who | may not | on |
|---|---|---|";
