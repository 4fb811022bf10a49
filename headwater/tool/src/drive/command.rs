//! The commands: drawn from the seed, each with the idempotency key that it keeps for ever.

use fastrand::Rng;
use headwater::{CommitId, StreamId};
use serde_json::{Value, json};

use super::{DriveError, OVERDRAFT_LIMIT, Plan};

/// One command.
pub(super) struct Command {
    pub(super) service: &'static str,
    pub(super) path: String,
    pub(super) body: Value,
    pub(super) stream: StreamId,
    pub(super) key: CommitId,
    /// What it adds to the balance.
    pub(super) amount: i64,
    /// Where this command's own chance begins.
    pub(super) seed: u64,
}

impl Command {
    /// Opens an account.
    pub(super) fn open(plan: &Plan, account: usize) -> Result<Self, DriveError> {
        Ok(Self {
            service: "accounts",
            path: "/accounts".to_owned(),
            body: json!({"id": name(plan, account), "overdraft_limit": OVERDRAFT_LIMIT}),
            stream: StreamId::new("account", &name(plan, account))?,
            key: CommitId::of_key(&format!("open-{account}"))?,
            amount: 0,
            seed: plan.seed ^ account as u64,
        })
    }

    /// A credit or a withdrawal of some account.
    pub(super) fn draw(chance: &mut Rng, plan: &Plan, number: usize) -> Result<Self, DriveError> {
        let account = chance.usize(..plan.accounts.max(1));
        let amount = chance.i64(1..500);
        let (service, amount) = if chance.bool() { ("credit", amount) } else { ("withdraw", -amount) };
        Self::of(plan, account, &format!("command-{number}"), service, amount, chance.u64(..))
    }

    /// A credit of one minor unit: the last write to an account.
    pub(super) fn last(plan: &Plan, account: usize) -> Result<Self, DriveError> {
        Self::of(plan, account, "last", "credit", 1, plan.seed ^ account as u64)
    }

    fn of(
        plan: &Plan,
        account: usize,
        key: &str,
        service: &'static str,
        amount: i64,
        seed: u64,
    ) -> Result<Self, DriveError> {
        let account = name(plan, account);
        Ok(Self {
            service,
            path: format!("/accounts/{account}/{service}"),
            body: json!({"amount": amount.abs()}),
            stream: StreamId::new("account", &account)?,
            key: CommitId::of_key(key)?,
            amount,
            seed,
        })
    }
}

fn name(plan: &Plan, account: usize) -> String {
    format!("{}-{account}", plan.run)
}
