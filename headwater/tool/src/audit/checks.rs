//! What the bank promises besides the store's invariants. A new promise is a [`Check`], and a line in [`all`].

use archiver::audit::check::{Check, Views};
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::consume::Forward;

/// Every check of the bank.
pub fn all() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(Views::new(Balances, |_, _, _| Ok(()))),
        // What it forwards is derived after each commit, and counted in its view.
        Box::new(Views::new(CreditLimits, |limits, view, stream| limits.derive(view, stream).map(drop))),
    ]
}
