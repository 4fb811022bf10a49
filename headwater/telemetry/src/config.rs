//! Configuration: the environment, read once at cold start; an error names the variable.

use std::{
    env::{self, VarError},
    error::Error,
};

/// Any error, on its way to the operator.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What is told, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// How this process is called.
    pub(crate) name: String,
    /// Which lines of the log there are.
    pub(crate) log: String,
    /// Metrics are written.
    pub(crate) metrics: bool,
    /// The collector that spans go to, if there is one.
    pub(crate) collector: Option<String>,
    /// The process ends when its standard input does.
    pub(crate) parent: bool,
    /// This is a Lambda, that is frozen between its invocations.
    pub(crate) lambda: bool,
}

impl Config {
    /// Reads the process's environment.
    pub(crate) fn from_env() -> Result<Self, BoxError> {
        let binary = env::current_exe().ok();
        let binary = binary.as_ref().and_then(|path| path.file_stem()?.to_str()).unwrap_or("headwater");
        Self::from_lookup(binary, |name| env::var(name))
    }

    /// Reads whatever `lookup` says; an empty value counts as not set.
    fn from_lookup(
        binary: &str,
        lookup: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, BoxError> {
        let read = |name: &str| lookup(name).ok().filter(|text| !text.is_empty());
        let name = read("OTEL_SERVICE_NAME").or_else(|| read("AWS_LAMBDA_FUNCTION_NAME"));
        let is = |name: &str, only: &str| match read(name) {
            None => Ok(false),
            Some(text) if text == only => Ok(true),
            Some(other) => Err(format!("{name} must be {only}, or not set, not {other:?}")),
        };
        Ok(Self {
            name: name.unwrap_or_else(|| binary.to_owned()),
            log: read("HEADWATER_LOG").unwrap_or_else(|| "info".to_owned()),
            metrics: is("HEADWATER_METRICS", "emf")?,
            parent: is("HEADWATER_PARENT", "stdin")?,
            collector: read("OTEL_EXPORTER_OTLP_ENDPOINT"),
            lambda: read("AWS_LAMBDA_RUNTIME_API").is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        };
        Config::from_lookup("credit", lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_only_rare_things_are_logged() {
        let config = read(&[("HEADWATER_METRICS", "")]).expect("complete");
        let expected = Config {
            name: "credit".to_owned(),
            log: "info".to_owned(),
            metrics: false,
            collector: None,
            parent: false,
            lambda: false,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn a_process_is_called_as_it_is_told_or_as_its_function() {
        let function = ("AWS_LAMBDA_FUNCTION_NAME", "prod-credit");
        assert_eq!(read(&[function]).expect("complete").name, "prod-credit");
        assert_eq!(read(&[function, ("OTEL_SERVICE_NAME", "money")]).expect("complete").name, "money");
    }

    #[test]
    fn a_format_that_is_not_known_is_refused_by_the_variables_name() {
        let refused = read(&[("HEADWATER_METRICS", "statsd")]).expect_err("no such format");
        assert_eq!(refused, r#"HEADWATER_METRICS must be emf, or not set, not "statsd""#);
        let refused = read(&[("HEADWATER_PARENT", "4711")]).expect_err("no such input");
        assert_eq!(refused, r#"HEADWATER_PARENT must be stdin, or not set, not "4711""#);
    }
}
