//! The process `transfers`: takes the money out of one account and brings it to another, or back.
//!
//! 1. It looks at the transfer as it is now. An event that is not its newest began a step that has ended: nothing is left to
//!    do. So whatever comes again, or late, moves no money.
//! 2. It asks the account of this step, by a command whose commit id follows from the event that began the step. The account
//!    answers yes or no by an event, so the answer is the same for whoever asks again. The repeat is looked for as far
//!    back as the transfer's order, however many commits came since.
//! 3. It tells the transfer what the account said; the event that this makes begins the next step.
//!
//! A transfer that waits too long expires: a timer tells it so. Then the account is told no under the commit id that the
//! withdrawal has. Either the no takes that id, and no withdrawal can; or the withdrawal stands, and the money goes back.

use std::{env::VarError, time::Duration};

use bank::{
    Account, AccountCommand, AccountEvent, AccountId, Amount, Order, Outcome, Transfer, TransferCommand,
    TransferEvent, TransferId,
};
use headwater::{
    Options, Schemas, Store, Version,
    consume::{Cause, Due, Process, ReactError},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Config, ConfigError};

/// The step in which money moves.
const MOVE: &str = "move";
/// The step that is told of it.
const RECORD: &str = "record";
/// The timer of a transfer, and its step.
const EXPIRE: &str = "expire";
/// The version of every transfer's request.
const REQUEST: Version = Version::new(1);

/// How this consumer is told what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransfersConfig {
    /// What every service has.
    pub service: Config,
    /// `HEADWATER_EXPIRE_AFTER`: how long a transfer may wait before its money moves, in seconds; a day if not given.
    pub expire_after: Duration,
}

impl TransfersConfig {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name))
    }

    /// Reads whatever `lookup` says.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let rule = "must be the seconds after which a transfer expires";
        let seconds = service::variable(&lookup, "HEADWATER_EXPIRE_AFTER", Some("86400"), rule)?;
        Ok(Self { service: Config::from_lookup(&lookup)?, expire_after: Duration::from_secs(seconds) })
    }
}

/// Moves the money of transfers.
#[derive(Debug, Clone)]
pub struct Transfers {
    /// How long a transfer may wait before its money moves.
    pub expire_after: Duration,
}

/// What of it is kept for an operator's `unpark`.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// In seconds.
    expire_after: u64,
}

impl Transfers {
    /// The process as it was deployed, by its [`Process::settings`]; `None` where they are none of this process.
    pub fn of_settings(settings: Value) -> Option<Self> {
        let Kept { expire_after } = serde_json::from_value(settings).ok()?;
        Some(Self { expire_after: Duration::from_secs(expire_after) })
    }
}

impl Process for Transfers {
    const NAME: &'static str = "transfers";
    type Reads = Transfer;

    fn settings(&self) -> Value {
        serde_json::to_value(Kept { expire_after: self.expire_after.as_secs() }).unwrap_or_default()
    }

    async fn react(&self, store: &Store, cause: &Cause<'_, TransferEvent>) -> Result<(), ReactError> {
        let transfer: TransferId = cause.stream.id().parse().map_err(ReactError::caused_by)?;
        let loaded = store.load::<Transfer>(transfer.as_str()).await?;
        if loaded.version != cause.version {
            return Ok(());
        }
        let order = loaded.state.order().ok_or_else(|| ReactError::stuck("the transfer has no order"))?;
        let Order { amount, .. } = *order;
        let (reference, of) = (order.reference.clone(), Some(transfer.clone()));
        let options = cause.options(MOVE);
        let (account, command, options) = match &cause.event {
            TransferEvent::Requested(_) => {
                cause.schedule(EXPIRE, self.expire_after).await?;
                let withdraw = AccountCommand::Withdraw { amount, reference, transfer: of };
                (&order.from, withdraw, since(options, order.from_version))
            }
            TransferEvent::Debited | TransferEvent::Redirected { .. } => {
                let credit = AccountCommand::Credit { amount, reference, transfer: of };
                (&order.to, credit, since(options, order.to_version))
            }
            TransferEvent::Bounced { .. } => {
                let refund = AccountCommand::Credit { amount, reference, transfer: of };
                (&order.from, refund, since(options, order.from_version))
            }
            TransferEvent::Expired => {
                let reason = "the transfer expired".to_owned();
                let decline = AccountCommand::Decline { transfer: transfer.clone(), reason };
                (&order.from, decline, since(cause.options_of(REQUEST, MOVE), order.from_version))
            }
            TransferEvent::Completed
            | TransferEvent::Refunded
            | TransferEvent::Refused { .. }
            | TransferEvent::Stranded { .. } => return Ok(()),
        };
        let outcome = ask(store, account, command, options, &transfer, amount).await?;
        let record = TransferCommand::Record { step: cause.version, outcome };
        store.execute::<Transfer>(transfer.as_str(), record, cause.options(RECORD)).await?;
        Ok(())
    }

    async fn due(&self, store: &Store, due: &Due<'_>) -> Result<(), ReactError> {
        let id = due.stream().id();
        store.execute::<Transfer>(id, TransferCommand::Expire, due.options(EXPIRE)).await?;
        Ok(())
    }
}

/// A repeat is looked for in all that came after this version.
fn since(options: Options, version: Version) -> Options {
    Options { repeats_after: Some(version), ..options }
}

/// Asks an account to move money, or not to; tells what stands there under the commit id now.
async fn ask(
    store: &Store,
    account: &AccountId,
    command: AccountCommand,
    options: Options,
    transfer: &TransferId,
    amount: Amount,
) -> Result<Outcome, ReactError> {
    let done = store.execute::<Account>(account.as_str(), command, options).await?;
    let stands = done.commit.as_ref().and_then(|commit| commit.events.first());
    let event = stands.map(|stored| Schemas::of::<Account>().decode::<AccountEvent>(stored)).transpose()?;
    match event {
        Some(
            AccountEvent::Withdrawn { amount: moved, transfer: Some(of), .. }
            | AccountEvent::Credited { amount: moved, transfer: Some(of), .. },
        ) if of == *transfer && moved == amount => Ok(Outcome::Moved),
        Some(AccountEvent::Declined { transfer: of, reason }) if of == *transfer => {
            Ok(Outcome::Declined { reason })
        }
        _ => {
            let name = stands.map_or("nothing", |stored| stored.name.as_str());
            Err(ReactError::Stuck(format!(
                "the commit id of this step names something else in account {account}: {name}"
            )))
        }
    }
}
