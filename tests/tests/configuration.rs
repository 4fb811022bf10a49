//! `docs/configuration.md` names every variable of the environment that the sources and the template name, and no other.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where variables are read, or set for those who read them.
const SOURCES: [&str; 9] = [
    "archiver/src",
    "consumers/src",
    "headwater/src",
    "headwater/telemetry/src",
    "headwater/tool/src",
    "infra",
    "producers",
    "tests/src",
    "tests/tests",
];
/// What a name of ours begins with.
const PREFIXES: [&str; 3] = ["HEADWATER_", "AWS_", "OTEL_"];
/// The beginning of two names, which a test looks for.
const NOT_READ: [&str; 1] = ["HEADWATER_ST"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The names of variables in a text, each between two of this character.
fn named(text: &str, quote: char) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let is_variable = |word: &&str| {
        let upper =
            word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let prefixed = PREFIXES.iter().any(|prefix| word.len() > prefix.len() && word.starts_with(prefix));
        upper && prefixed && !NOT_READ.contains(word) && text.contains(&format!("{quote}{word}{quote}"))
    };
    words.filter(is_variable).map(str::to_owned).collect()
}

/// The texts of all files below.
fn texts(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
    found
}

#[test]
fn the_page_names_every_variable_and_no_other() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).expect("the page");
    let told = named(&page, '`');
    let mut used = BTreeSet::new();
    for source in SOURCES {
        for (path, text) in texts(&root().join(source)) {
            let template = path.extension().is_some_and(|extension| extension == "yaml");
            if template {
                let keys = text.lines().filter_map(|line| line.trim().split_once(':')).map(|(key, _)| key);
                used.extend(keys.flat_map(|key| named(&format!("\"{key}\""), '"')));
            } else {
                used.extend(named(&text, '"'));
            }
        }
    }
    let untold: Vec<_> = used.difference(&told).collect();
    assert!(untold.is_empty(), "docs/configuration.md does not name {untold:?}");
    let unused: Vec<_> = told.difference(&used).collect();
    assert!(unused.is_empty(), "nothing reads {unused:?}, which docs/configuration.md names");
}
