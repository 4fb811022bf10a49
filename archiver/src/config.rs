//! Configuration: the environment, read once at cold start; an error names the variable.
//!
//! `HEADWATER_LOG` filters the logs, and `AWS_*` is read by the AWS SDK.

use std::{env::VarError, time::Duration};

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

/// How the relay is told what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// Where everything is.
    pub places: Config,
    /// `HEADWATER_RELAY_AGE`: how old a head must be, in whole seconds of S3's clock; 60 if not set. Less is for tests on
    /// one machine, which has one clock.
    pub age: Duration,
}

impl RelayConfig {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name))
    }

    /// Reads whatever `lookup` says.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let variable = "HEADWATER_RELAY_AGE";
        let seconds = match lookup(variable) {
            Err(VarError::NotPresent) => Some(60),
            Ok(text) => text.parse().ok().filter(|seconds| (1..=3_600).contains(seconds)),
            Err(VarError::NotUnicode(_)) => None,
        };
        let age = seconds.map(Duration::from_secs);
        let age = age.ok_or(ConfigError { variable, names: "1 to 3600 whole seconds" })?;
        Ok(Self { places: Config::from_lookup(lookup)?, age })
    }
}

/// A variable that is missing, empty, or not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} must name {names}")]
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

    #[test]
    fn the_relays_age_is_a_minute_unless_a_number_of_seconds_is_given() {
        let age = |age: Option<&str>| {
            RelayConfig::from_lookup(|name| match (name, age) {
                ("HEADWATER_RELAY_AGE", None) => Err(VarError::NotPresent),
                ("HEADWATER_RELAY_AGE", Some(age)) => Ok(age.to_owned()),
                _ => Ok("x".to_owned()),
            })
        };
        assert_eq!(age(None).expect("a default").age, Duration::from_mins(1));
        assert_eq!(age(Some("2")).expect("two").age, Duration::from_secs(2));
        for wrong in ["", "0", "1.5", "3601", "a minute"] {
            assert_eq!(age(Some(wrong)).expect_err(wrong).variable, "HEADWATER_RELAY_AGE");
        }
    }
}
