//! What the bank promises besides the store's invariants. A new promise is a [`Check`], and a line in [`all`]; so is a new
//! aggregate, projection or process, which the audit names as unchecked until then.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use archiver::audit::{Finding, What, check::Check, states::States, unique::Unique, views::Views};
use async_trait::async_trait;
use bank::{Account, Books, Portfolio, Transfer, User};
use consumers::{
    balance::Balances, credit_limit::CreditLimits, exceptions::Exceptions, holdings::Holdings,
    transfers::Transfers,
};
use headwater::{
    Aggregate, StoreError, Version, consume::Rules, format::key, invariants::History, port::Ports,
    read::HeadRead, read::Reader,
};

/// Every check of the bank.
pub fn all() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(Views::new(Rules::of(Balances))),
        Box::new(Views::new(Rules::forwarding(CreditLimits))),
        Box::new(Views::new(Rules::of(Exceptions))),
        Box::new(Views::progress(Holdings)),
        // How far it has come does not depend on how long a transfer may wait.
        Box::new(Views::progress(Transfers { expire_after: Duration::ZERO })),
        Box::new(States::<Account>::default()),
        Box::new(States::<Portfolio>::default()),
        Box::new(States::<Transfer>::default()),
        Box::new(States::<User>::default()),
        Box::new(Unique::<User>::default()),
        Box::new(Money::default()),
    ]
}

/// Money is never made or lost: what is in the accounts and under way between them is what was put in. The events of all
/// accounts are held in memory.
#[derive(Debug, Default)]
struct Money(Mutex<Books>);

impl Money {
    fn take(&self, history: &History) -> Result<(), StoreError> {
        let stream = &history.head.stream;
        let events = history.commits.iter().flat_map(|commit| &commit.events);
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(stream, events);
        taken.map_err(|error| StoreError::Corrupt { key: key::head(stream), reason: error.to_string() })
    }
}

#[async_trait]
impl Check for Money {
    async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        if history.head.stream.kind() == Account::KIND {
            self.take(history)?;
        }
        Ok(Vec::new())
    }

    /// Transfers are read behind all accounts, so that the order of every movement is known.
    async fn end(&self, reader: &Reader, _: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        for key in reader.keys(&format!("{}{}/", key::HEADS, Transfer::KIND)).await? {
            let Some(stream) = key::stream_of_head(&key) else { continue };
            let HeadRead::Found { head, .. } = reader.head(&stream, None).await? else { continue };
            let commits = reader.commits(&head, Version::ZERO).await?;
            // A stream that can't be decoded is a finding of its own already: the others are still counted.
            drop(self.take(&History { head: *head, commits }));
        }
        let audited = self.0.lock().unwrap_or_else(PoisonError::into_inner).audit();
        let finding = |found: String| Finding::new(What::Domain, "money", found);
        Ok(audited.violations.into_iter().map(finding).collect())
    }
}
