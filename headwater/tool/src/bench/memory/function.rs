//! A function that is watched: a process of its own, and the most that it had resident.

use std::path::PathBuf;

use localstack::FunctionOptions;

use super::super::{Error, Figure, Row, batches::taken, figure::Bound};
use crate::cluster::Cluster;

/// What a function may have, in MiB: the least that Lambda gives any.
const GOAL: f64 = 128.0;

/// A binary under a name that nobody else has, so that its process is nobody else's.
pub(super) struct Function {
    pub(super) name: String,
}

impl Function {
    pub(super) fn register(cluster: &Cluster, binary: &str, what: &str) -> Self {
        Self::register_with(cluster, binary, what, &[])
    }

    /// As [`Self::register`], with variables besides.
    pub(super) fn register_with(
        cluster: &Cluster,
        binary: &str,
        what: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let name = format!("{binary} {what}");
        let mut function = FunctionOptions { name: name.clone(), ..cluster.function(binary) };
        function.env.extend(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        cluster.aws().function(function);
        Self { name }
    }

    pub(super) async fn invoke(&self, cluster: &Cluster, payload: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(cluster.aws().invoke(&self.name, payload).await?)
    }

    /// Gives it an event, of which nothing must come again.
    pub(super) async fn take_in(&self, cluster: &Cluster, event: Vec<u8>) -> Result<(), Error> {
        taken(&serde_json::from_slice(&self.invoke(cluster, event).await?)?)
    }

    /// The figure of its process, the largest payload of which had so many bytes.
    pub(super) fn figure(&self, cluster: &Cluster, what: String, bytes: usize) -> Result<Figure, Error> {
        let figure = Figure::new(Row::Memory, what, self.peak(cluster)?, "MiB").goal(Bound::AtMost(GOAL));
        Ok(figure.beside("payload", bytes as f64 / 1e6, "MB"))
    }

    /// The most that its process had resident so far, in MiB.
    fn peak(&self, cluster: &Cluster) -> Result<f64, Error> {
        let process = cluster.aws().processes().into_iter().find(|process| process.function == self.name);
        let process = process.ok_or_else(|| format!("{} has no process any more", self.name))?;
        let file = PathBuf::from(format!("/proc/{}/status", process.id));
        let status = std::fs::read_to_string(&file).map_err(|error| {
            format!("only Linux tells the most that a process had: {}: {error}", file.display())
        })?;
        let peak = high_water(&status).ok_or_else(|| format!("{} has no VmHWM", file.display()))?;
        Ok(peak / 1024.0)
    }
}

/// The high-water mark of the resident set, in kB.
fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_from_the_kernels_words() {
        let status = "Name:\tbalance\nVmPeak:\t  300000 kB\nVmHWM:\t   25600 kB\nVmRSS:\t   20000 kB\n";
        assert_eq!(high_water(status), Some(25_600.0));
        assert_eq!(high_water("Name:\tbalance\n"), None);
    }
}
