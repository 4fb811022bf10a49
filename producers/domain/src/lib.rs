//! The bank's domain: decisions and events, without input or output.
//!
//! An aggregate per file: the [`account`] and the [`user`]; the [`transfer`], which is money on its way between two accounts;
//! and the [`portfolio`], which knows whose accounts are too many. [`books`] says whether all the money adds up. Their words
//! are [`Amount`], [`Balance`], [`OverdraftLimit`], [`Reference`], [`Username`] and the ids, each of which holds valid
//! values only, so that a decision never meets another.

pub mod account;
pub mod books;
mod id;
mod money;
pub mod portfolio;
pub mod transfer;
pub mod user;

pub use self::{
    account::{Account, AccountCommand, AccountEvent, AccountRejection, AccountStatus},
    books::Books,
    id::{AccountId, InvalidText, Reference, TransferId, UserId, Username},
    money::{Amount, Balance, MAX_AMOUNT, MAX_BALANCE, OutOfRange, OverdraftLimit},
    portfolio::{Portfolio, PortfolioCommand, PortfolioEvent},
    transfer::{Order, Outcome, Transfer, TransferCommand, TransferEvent, TransferRejection, TransferStatus},
    user::{User, UserCommand, UserEvent, UserRejection, UserStatus},
};
