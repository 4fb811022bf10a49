//! Hands documents to a target, and watches.
//!
//! | what | how it is seen |
//! |---|---|
//! | a panic | it fails the test; the document is kept in a file |
//! | memory | the most that is allocated at a time, by an allocator that counts, against a bound by the document's length |
//! | a hang | asynchronous targets count their polls in paused time; beyond that a watch ends the process |
//!
//! The watch is the one thing here that goes by the clock. A decoder that loops cannot be seen in another way from
//! outside, and [`PATIENCE`] is a thousand times what the slowest document takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use peak_alloc::PeakAlloc;

use crate::mutate;

/// How long one document may take.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Documents that plain `cargo test` makes for a target.
const ROUNDS: u64 = 256;
/// Bytes of a program in a fixed round.
const PROGRAM_BYTES: usize = 160;
/// What other threads of the process may allocate meanwhile.
const NOISE: usize = 256 << 10;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One target at a time, so that what is counted is its own.
static ALONE: Mutex<()> = Mutex::new(());

/// The most that a target may allocate at a time.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// For any document, in bytes.
    pub at_least: usize,
    /// For every byte of the document besides.
    pub per_byte: usize,
}

/// A target, its seeds and its bound.
pub struct Hunt {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    kept: BTreeMap<PathBuf, Vec<u8>>,
    memory: Memory,
    target: fn(&[u8]),
    finding: PathBuf,
    watch: Sender<Option<Vec<u8>>>,
}

/// Runs a target: `hunt!(name, seeds, memory, target)`, in a test of that name in `tests/hostile/main.rs`.
#[macro_export]
macro_rules! hunt {
    ($name:ident, $seeds:expr, $memory:expr, $target:expr) => {{
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile");
        let hunt = $crate::hunt::Hunt::new(
            stringify!($name),
            (package, env!("CARGO_TARGET_TMPDIR")),
            $seeds,
            $memory,
            $target,
        );
        if $crate::hunt::is_fixed() {
            hunt.fixed();
        } else {
            let hunt = std::panic::AssertUnwindSafe(hunt);
            $crate::bolero::check!(name = stringify!($name)).for_each(move |input: &[u8]| hunt.one(input));
        }
    }};
}

/// Whether nobody asked for another engine than the fixed rounds: bolero and `cargo bolero` are told by variables.
pub fn is_fixed() -> bool {
    std::env::vars_os().all(|(name, _)| !name.to_string_lossy().contains("BOLERO"))
}

impl Hunt {
    /// A hunt with the documents of `{directory}/__fuzz__/{name}` besides `seeds`; a finding goes to `scratch`.
    pub fn new(
        name: &'static str,
        (directory, scratch): (&str, &str),
        mut seeds: Vec<Vec<u8>>,
        memory: Memory,
        target: fn(&[u8]),
    ) -> Self {
        let mut kept = BTreeMap::new();
        for place in ["corpus", "crashes"] {
            read(&Path::new(directory).join("__fuzz__").join(name).join(place), &mut kept);
        }
        seeds.extend(kept.values().cloned());
        let finding = Path::new(scratch).join(format!("{name}.finding"));
        Self { name, seeds, kept, memory, target, watch: watch(finding.clone()), finding }
    }

    /// Every seed and every kept document as it is, then the same few hundred mutations of them each time.
    pub fn fixed(&self) {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, document) in &self.kept {
            eprintln!("{}: {}", self.name, path.display());
            self.try_on(document);
        }
        for seed in &self.seeds {
            self.try_on(seed);
        }
        let mut drawn = fastrand::Rng::with_seed(self.name.bytes().map(u64::from).sum());
        for _ in 0..ROUNDS {
            let mut program = vec![drawn.u8(0x80..)];
            program.extend(std::iter::repeat_with(|| drawn.u8(..)).take(PROGRAM_BYTES));
            self.one(&program);
        }
    }

    /// Tries what an engine has drawn.
    pub fn one(&self, input: &[u8]) {
        self.try_on(&mutate::document(input, &self.seeds));
    }

    fn try_on(&self, document: &[u8]) {
        let Self { memory, target, .. } = self;
        let _kept = Keep { document, finding: &self.finding };
        let _ = self.watch.send(Some(document.to_vec()));
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        target(document);
        let used = MEMORY.peak_usage().saturating_sub(before);
        let _ = self.watch.send(None);
        let most = memory.at_least + memory.per_byte * document.len() + NOISE;
        assert!(
            used <= most,
            "{used} bytes were allocated for {} bytes; the bound is {most}",
            document.len()
        );
    }
}

impl std::fmt::Debug for Hunt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hunt").field("name", &self.name).finish_non_exhaustive()
    }
}

fn read(directory: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if let Ok(document) = fs::read(&path) {
            into.insert(path, document);
        }
    }
}

/// Keeps the document that made the test fail.
struct Keep<'a> {
    document: &'a [u8],
    finding: &'a Path,
}

impl Drop for Keep<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = fs::write(self.finding, self.document);
            eprintln!("the document is in {}: docs/fuzzing.md says how to keep it", self.finding.display());
        }
    }
}

/// Starts a thread that is told of each document's begin and end, and ends the process where the end does not come.
fn watch(finding: PathBuf) -> Sender<Option<Vec<u8>>> {
    let (tell, told) = mpsc::channel::<Option<Vec<u8>>>();
    thread::spawn(move || {
        while let Ok(begun) = told.recv() {
            let Some(document) = begun else { continue };
            match told.recv_timeout(PATIENCE) {
                // The end, or the next begin after a panic.
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = fs::write(&finding, document);
                    eprintln!(
                        "no end within {} s: the document is in {}",
                        PATIENCE.as_secs(),
                        finding.display()
                    );
                    process::exit(70);
                }
            }
        }
    });
    tell
}
