//! What every HTTP service of the bank shares: a service is a [`Router`](axum::Router), and this crate is all around it.
//!
//! 1. [`start()`] begins the logs and the runtime, and says in one line what went wrong, if it did.
//! 2. [`Config`] reads the environment once.
//! 3. [`app`] adds `GET /health`, `GET /openapi.json` and the layers: limits, a span per request, and the rule that every
//!    error is a [`Problem`].
//! 4. [`run()`] serves the router, on a port or as a Lambda; [`run_with_events`] serves Kinesis events beside it,
//!    [`run_with_ticks`] those and a schedule.
//!
//! Inside a handler: [`PathId`] takes paths apart, [`Json`] bodies, [`CommandHeaders`], [`KnownVersion`] and [`SessionToken`] headers, and
//! [`Written`] gives the answer its own; [`tagged`] answers from a view, by the [`KnownAnswers`].

mod body;
mod config;
mod document;
mod events;
mod gateway;
mod headers;
mod layers;
mod origin;
mod path;
mod problem;
mod run;
mod server;
mod start;
mod tag;

pub use self::{
    body::Json,
    config::{Config, ConfigError, Listen, variable},
    gateway::answer as answer_event,
    headers::{
        CommandHeaders, CommandParameters, KeyScope, KnownTagParameter, KnownVersion, SessionToken,
        SessionTokenHeader, SessionTokenQuery, Written,
    },
    layers::{BODY_BYTES, IN_FLIGHT, PATIENCE, app},
    origin::Origins,
    path::PathId,
    problem::Problem,
    run::{RunError, run, run_with_events, run_with_ticks},
    start::{BoxError, start},
    tag::{KnownAnswers, tagged},
};
