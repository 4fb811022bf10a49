//! The process `holdings`: finds out who has too many accounts, and tries to mend that.
//!
//! The rule spans streams, and no opening waits for it: it may be broken for a moment. What breaks it is an exception.
//!
//! 1. An account that is opened for a holder, or closed, is told to the holder's portfolio, which says what is too many.
//! 2. For each account that is, the process tries to close it, and tells the portfolio what came of that.
//!
//! What can't be closed, because money is in it, is somebody's to look at: [`exceptions`](crate::exceptions) shows it.

use bank::{
    Account, AccountCommand, AccountId, AccountRejection, AccountStatus, Portfolio, PortfolioCommand, UserId,
};
use headwater::{
    ExecuteError, Options, Store, Version,
    consume::{Cause, Kind, Process, ReactError, Reads},
};
use serde::Deserialize;

/// Watches over who holds what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holdings;

/// What it reads.
#[derive(Debug, Clone)]
pub enum HoldingsEvent {
    /// Of an account.
    Account(AccountChange),
    /// Of a portfolio.
    Portfolio(PortfolioChange),
}

/// Who holds an account, and until when.
#[derive(Debug, Clone, Deserialize)]
pub enum AccountChange {
    /// It was opened.
    Opened {
        /// Whom it belongs to, if that was said.
        holder: Option<UserId>,
    },
    /// It was closed.
    Closed,
}

/// What a portfolio says is wrong.
#[derive(Debug, Clone, Deserialize)]
pub enum PortfolioChange {
    /// An account is too many.
    Exceeded {
        /// Which one.
        account: AccountId,
    },
}

impl Reads for HoldingsEvent {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[
        Kind::of::<Account>(|event| event.read(Self::Account)),
        Kind::of::<Portfolio>(|event| event.read(Self::Portfolio)),
    ];
}

impl Process for Holdings {
    const NAME: &'static str = "holdings";
    type Reads = HoldingsEvent;

    async fn react(&self, store: &Store, cause: &Cause<'_, HoldingsEvent>) -> Result<(), ReactError> {
        let id = cause.stream.id();
        match &cause.event {
            HoldingsEvent::Account(AccountChange::Opened { holder: None }) => Ok(()),
            HoldingsEvent::Account(AccountChange::Opened { holder: Some(holder) }) => {
                let account = id.parse().map_err(ReactError::caused_by)?;
                tell(store, holder.as_str(), PortfolioCommand::Add(account), cause.options("add")).await
            }
            HoldingsEvent::Account(AccountChange::Closed) => {
                let closed = store.load::<Account>(id).await?.state;
                let Some(holder) = closed.holder() else { return Ok(()) };
                let account = id.parse().map_err(ReactError::caused_by)?;
                tell(store, holder.as_str(), PortfolioCommand::Remove(account), cause.options("remove")).await
            }
            HoldingsEvent::Portfolio(PortfolioChange::Exceeded { account }) => {
                if !store.load::<Portfolio>(id).await?.state.is_exception(account) {
                    return Ok(());
                }
                let options = anywhere(cause.options("close"));
                let reason =
                    match store.execute::<Account>(account.as_str(), AccountCommand::Close, options).await {
                        Ok(done) if done.state.status() == AccountStatus::Closed => None,
                        Ok(_) => {
                            return Err(ReactError::stuck(
                                "the account was not closed by the command to close it",
                            ));
                        }
                        Err(ExecuteError::Rejected(AccountRejection::Closed)) => None,
                        Err(ExecuteError::Rejected(why)) => Some(why.to_string()),
                        Err(ExecuteError::Store(error)) => return Err(error.into()),
                    };
                let resolve = PortfolioCommand::Resolve { account: account.clone(), reason };
                tell(store, id, resolve, cause.options("resolve")).await
            }
        }
    }
}

/// Tells a portfolio something, once.
async fn tell(
    store: &Store,
    id: &str,
    command: PortfolioCommand,
    options: Options,
) -> Result<(), ReactError> {
    store.execute::<Portfolio>(id, command, anywhere(options)).await?;
    Ok(())
}

/// A repeat is looked for in the whole stream: these are short.
fn anywhere(options: Options) -> Options {
    Options { repeats_after: Some(Version::ZERO), ..options }
}
