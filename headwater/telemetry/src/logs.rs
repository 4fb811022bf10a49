//! Logs: JSON lines on stderr, an event's own fields beside its time, level and message, and the spans around it, the
//! outermost first.
//!
//! `HEADWATER_LOG` filters them, `info` if not given: failures and what happens rarely. `info,headwater=debug` adds what
//! becomes of each commit, `service=debug` a line per request, `archiver=debug` the segment of each commit.
//!
//! No line holds a secret, a body, or what is in an event.

use std::io::stderr;

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::{
    config::{BoxError, Config},
    traces::Traces,
};

/// Begins the log of this process, and its traces.
pub(crate) fn begin(config: &Config, traces: Option<&Traces>) -> Result<(), BoxError> {
    let lines = lines(&config.log, stderr)?;
    Ok(tracing_subscriber::registry().with(traces.map(Traces::layer)).with(lines).try_init()?)
}

/// The lines that these directives let through.
fn lines<S, W>(directives: &str, writer: W) -> Result<impl Layer<S>, BoxError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| format!("HEADWATER_LOG must be levels, as info,service=debug: {error}"))?;
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    Ok(lines.with_span_list(true).with_writer(writer).with_filter(filter))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};
    use tracing::{debug, info, info_span, level_filters::LevelFilter, subscriber::with_default};

    use super::*;

    /// What was written.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(directives: &str, act: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let lines = lines(directives, move || writer.clone()).expect("directives");
        with_default(tracing_subscriber::registry().with(lines), act);
        let bytes = written.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn a_line_has_its_fields_and_the_spans_around_it() {
        let lines = logged("info", || {
            let request = info_span!("request", method = "POST");
            let commit = info_span!(parent: &request, "commit", commit = "c-1");
            commit.in_scope(|| info!(stream = "account/42", version = 17, "told"));
            debug!(stream = "account/42", "too much");
        });
        let [line] = &lines[..] else { panic!("one line: {lines:?}") };
        assert_eq!((&line["message"], &line["level"]), (&json!("told"), &json!("INFO")));
        assert_eq!((&line["stream"], &line["version"]), (&json!("account/42"), &json!(17)));
        assert_eq!(
            line["spans"],
            json!([{"name": "request", "method": "POST"}, {"name": "commit", "commit": "c-1"}])
        );
        assert!(line["timestamp"].is_string(), "{line}");
    }

    #[test]
    fn where_nobody_traces_what_is_not_logged_is_not_even_looked_at() {
        let hint = |traces: Option<&Traces>| {
            let lines = lines("info", stderr).expect("directives");
            let subscriber = tracing_subscriber::registry().with(traces.map(Traces::layer)).with(lines);
            Subscriber::max_level_hint(&subscriber)
        };
        assert_eq!(hint(None), Some(LevelFilter::INFO));
        let traces = Traces::begin("credit", "http://127.0.0.1:4318").expect("an endpoint");
        assert_eq!(hint(Some(&traces)), Some(LevelFilter::DEBUG));
    }

    #[test]
    fn what_is_no_filter_is_refused_by_the_variables_name() {
        let refused = lines::<tracing_subscriber::Registry, _>("headwater=loud", stderr).err();
        let refused = refused.expect("no level").to_string();
        assert!(refused.starts_with("HEADWATER_LOG must be levels"), "{refused}");
    }
}
