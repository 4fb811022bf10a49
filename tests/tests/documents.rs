//! What the documents say of the code, where that can be checked: the map in `docs/architecture.md`, links, the commands of the
//! README, and numbers that follow from limits.

#![allow(clippy::expect_used, reason = "clippy takes helpers of an integration test for no test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use headwater::limits;
use headwater_tool::Arguments;
use serde_json::Value;

/// Where a path of the map may begin, beside the repository's root and the folders that its line names.
const SOURCES: [&str; 4] = ["headwater/src", "headwater/tests/commit", "archiver/src", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_path_of_the_map_exists() {
    let root = root();
    let mut missing = Vec::new();
    for line in read("docs/architecture.md").lines() {
        let mut folders: Vec<PathBuf> = SOURCES.iter().map(|source| root.join(source)).collect();
        folders.push(root.clone());
        // A crate's files are below its sources.
        let crates = quoted(line).filter(|path| path.ends_with('/')).map(|path| root.join(path).join("src"));
        folders.extend(crates.collect::<Vec<_>>());
        for path in quoted(line)
            .filter(|path| path.ends_with('/') || Path::new(path).extension().is_some_and(|end| end == "rs"))
        {
            match folders.iter().map(|folder| folder.join(path)).find(|found| found.exists()) {
                Some(found) if found.is_dir() => folders.push(found),
                Some(found) => folders.extend(found.parent().map(Path::to_owned)),
                None => missing.push(path.to_owned()),
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_crate_depends_on_those_above_it_in_the_map() {
    let map = read("docs/architecture.md");
    let (_, table) = map.split_once("## The crates").expect("a table");
    let rows =
        table.lines().take_while(|line| !line.starts_with("##")).filter(|line| line.starts_with("| `"));
    let listed: Vec<&str> = rows.filter_map(|row| quoted(row.split('|').nth(2)?).next()).collect();
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let metadata = metadata.output().expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let place = |name: &str| listed.iter().position(|listed| *listed == name);
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let own = place(name);
        assert!(own.is_some(), "{name} is not in the map");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["path"].is_string() && dependency["kind"].is_null() {
                let other = dependency["name"].as_str().expect("a name");
                assert!(place(other) < own, "{name} depends on {other}, which is not above it");
            }
        }
    }
}

#[test]
fn numbers_are_those_of_the_limits() {
    let operations = read("docs/operations.md");
    let commands = format!("up to {} commands of a stream in one PUT", limits::GROUP_COMMITS);
    assert!(operations.contains(&commands), "{commands}");
}

/// The Markdown of the project, with its paths from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut listing = Command::new("git");
    let listing = listing.args(["ls-files", "*.md"]).current_dir(root()).output().expect("git runs");
    let listing = String::from_utf8(listing.stdout).expect("paths");
    let documents: Vec<_> = listing.lines().map(|path| (PathBuf::from(path), read(path))).collect();
    assert!(documents.len() > 20, "{}", documents.len());
    documents
}

#[test]
fn every_command_line_is_one_that_the_tool_takes() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        for line in text.lines() {
            let Some(words) = line.trim().strip_prefix("cargo run --release -- ") else { continue };
            // Up to a comment, and to what the shell takes.
            let words =
                words.split_whitespace().take_while(|word| !word.starts_with(['#', '|', '>', '\\', '&']));
            let words: Vec<&str> = words.collect();
            lines += 1;
            if let Err(error) = Arguments::try_parse_from(["headwater"].iter().chain(&words)) {
                wrong.push(format!("{}: {line}\n{error}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines > 20, "{lines}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut lost = Vec::new();
    for (path, text) in documents() {
        let folder = root().join(&path).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            let found =
                target.exists() && (anchor.is_empty() || anchors(&target).iter().any(|one| one == anchor));
            if !found {
                lost.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(lost, [""; 0]);
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).expect("a document");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept =
            words.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}
