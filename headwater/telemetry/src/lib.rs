//! How every binary of Headwater starts, and tells what it does.
//!
//! 1. [`start()`] begins what is told, and the runtime, and says in one line what went wrong, if it did. `parent` ends the process with its parent,
//!    where it is told to.
//! 2. `logs`: JSON lines on stderr.
//! 3. `emf`: metrics on stdout in `CloudWatch`'s embedded format, where `HEADWATER_METRICS=emf`.
//! 4. `traces`: spans to a collector beside the process, where `OTEL_EXPORTER_OTLP_ENDPOINT` says where it is.
//! 5. [`invocation`] stands around each invocation of a Lambda: what was told meanwhile is out before the answer is, since
//!    the process is frozen then. A server tells every [`EVERY`] and at its end.
//!
//! | variable | meaning |
//! |---|---|
//! | `HEADWATER_LOG` | what is logged: `info` if not given |
//! | `HEADWATER_METRICS` | `emf`, or nothing: no metrics are written |
//! | `HEADWATER_PARENT` | `stdin`, or nothing: the process ends when its standard input does, as what `headwater up` starts |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, as `http://127.0.0.1:4318`, or nothing: nothing is traced |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS` | as that standard says |
//! | `OTEL_SERVICE_NAME` | how this process is called in what it tells; else the Lambda's name, else the binary's |
//!
//! The library itself only emits, through `tracing`, `metrics` and the API of `OpenTelemetry`: this crate is for binaries, and whoever brings their own
//! subscriber and recorder needs nothing of it.

mod config;
mod emf;
mod logs;
mod parent;
mod start;
mod told;
mod traces;

pub use self::{
    config::BoxError,
    start::{Threads, start},
    told::{EVERY, invocation},
};
