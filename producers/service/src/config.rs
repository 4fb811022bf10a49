//! Configuration: the environment, read once at cold start; an error names the variable.
//!
//! `HEADWATER_LOG` is read by [`start()`](crate::start()), and `AWS_*` by the AWS SDK.

use std::{
    env::{self, VarError},
    net::SocketAddr,
    str::FromStr,
};

use crate::origin::Origins;

/// How a service is told what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HEADWATER_STORE`: the store's bucket.
    pub store: String,
    /// `HEADWATER_STREAM`: the Kinesis stream that commits are published to.
    pub stream: String,
    /// Where requests come from.
    pub listen: Listen,
    /// `HEADWATER_ORIGINS`: who may ask a service on loopback beside its own origin; none if not given.
    pub origins: Origins,
}

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// The Lambda Runtime API: where `AWS_LAMBDA_RUNTIME_API` is set.
    Lambda,
    /// `HEADWATER_LISTEN`: an address and port, `127.0.0.1:8080` if not given; port 0 is any that is free.
    Address(SocketAddr),
}

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {rule}")]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// The rule that it breaks.
    pub rule: String,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| env::var(name))
    }

    /// Reads whatever `lookup` says.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let listen = match lookup("AWS_LAMBDA_RUNTIME_API") {
            Ok(_) => Listen::Lambda,
            Err(_) => Listen::Address(variable(
                &lookup,
                "HEADWATER_LISTEN",
                Some("127.0.0.1:8080"),
                "must be an address and a port, as 127.0.0.1:8080",
            )?),
        };
        Ok(Self {
            store: variable(&lookup, "HEADWATER_STORE", None, "must name the store's bucket")?,
            stream: variable(&lookup, "HEADWATER_STREAM", None, "must name the Kinesis stream")?,
            listen,
            origins: variable(
                &lookup,
                "HEADWATER_ORIGINS",
                Some(""),
                "must be origins separated by commas, as http://localhost:3000",
            )?,
        })
    }
}

/// Reads one variable; `otherwise` stands in for one that is not set, and `rule` says what is expected. An empty value
/// counts as not set.
pub fn variable<T: FromStr>(
    lookup: impl Fn(&str) -> Result<String, VarError>,
    name: &'static str,
    otherwise: Option<&str>,
    rule: &str,
) -> Result<T, ConfigError> {
    let error = |rule: String| ConfigError { variable: name, rule };
    let text = match lookup(name) {
        Ok(text) if !text.is_empty() => text,
        Ok(_) | Err(VarError::NotPresent) => match otherwise {
            Some(text) => text.to_owned(),
            None => return Err(error(format!("is not set: it {rule}"))),
        },
        Err(VarError::NotUnicode(_)) => return Err(error("is not UTF-8".to_owned())),
    };
    text.parse().map_err(|_| error(format!("{rule}, not {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        };
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn two_variables_are_enough_for_a_server_on_loopback() {
        let config =
            read(&[("HEADWATER_STORE", "bucket"), ("HEADWATER_STREAM", "events")]).expect("complete");
        assert_eq!(config.listen, Listen::Address("127.0.0.1:8080".parse().expect("an address")));
        assert_eq!((config.store.as_str(), config.stream.as_str()), ("bucket", "events"));
    }

    #[test]
    fn a_lambda_listens_to_its_runtime() {
        let config = read(&[
            ("HEADWATER_STORE", "bucket"),
            ("HEADWATER_STREAM", "events"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ]);
        assert_eq!(config.expect("complete").listen, Listen::Lambda);
    }

    #[test]
    fn an_error_names_the_variable() {
        let missing = read(&[("HEADWATER_STORE", "bucket")]).expect_err("no stream");
        assert_eq!(missing, "HEADWATER_STREAM is not set: it must name the Kinesis stream");
        let empty = read(&[("HEADWATER_STORE", "")]).expect_err("no store");
        assert!(empty.starts_with("HEADWATER_STORE is not set"), "{empty}");
        let wrong = read(&[("HEADWATER_LISTEN", "8080")]).expect_err("no address");
        assert_eq!(wrong, r#"HEADWATER_LISTEN must be an address and a port, as 127.0.0.1:8080, not "8080""#);
    }
}
