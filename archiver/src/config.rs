//! Configuration: the environment, read once at cold start; an error names the variable.
//!
//! `HEADWATER_LOG` filters the logs, and `AWS_*` is read by the AWS SDK.

use std::env::VarError;

/// How the archiver is told what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HEADWATER_STREAM`: the Kinesis stream whose mapping invokes the function.
    pub stream: String,
    /// `HEADWATER_STORE`: the store's bucket, for its watermark.
    pub store: String,
    /// `HEADWATER_ARCHIVE`: the bucket of segments and quarantine.
    pub archive: String,
}

/// A variable that is missing or empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not set: it must name {names}")]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// What it names.
    pub names: &'static str,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name))
    }

    /// Reads whatever `lookup` says.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let read = |variable, names| match lookup(variable) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(ConfigError { variable, names }),
        };
        Ok(Self {
            stream: read("HEADWATER_STREAM", "the Kinesis stream")?,
            store: read("HEADWATER_STORE", "the store's bucket")?,
            archive: read("HEADWATER_ARCHIVE", "the archive's bucket")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let variables = ["HEADWATER_STREAM", "HEADWATER_STORE", "HEADWATER_ARCHIVE"];
        for missing in variables {
            let lookup = |name: &str| if name == missing { Ok(String::new()) } else { Ok("x".to_owned()) };
            assert_eq!(Config::from_lookup(lookup).expect_err(missing).variable, missing);
        }
        let config = Config::from_lookup(|name| Ok(name.to_lowercase())).expect("complete");
        assert_eq!(config.archive, "headwater_archive");
    }
}
