//! An aggregate that holds a unique value: a member with a name.

use std::collections::BTreeMap;

use headwater::{
    Aggregate, Claim, ExecuteError, Executed, Options, StreamId, evidence::Evidence, invariants::Violation,
    memory::World,
};
use serde::{Deserialize, Serialize};

use crate::process::Process;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub name: Option<String>,
    pub years: u64,
}

#[derive(Debug, Clone)]
pub enum Wish {
    /// To be called so, for the first time or from now on.
    Name(String),
    /// To have no name any more.
    Leave,
    /// To grow older.
    Age,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Happened {
    Named { name: String },
    Left,
    Aged,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("a member who has left has no name")]
pub struct HasLeft;

impl Aggregate for Member {
    const KIND: &'static str = "member";
    type Command = Wish;
    type Event = Happened;
    type Rejection = HasLeft;

    fn decide(&self, wish: &Wish) -> Result<Vec<Happened>, HasLeft> {
        match wish {
            Wish::Name(name) if self.name.as_ref() == Some(name) => Ok(vec![]),
            Wish::Name(name) => Ok(vec![Happened::Named { name: name.clone() }]),
            Wish::Leave if self.name.is_none() => Err(HasLeft),
            Wish::Leave => Ok(vec![Happened::Left]),
            Wish::Age => Ok(vec![Happened::Aged]),
        }
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Named { name } => self.name = Some(name.clone()),
            Happened::Left => self.name = None,
            Happened::Aged => self.years += 1,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        self.name.iter().map(|name| claim(name)).collect()
    }
}

pub type Answer = Result<Executed<Member>, ExecuteError<HasLeft>>;

/// The claim to a name, whatever its case.
pub fn claim(name: &str) -> Claim {
    Claim::new("member-name", name.to_lowercase())
}

impl Process {
    /// Asks for a name.
    pub async fn call_me(&self, id: &str, name: &str) -> Answer {
        self.wish(id, Wish::Name(name.to_owned())).await
    }

    pub async fn wish(&self, id: &str, wish: Wish) -> Answer {
        self.store.execute::<Member>(id, wish, Options::default()).await
    }
}

/// Every name with the members that hold it, and what is broken of H9.
pub async fn holders(world: &World) -> (BTreeMap<String, Vec<StreamId>>, Vec<Violation>) {
    let mut evidence = Evidence::gather(&world.ports()).await.expect("evidence");
    evidence.claimed::<Member>(&world.ports()).await.expect("claims");
    let mut holders: BTreeMap<String, Vec<StreamId>> = BTreeMap::new();
    for (claim, stream) in &evidence.holders {
        holders.entry(claim.value().to_owned()).or_default().push(stream.clone());
    }
    let unique = evidence.violations().into_iter();
    let unique = unique.filter(|violation| violation.invariant == headwater::invariants::Invariant::H9);
    (holders, unique.collect())
}
