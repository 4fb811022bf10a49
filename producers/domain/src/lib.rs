//! The bank's domain: decisions and events, without input or output.
//!
//! An aggregate per file: the [`account`] and the [`user`]. Their words are [`Amount`], [`Balance`], [`OverdraftLimit`],
//! [`Reference`], [`Username`] and the ids, each of which holds valid values only, so that a decision never meets another.

pub mod account;
mod id;
mod money;
pub mod user;

pub use self::{
    account::{Account, AccountCommand, AccountEvent, AccountRejection, AccountStatus},
    id::{AccountId, InvalidText, Reference, UserId, Username},
    money::{Amount, Balance, MAX_AMOUNT, MAX_BALANCE, OutOfRange, OverdraftLimit},
    user::{User, UserCommand, UserEvent, UserRejection, UserStatus},
};
