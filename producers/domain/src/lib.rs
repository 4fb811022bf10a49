//! The bank's domain: decisions and events, without input or output.
//!
//! One aggregate, the [`account`]; its words are [`Amount`], [`Balance`], [`OverdraftLimit`], [`Reference`] and
//! [`AccountId`], each of which holds valid values only, so that a decision never meets another.

pub mod account;
mod id;
mod money;

pub use self::{
    account::{Account, AccountCommand, AccountEvent, AccountRejection, AccountStatus},
    id::{AccountId, InvalidText, Reference},
    money::{Amount, Balance, MAX_AMOUNT, MAX_BALANCE, OutOfRange, OverdraftLimit},
};
