//! The portfolio: which accounts somebody holds, and which of them are too many.
//!
//! That one holder has at most [`MOST_ACCOUNTS`] is a soft rule: no opening waits for it. A process tells the portfolio what
//! was opened and closed; what is too many is an exception, which the process tries to compensate by closing the account, and
//! reports what came of it.

use std::collections::BTreeSet;

use headwater::Aggregate;
use serde::{Deserialize, Serialize};

use crate::id::AccountId;

/// Accounts that one holder may have.
pub const MOST_ACCOUNTS: usize = 3;

/// What a portfolio remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portfolio {
    held: BTreeSet<AccountId>,
    /// The accounts that were too many, and of which nobody has said yet what came of it.
    exceptions: BTreeSet<AccountId>,
}

/// What a portfolio is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortfolioCommand {
    /// An account was opened.
    Add(AccountId),
    /// An account was closed.
    Remove(AccountId),
    /// It was tried to close an account that was too many.
    Resolve {
        /// Which one.
        account: AccountId,
        /// Why it could not be closed; none where it was.
        reason: Option<String>,
    },
}

/// What happened to a portfolio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortfolioEvent {
    /// It has one account more.
    Added {
        /// Which one.
        account: AccountId,
    },
    /// It has one account less.
    Removed {
        /// Which one.
        account: AccountId,
    },
    /// The account is one too many.
    Exceeded {
        /// Which one.
        account: AccountId,
        /// How many there are with it.
        held: u64,
    },
    /// The account that was too many is closed.
    Compensated {
        /// Which one.
        account: AccountId,
    },
    /// The account that was too many can't be closed: somebody must look at it.
    Unresolved {
        /// Which one.
        account: AccountId,
        /// Why.
        reason: String,
    },
}

impl Portfolio {
    /// Whether the account is one too many, and nobody has said yet what came of it.
    pub fn is_exception(&self, account: &AccountId) -> bool {
        self.exceptions.contains(account)
    }
}

impl Aggregate for Portfolio {
    const KIND: &'static str = "portfolio";
    const SCHEMA: u32 = 1;

    type Command = PortfolioCommand;
    type Event = PortfolioEvent;
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: &PortfolioCommand) -> Result<Vec<PortfolioEvent>, Self::Rejection> {
        Ok(match command.clone() {
            PortfolioCommand::Add(account) if !self.held.contains(&account) => {
                let held = self.held.len() + 1;
                let mut events = vec![PortfolioEvent::Added { account: account.clone() }];
                if held > MOST_ACCOUNTS {
                    events.push(PortfolioEvent::Exceeded { account, held: held as u64 });
                }
                events
            }
            PortfolioCommand::Remove(account) if self.held.contains(&account) => {
                vec![PortfolioEvent::Removed { account }]
            }
            PortfolioCommand::Resolve { account, reason } if self.exceptions.contains(&account) => {
                vec![match reason {
                    None => PortfolioEvent::Compensated { account },
                    Some(reason) => PortfolioEvent::Unresolved { account, reason },
                }]
            }
            PortfolioCommand::Add(_) | PortfolioCommand::Remove(_) | PortfolioCommand::Resolve { .. } => {
                Vec::new()
            }
        })
    }

    fn evolve(&mut self, event: &PortfolioEvent) {
        match event {
            PortfolioEvent::Added { account } => {
                self.held.insert(account.clone());
            }
            PortfolioEvent::Removed { account } => {
                self.held.remove(account);
            }
            PortfolioEvent::Exceeded { account, .. } => {
                self.exceptions.insert(account.clone());
            }
            PortfolioEvent::Compensated { account } | PortfolioEvent::Unresolved { account, .. } => {
                self.exceptions.remove(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater::given::{given, golden};

    use super::{PortfolioEvent::*, *};

    fn account(number: u32) -> AccountId {
        number.to_string().parse().expect("an account")
    }

    fn held(accounts: u32) -> Vec<PortfolioEvent> {
        (1..=accounts).map(|number| Added { account: account(number) }).collect()
    }

    #[test]
    fn the_fourth_account_is_an_exception() {
        given::<Portfolio>(held(2))
            .when(PortfolioCommand::Add(account(3)))
            .then([Added { account: account(3) }]);
        let fourth = [Added { account: account(4) }, Exceeded { account: account(4), held: 4 }];
        given::<Portfolio>(held(3)).when(PortfolioCommand::Add(account(4))).then(fourth);
        given::<Portfolio>(held(3)).when(PortfolioCommand::Add(account(3))).then_nothing();
    }

    #[test]
    fn a_closed_account_makes_room() {
        let mut before = held(3);
        given::<Portfolio>(before.clone())
            .when(PortfolioCommand::Remove(account(2)))
            .then([Removed { account: account(2) }]);
        before.push(Removed { account: account(2) });
        given::<Portfolio>(before.clone()).when(PortfolioCommand::Remove(account(2))).then_nothing();
        given::<Portfolio>(before)
            .when(PortfolioCommand::Add(account(4)))
            .then([Added { account: account(4) }]);
    }

    #[test]
    fn an_exception_is_resolved_once() {
        let mut before = held(4);
        before.push(Exceeded { account: account(4), held: 4 });
        let resolve = |reason: Option<&str>| PortfolioCommand::Resolve {
            account: account(4),
            reason: reason.map(str::to_owned),
        };
        let unresolved = Unresolved { account: account(4), reason: "no".to_owned() };
        given::<Portfolio>(before.clone()).when(resolve(Some("no"))).then([unresolved]);
        given::<Portfolio>(before.clone()).when(resolve(None)).then([Compensated { account: account(4) }]);
        before.push(Compensated { account: account(4) });
        given::<Portfolio>(before).when(resolve(None)).then_nothing();
    }

    #[test]
    fn golden_events_mean_what_they_meant() {
        let account = account(4);
        golden::<Portfolio>([
            (r#"{"type":"Added","schema":1,"data":{"account":"4"}}"#, Added { account: account.clone() }),
            (r#"{"type":"Removed","schema":1,"data":{"account":"4"}}"#, Removed { account: account.clone() }),
            (
                r#"{"type":"Exceeded","schema":1,"data":{"account":"4","held":4}}"#,
                Exceeded { account: account.clone(), held: 4 },
            ),
            (
                r#"{"type":"Compensated","schema":1,"data":{"account":"4"}}"#,
                Compensated { account: account.clone() },
            ),
            (
                r#"{"type":"Unresolved","schema":1,"data":{"account":"4","reason":"no"}}"#,
                Unresolved { account, reason: "no".to_owned() },
            ),
        ]);
    }
}
