//! The bank, whoever keeps it: the same commands, decided by the same domain, [`bank::Account`].

use async_trait::async_trait;
use bank::{AccountCommand, Amount, OutOfRange, OverdraftLimit};

/// Why something could not be measured.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is committed.
    Done,
    /// The domain said no.
    Rejected,
    /// Somebody else was faster: the caller may try again.
    Conflict,
}

/// A process that executes commands.
#[async_trait]
pub(crate) trait Bank: Send + Sync {
    /// Executes one command.
    async fn execute(&self, account: &str, command: AccountCommand) -> Result<Answer, Error>;

    /// The balance as the next command would find it.
    async fn balance(&self, account: &str) -> Result<i64, Error>;

    /// The balance as readers see it: the view that the commit was dispatched to, or the stream that it was published to.
    async fn seen(&self, account: &str) -> Result<i64, Error>;
}

/// Opens an account that may be 50 below zero.
pub(crate) fn open() -> Result<AccountCommand, OutOfRange> {
    Ok(AccountCommand::Open { overdraft_limit: OverdraftLimit::try_from(50)?, holder: None })
}

/// Takes money in.
pub(crate) fn credit(amount: i64) -> Result<AccountCommand, OutOfRange> {
    Ok(AccountCommand::Credit { amount: Amount::try_from(amount)?, reference: None, transfer: None })
}

/// Gives money out.
pub(crate) fn withdraw(amount: i64) -> Result<AccountCommand, OutOfRange> {
    Ok(AccountCommand::Withdraw { amount: Amount::try_from(amount)?, reference: None, transfer: None })
}

/// An account's life in eight commands, into the overdraft and out of it.
pub(crate) fn life() -> Result<[AccountCommand; 8], OutOfRange> {
    Ok([
        open()?,
        credit(100)?,
        withdraw(130)?,
        credit(5)?,
        withdraw(20)?,
        credit(60)?,
        withdraw(1)?,
        credit(1)?,
    ])
}

/// What is there at the end of a [`life`].
pub(crate) const LEFT: i64 = 15;

/// Executes a command that must be done.
pub(crate) async fn done(bank: &dyn Bank, account: &str, command: AccountCommand) -> Result<(), Error> {
    match bank.execute(account, command.clone()).await? {
        Answer::Done => Ok(()),
        answer => Err(format!("{account}: {command:?} was answered by {answer:?}").into()),
    }
}
