//! The account: money comes in while it is open, and goes out as far as the overdraft limit allows.
//!
//! Every command becomes one event, [`AccountCommand::event`]; the decision is whether the account allows that event now,
//! [`Account::allows`]. So a retry, a merge and a first decision ask one question.

use headwater::{Aggregate, Upcaster};
use serde::{Deserialize, Serialize};

use crate::{
    id::Reference,
    money::{Amount, Balance, MAX_BALANCE, OutOfRange, OverdraftLimit},
};

/// What an account remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    status: AccountStatus,
    balance: Balance,
    overdraft_limit: OverdraftLimit,
}

/// Where an account is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// It was never opened.
    #[default]
    NotOpen,
    /// Money may move.
    Open,
    /// It was closed, for ever.
    Closed,
}

/// What an account is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountCommand {
    /// Begin, with nothing.
    Open {
        /// How far below zero the balance may go.
        overdraft_limit: OverdraftLimit,
    },
    /// Take money in.
    Credit {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        reference: Option<Reference>,
    },
    /// Give money out.
    Withdraw {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        reference: Option<Reference>,
    },
    /// End, with nothing left and nothing owed.
    Close,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountEvent {
    /// It began.
    Opened {
        /// How far below zero the balance may go.
        overdraft_limit: OverdraftLimit,
    },
    /// Money came in.
    Credited {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
    },
    /// Money went out.
    Withdrawn {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
    },
    /// It ended.
    Closed,
}

/// Why an account says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountRejection {
    /// It is open, or was.
    #[error("the account was opened before")]
    AlreadyOpen,
    /// It was never opened.
    #[error("there is no such account")]
    NotOpen,
    /// It was closed.
    #[error("the account is closed")]
    Closed,
    /// The balance would pass the overdraft limit.
    #[error("{asked} was asked for and {available} is available")]
    InsufficientFunds {
        /// What could go out, in minor units.
        available: i64,
        /// What was asked for.
        asked: Amount,
    },
    /// The balance would pass [`MAX_BALANCE`].
    #[error("the balance would pass {MAX_BALANCE}")]
    BalanceTooLarge {
        /// What it is now.
        balance: Balance,
    },
    /// It can be closed only with a balance of zero.
    #[error("the balance is {balance}, not zero")]
    BalanceNotZero {
        /// What it is.
        balance: Balance,
    },
}

impl AccountEvent {
    /// How the data of older events become those of today: for the account, and for every projection that reads it.
    pub const UPCASTERS: &'static [Upcaster] = &[];
}

impl AccountCommand {
    /// What happens if the account allows it.
    pub fn event(&self) -> AccountEvent {
        match self.clone() {
            Self::Open { overdraft_limit } => AccountEvent::Opened { overdraft_limit },
            Self::Credit { amount, reference } => AccountEvent::Credited { amount, reference },
            Self::Withdraw { amount, reference } => AccountEvent::Withdrawn { amount, reference },
            Self::Close => AccountEvent::Closed,
        }
    }
}

impl Account {
    /// Where it is in its life.
    pub fn status(&self) -> AccountStatus {
        self.status
    }

    /// What is there.
    pub fn balance(&self) -> Balance {
        self.balance
    }

    /// How far below zero the balance may go.
    pub fn overdraft_limit(&self) -> OverdraftLimit {
        self.overdraft_limit
    }

    /// What could go out, in minor units.
    pub fn available(&self) -> i64 {
        self.balance.get().saturating_add(self.overdraft_limit.get())
    }

    /// Whether `event` may happen now.
    pub fn allows(&self, event: &AccountEvent) -> Result<(), AccountRejection> {
        match (self.status, event) {
            (AccountStatus::NotOpen, AccountEvent::Opened { .. }) => Ok(()),
            (_, AccountEvent::Opened { .. }) => Err(AccountRejection::AlreadyOpen),
            (AccountStatus::NotOpen, _) => Err(AccountRejection::NotOpen),
            (AccountStatus::Closed, _) => Err(AccountRejection::Closed),
            (AccountStatus::Open, AccountEvent::Credited { amount, .. }) => {
                let too_large = |_: OutOfRange| AccountRejection::BalanceTooLarge { balance: self.balance };
                self.balance.plus(*amount).map(drop).map_err(too_large)
            }
            (AccountStatus::Open, AccountEvent::Withdrawn { amount, .. }) => {
                let available = self.available();
                if amount.get() <= available {
                    Ok(())
                } else {
                    Err(AccountRejection::InsufficientFunds { available, asked: *amount })
                }
            }
            (AccountStatus::Open, AccountEvent::Closed) if self.balance == Balance::default() => Ok(()),
            (AccountStatus::Open, AccountEvent::Closed) => {
                Err(AccountRejection::BalanceNotZero { balance: self.balance })
            }
        }
    }
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    const SCHEMA: u32 = 1;

    type Command = AccountCommand;
    type Event = AccountEvent;
    const UPCASTERS: &'static [Upcaster] = AccountEvent::UPCASTERS;
    type Rejection = AccountRejection;

    fn decide(&self, command: &AccountCommand) -> Result<Vec<AccountEvent>, AccountRejection> {
        let event = command.event();
        self.allows(&event)?;
        Ok(vec![event])
    }

    /// # Panics
    ///
    /// Where a balance leaves its bounds: `allows` lets nobody decide that, so the history is not one of an account, and
    /// the store calls it corrupt.
    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { overdraft_limit } => {
                self.status = AccountStatus::Open;
                self.overdraft_limit = *overdraft_limit;
            }
            AccountEvent::Credited { amount, .. } => {
                self.balance = moved(self.balance.plus(*amount));
            }
            AccountEvent::Withdrawn { amount, .. } => {
                self.balance = moved(self.balance.minus(*amount));
            }
            AccountEvent::Closed => self.status = AccountStatus::Closed,
        }
    }

    /// A decision stays right as long as the account still allows what was decided: a credit commutes with all that
    /// leaves the account open, a withdrawal with all that leaves it the funds, a closing with all that leaves nothing.
    fn merge(&self, decided: &[AccountEvent], _others: &[AccountEvent]) -> bool {
        let mut state = self.clone();
        decided.iter().all(|event| state.allows(event).map(|()| state.evolve(event)).is_ok())
    }
}

fn moved(balance: Result<Balance, OutOfRange>) -> Balance {
    balance.unwrap_or_else(|error| panic!("the balance {error}"))
}

#[cfg(test)]
mod tests;
