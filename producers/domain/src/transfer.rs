//! The transfer: money on its way from one account to another, step by step.
//!
//! ```text
//!  Requested ──▶ Debited ──▶ Completed
//!      │            └──────▶ Bounced ──▶ Refunded
//!      │                        └──────▶ Stranded ──▶ Redirected ──▶ Completed
//!      ├──▶ Refused                          ▲────────────┘
//!      └──▶ Expired ─ ─ ▶ Debited, Bounced
//! ```
//!
//! A transfer moves no money itself. A process asks the accounts, each by a command whose yes or no stands for ever, and
//! tells the transfer what came of it, [`TransferCommand::Record`]. While a step is under way nothing else happens to the
//! transfer, but that it expires before it is debited: so a step is named by the version at which it began, and what is
//! told of another than the newest changes nothing.
//!
//! Whether the account gave the money out before the transfer expired is the account's to say: then the transfer is debited
//! after all, and bounces at once.

use headwater::{Aggregate, Version};
use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, Reference},
    money::Amount,
};

/// Why a transfer bounces that was debited after it had expired.
const EXPIRED: &str = "the transfer expired";

/// What a transfer remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    status: TransferStatus,
    order: Option<Order>,
    reason: Option<String>,
    /// The number of its events.
    version: Version,
}

/// What somebody wants to be moved, and where it goes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whose money it is.
    pub from: AccountId,
    /// Who gets it.
    pub to: AccountId,
    /// How much.
    pub amount: Amount,
    /// What the payer wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// A version of `from` before any movement of this transfer.
    pub from_version: Version,
    /// A version of `to` before any movement of this transfer.
    pub to_version: Version,
}

/// Where a transfer is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    /// It was never requested.
    #[default]
    NotRequested,
    /// The money is still in the source.
    Requested,
    /// The money is on its way.
    Debited,
    /// The target got it.
    Completed,
    /// The target did not take it: it is on its way back.
    Bounced,
    /// The source has it again.
    Refunded,
    /// The source did not give it out.
    Refused,
    /// It waited too long, and nothing moved.
    Expired,
    /// Nobody takes it: it stands here, until somebody says where it shall go.
    Stranded,
    /// It is on its way to another target.
    Redirected,
}

impl TransferStatus {
    /// Whether money stands on the transfer, and in no account.
    pub fn holds_money(self) -> bool {
        matches!(self, Self::Debited | Self::Bounced | Self::Stranded | Self::Redirected)
    }

    /// Whether nothing more happens by itself.
    pub fn is_at_rest(self) -> bool {
        !matches!(self, Self::Requested | Self::Debited | Self::Bounced | Self::Redirected)
    }
}

/// What an account answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Moved,
    /// It did not, and never will.
    Declined {
        /// Why.
        reason: String,
    },
}

/// What a transfer is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferCommand {
    /// Begin.
    Request(Order),
    /// Remember what came of the step that began at `step`.
    Record {
        /// The version at which it began.
        step: Version,
        /// What came of it.
        outcome: Outcome,
    },
    /// End, if nothing has moved yet.
    Expire,
    /// Go to another target, where nobody took it.
    Redirect {
        /// Who gets it.
        to: AccountId,
        /// A version of `to` before.
        to_version: Version,
    },
}

/// What happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferEvent {
    /// It began.
    Requested(Order),
    /// The source gave the money out.
    Debited,
    /// A target took it.
    Completed,
    /// The target did not take it.
    Bounced {
        /// Why.
        reason: String,
    },
    /// The source took it back.
    Refunded,
    /// The source did not give it out.
    Refused {
        /// Why.
        reason: String,
    },
    /// It waited too long.
    Expired,
    /// Nobody takes the money.
    Stranded {
        /// Why.
        reason: String,
    },
    /// It goes to another target.
    Redirected {
        /// Who gets it.
        to: AccountId,
        /// A version of `to` before.
        to_version: Version,
    },
}

/// Why a transfer says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferRejection {
    /// It was requested before.
    #[error("the transfer was requested before")]
    AlreadyRequested,
    /// It was never requested.
    #[error("there is no such transfer")]
    NotRequested,
    /// Source and target are one account.
    #[error("a transfer needs two accounts")]
    SameAccount,
    /// Only money that nobody takes can be sent elsewhere.
    #[error("the transfer is not stranded")]
    NotStranded,
    /// No step is under way that this could come of.
    #[error("no step of the transfer is under way")]
    NoStep,
}

impl Transfer {
    /// Where it is in its life.
    pub fn status(&self) -> TransferStatus {
        self.status
    }

    /// What was ordered, with the target that it has now.
    pub fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Why it was refused, bounced or stranded, the newest of these.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What follows from the outcome of the newest step.
    fn after(&self, outcome: &Outcome) -> Result<Vec<TransferEvent>, TransferRejection> {
        use TransferStatus::{Bounced, Debited, Expired, Redirected, Requested};
        Ok(match (self.status, outcome) {
            (Requested, Outcome::Moved) => vec![TransferEvent::Debited],
            (Requested, Outcome::Declined { reason }) => {
                vec![TransferEvent::Refused { reason: reason.clone() }]
            }
            (Expired, Outcome::Moved) => {
                vec![TransferEvent::Debited, TransferEvent::Bounced { reason: EXPIRED.to_owned() }]
            }
            (Expired, Outcome::Declined { .. }) => Vec::new(),
            (Debited | Redirected, Outcome::Moved) => vec![TransferEvent::Completed],
            (Debited, Outcome::Declined { reason }) => {
                vec![TransferEvent::Bounced { reason: reason.clone() }]
            }
            (Bounced, Outcome::Moved) => vec![TransferEvent::Refunded],
            (Bounced | Redirected, Outcome::Declined { reason }) => {
                vec![TransferEvent::Stranded { reason: reason.clone() }]
            }
            _ => return Err(TransferRejection::NoStep),
        })
    }
}

impl Aggregate for Transfer {
    const KIND: &'static str = "transfer";
    const SCHEMA: u32 = 1;

    type Command = TransferCommand;
    type Event = TransferEvent;
    type Rejection = TransferRejection;

    fn decide(&self, command: &TransferCommand) -> Result<Vec<TransferEvent>, TransferRejection> {
        match (self.status, command) {
            (TransferStatus::NotRequested, TransferCommand::Request(order)) => {
                let same = order.from == order.to;
                if same {
                    Err(TransferRejection::SameAccount)
                } else {
                    Ok(vec![TransferEvent::Requested(order.clone())])
                }
            }
            (_, TransferCommand::Request(_)) => Err(TransferRejection::AlreadyRequested),
            (TransferStatus::NotRequested, _) => Err(TransferRejection::NotRequested),
            (_, TransferCommand::Record { step, outcome }) if *step == self.version => self.after(outcome),
            (TransferStatus::Requested, TransferCommand::Expire) => Ok(vec![TransferEvent::Expired]),
            (TransferStatus::Stranded, TransferCommand::Redirect { to, to_version }) => {
                Ok(vec![TransferEvent::Redirected { to: to.clone(), to_version: *to_version }])
            }
            (_, TransferCommand::Redirect { .. }) => Err(TransferRejection::NotStranded),
            (_, TransferCommand::Record { .. } | TransferCommand::Expire) => Ok(Vec::new()),
        }
    }

    fn evolve(&mut self, event: &TransferEvent) {
        self.version = self.version.next();
        self.status = match event {
            TransferEvent::Requested(order) => {
                self.order = Some(order.clone());
                TransferStatus::Requested
            }
            TransferEvent::Debited => TransferStatus::Debited,
            TransferEvent::Completed => TransferStatus::Completed,
            TransferEvent::Bounced { reason } => self.because(reason, TransferStatus::Bounced),
            TransferEvent::Refunded => TransferStatus::Refunded,
            TransferEvent::Refused { reason } => self.because(reason, TransferStatus::Refused),
            TransferEvent::Expired => TransferStatus::Expired,
            TransferEvent::Stranded { reason } => self.because(reason, TransferStatus::Stranded),
            TransferEvent::Redirected { to, to_version } => {
                if let Some(order) = &mut self.order {
                    (order.to, order.to_version) = (to.clone(), *to_version);
                }
                TransferStatus::Redirected
            }
        };
    }
}

impl Transfer {
    fn because(&mut self, reason: &str, status: TransferStatus) -> TransferStatus {
        self.reason = Some(reason.to_owned());
        status
    }
}

#[cfg(test)]
mod tests;
