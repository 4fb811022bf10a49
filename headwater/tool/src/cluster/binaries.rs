//! The services' binaries: they stand beside the tool. Where `cargo run` runs the tool, cargo builds them first; for tests
//! `cargo test --workspace` has built them.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The packages and what of them a cluster runs.
const BINARIES: [(&str, &[&str]); 3] = [
    ("producers", &["accounts", "credit", "transfers", "users", "withdraw"]),
    ("consumers", &["balance", "credit-limit", "exceptions", "holdings", "transfer-process"]),
    ("archiver", &["archiver", "relay"]),
];

/// Why there are no binaries, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// One is not there.
    #[error(
        "{binary} does not stand beside the tool in {directory}: run `cargo build --workspace`, or `cargo test --workspace`, for the same profile"
    )]
    Missing {
        /// Which.
        binary: &'static str,
        /// Where it should stand.
        directory: PathBuf,
    },
    /// Cargo could not build them.
    #[error("cargo could not build the services: see its messages above")]
    Build,
    /// Cargo could not be started, or this program's own place could not be learned.
    #[error("the services' binaries could not be looked for: {0}")]
    Io(#[from] io::Error),
}

/// Where the binaries stand.
#[derive(Debug, Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Builds the binaries, where cargo runs this program, and checks that they stand. Takes as long as cargo does.
    pub fn ready() -> Result<Self, BinariesError> {
        Self::ready_with(None)
    }

    /// As [`Self::ready`], with an example of a package besides, whose name is `examples/…` then.
    pub fn ready_with(example: Option<(&str, &'static str)>) -> Result<Self, BinariesError> {
        let own = env::current_exe()?;
        let beside = own.parent().unwrap_or(Path::new("."));
        let test = beside.ends_with("deps");
        let directory = if test { beside.parent().unwrap_or(beside) } else { beside }.to_owned();
        if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR").filter(|_| !test) {
            build(Path::new(&manifest), &directory, example)?;
        }
        let binaries = Self { directory };
        let missing = Self::names().find(|binary| !binaries.path(binary).is_file());
        let example = example
            .map(|(_, example)| example)
            .filter(|name| !binaries.path(&format!("examples/{name}")).is_file());
        match missing.or(example) {
            Some(binary) => Err(BinariesError::Missing { binary, directory: binaries.directory }),
            None => Ok(binaries),
        }
    }

    /// Every binary's name: each is a Lambda, and those that answer requests are servers too.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BINARIES.iter().flat_map(|(_, binaries)| binaries.iter().copied())
    }

    /// The file of one binary.
    pub fn path(&self, binary: &str) -> PathBuf {
        self.directory.join(file(binary))
    }
}

fn file(binary: &str) -> String {
    format!("{binary}{}", env::consts::EXE_SUFFIX)
}

/// Builds into the directory that this program stands in. The tool's own package is named too, so that shared
/// dependencies are built with the features that they have already.
fn build(manifest: &Path, directory: &Path, example: Option<(&str, &str)>) -> Result<(), BinariesError> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").arg("--quiet").current_dir(manifest).args(["--package", env!("CARGO_PKG_NAME")]);
    for (package, binaries) in BINARIES {
        cargo.args(["--package", package]);
        for binary in binaries {
            cargo.args(["--bin", binary]);
        }
    }
    if let Some((package, example)) = example {
        cargo.args(["--package", package, "--example", example]);
    }
    // What the outer cargo says of this package is not the environment that it builds with: a build script that asks for it
    // (ring's does) would be run again, and everything above it built again, each time.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
        cargo.env_remove(name);
    }
    let profile = directory.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    if let Some(target) = directory.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    if cargo.status()?.success() { Ok(()) } else { Err(BinariesError::Build) }
}
