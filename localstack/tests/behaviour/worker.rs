//! The function of the tests (`examples/worker.rs`), and what it wrote down.

use std::path::Path;
use std::time::Duration;

use localstack::FunctionOptions;
use tempfile::TempDir;

pub(crate) struct Worker {
    pub(crate) directory: TempDir,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// The function; the examples are built beside the tests.
    pub(crate) fn function(&self) -> FunctionOptions {
        let tests = std::env::current_exe().unwrap();
        let binary = tests.parent().and_then(Path::parent).unwrap().join("examples/worker");
        assert!(binary.exists(), "`cargo test` builds {} with the tests", binary.display());
        let directory = self.directory.path().to_str().unwrap().to_owned();
        FunctionOptions {
            env: [("WORKER_DIRECTORY".to_owned(), directory)].into(),
            timeout: Duration::from_secs(20),
            ..FunctionOptions::new("worker", binary)
        }
    }

    /// Every batch, as the data of its records.
    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.directory.path().join("batches")).unwrap_or_default();
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    /// The data of every record, as often as it came.
    pub(crate) fn records(&self) -> Vec<String> {
        self.batches().into_iter().flatten().collect()
    }

    /// Lets those go on that wait.
    pub(crate) fn go(&self) {
        std::fs::write(self.directory.path().join("go"), "").unwrap();
    }
}
