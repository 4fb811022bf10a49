//! The account: money comes in while it is open, and goes out as far as the overdraft limit allows.
//!
//! Every command becomes one event, [`AccountCommand::event`]; the decision is whether the account allows that event now,
//! [`Account::allows`]. So a retry, a merge and a first decision ask one question.
//!
//! A transfer is told no by an event, [`AccountEvent::Declined`]: whoever asks again with the same commit id gets that no
//! again, whatever the account would allow by then. A no that were not kept could be a yes for the one who repeats, and
//! money would move that nobody counts with.

use headwater::{Aggregate, Upcaster};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{Reference, TransferId, UserId},
    money::{Amount, Balance, MAX_BALANCE, OutOfRange, OverdraftLimit},
};

/// What an account remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    status: AccountStatus,
    balance: Balance,
    overdraft_limit: OverdraftLimit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<UserId>,
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
        /// Whom it belongs to.
        holder: Option<UserId>,
    },
    /// Take money in.
    Credit {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        reference: Option<Reference>,
        /// The transfer that it is part of.
        transfer: Option<TransferId>,
    },
    /// Give money out.
    Withdraw {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        reference: Option<Reference>,
        /// The transfer that it is part of.
        transfer: Option<TransferId>,
    },
    /// Say no to a transfer. With the commit id of a movement this settles whether that has happened: it never will.
    Decline {
        /// Which one.
        transfer: TransferId,
        /// Why.
        reason: String,
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
        /// Whom it belongs to, if that was said.
        holder: Option<UserId>,
    },
    /// Money came in.
    Credited {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// The transfer that it is part of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<TransferId>,
    },
    /// Money went out.
    Withdrawn {
        /// How much.
        amount: Amount,
        /// What the payer wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// The transfer that it is part of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<TransferId>,
    },
    /// A transfer was told no, for ever; nothing moved.
    Declined {
        /// Which one.
        transfer: TransferId,
        /// Why.
        reason: String,
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
    pub const UPCASTERS: &'static [Upcaster] = &[Upcaster { event: "Opened", from: 1, up: without_holder }];
}

impl AccountCommand {
    /// What happens if the account allows it.
    pub fn event(&self) -> AccountEvent {
        match self.clone() {
            Self::Open { overdraft_limit, holder } => AccountEvent::Opened { overdraft_limit, holder },
            Self::Credit { amount, reference, transfer } => {
                AccountEvent::Credited { amount, reference, transfer }
            }
            Self::Withdraw { amount, reference, transfer } => {
                AccountEvent::Withdrawn { amount, reference, transfer }
            }
            Self::Decline { transfer, reason } => AccountEvent::Declined { transfer, reason },
            Self::Close => AccountEvent::Closed,
        }
    }

    /// The transfer that it is part of.
    fn transfer(&self) -> Option<&TransferId> {
        match self {
            Self::Credit { transfer, .. } | Self::Withdraw { transfer, .. } => transfer.as_ref(),
            Self::Decline { transfer, .. } => Some(transfer),
            Self::Open { .. } | Self::Close => None,
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

    /// Whom it belongs to, if that was said.
    pub fn holder(&self) -> Option<&UserId> {
        self.holder.as_ref()
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
            (_, AccountEvent::Declined { .. }) => Ok(()),
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

/// Schema 1 of `Opened` did not say whom the account belongs to.
fn without_holder(data: Value) -> Result<Value, &'static str> {
    let Value::Object(mut data) = data else { return Err("an object is expected") };
    data.insert("holder".to_owned(), Value::Null);
    Ok(Value::Object(data))
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    const SCHEMA: u32 = 2;

    type Command = AccountCommand;
    type Event = AccountEvent;
    const UPCASTERS: &'static [Upcaster] = AccountEvent::UPCASTERS;
    type Rejection = AccountRejection;

    fn decide(&self, command: &AccountCommand) -> Result<Vec<AccountEvent>, AccountRejection> {
        let event = command.event();
        match (self.allows(&event), command.transfer()) {
            (Ok(()), _) => Ok(vec![event]),
            (Err(why), Some(transfer)) if why != AccountRejection::NotOpen => {
                Ok(vec![AccountEvent::Declined { transfer: transfer.clone(), reason: why.to_string() }])
            }
            (Err(why), _) => Err(why),
        }
    }

    /// # Panics
    ///
    /// Where a balance leaves its bounds: `allows` lets nobody decide that, so the history is not one of an account, and
    /// the store calls it corrupt.
    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { overdraft_limit, holder } => {
                self.status = AccountStatus::Open;
                self.overdraft_limit = *overdraft_limit;
                self.holder.clone_from(holder);
            }
            AccountEvent::Credited { amount, .. } => {
                self.balance = moved(self.balance.plus(*amount));
            }
            AccountEvent::Withdrawn { amount, .. } => {
                self.balance = moved(self.balance.minus(*amount));
            }
            AccountEvent::Declined { .. } => {}
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
