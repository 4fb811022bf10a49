//! Enforces the template's policies on every request, and keeps what was used and what was refused.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use localstack::{Fault, Gate, Hook, Request};
use reqwest::StatusCode;

use super::policy::{Call, Policies, Right};

/// Enforces. Cheap to clone; clones are one.
#[derive(Clone)]
pub(crate) struct Enforcer {
    policies: Arc<Policies>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    used: BTreeSet<Right>,
    refused: BTreeSet<String>,
    /// Whose next record is held before it is put.
    held: Option<(&'static str, Gate)>,
}

impl Enforcer {
    pub(crate) fn new(policies: Policies) -> Self {
        Self { policies: Arc::new(policies), kept: Arc::default() }
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The rights that were made use of.
    pub(crate) fn used(&self) -> BTreeSet<Right> {
        self.kept().used.clone()
    }

    /// The calls that were refused since they were last asked for.
    pub(crate) fn refused(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.kept().refused)
    }

    /// Holds the next record of this caller.
    pub(crate) fn hold(&self, caller: &'static str) -> Gate {
        let gate = Gate::new();
        self.kept().held = Some((caller, gate.clone()));
        gate
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panicked")
    }

    /// Notes what a call makes use of; false where it is refused.
    fn note(&self, call: &Call) -> bool {
        let judged = self.policies.judge(call);
        let mut kept = self.kept();
        match judged {
            Ok(rights) => {
                kept.used.extend(rights);
                true
            }
            Err(reason) => {
                kept.refused.insert(reason);
                false
            }
        }
    }
}

impl Hook for Enforcer {
    fn on_request(&self, request: &Request) -> Fault {
        // Only another S3 than AWS is asked whether it keeps conditions: no role needs a right to it.
        if request.key.as_deref() == Some("probe/conditions") {
            return Fault::Pass;
        }
        if !self.note(&Call::of(request)) {
            return match request.stream {
                Some(_) => Fault::Respond(StatusCode::BAD_REQUEST, "AccessDeniedException"),
                None => Fault::Respond(StatusCode::FORBIDDEN, "AccessDenied"),
            };
        }
        let holds = |held: &mut (&str, Gate)| {
            request.operation == "kinesis:PutRecords" && request.caller.as_deref() == Some(held.0)
        };
        match self.kept().held.take_if(holds) {
            Some((_, gate)) => Fault::HoldBefore(gate),
            None => Fault::Pass,
        }
    }

    fn on_answer(&self, request: &Request, status: u16) {
        if status == 404 && request.key.is_some() {
            self.note(&Call::of(request).missed());
        }
    }
}
