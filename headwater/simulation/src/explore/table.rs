//! What processes do, by what they were given: a table that is filled by running the real code, once for each.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use headwater::{CommitId, format::head::Head, port::Got};

use super::{
    case::Case,
    desk::{Told, Turn},
    process::{Input, Process, Reaction},
    request::{Answer, Request},
};

/// Processes that are kept alive at a time; what they do can always be found out again from the start.
const ALIVE: usize = 4096;

/// Equal things, once each.
#[derive(Debug)]
pub(super) struct Interner<T> {
    places: HashMap<Arc<T>, u32>,
    things: Vec<Arc<T>>,
}

impl<T: Eq + Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self { places: HashMap::new(), things: Vec::new() }
    }

    pub(super) fn intern(&mut self, thing: T) -> u32 {
        if let Some(place) = self.places.get(&thing) {
            return *place;
        }
        let thing = Arc::new(thing);
        let place = u32::try_from(self.things.len()).unwrap_or(u32::MAX);
        self.places.insert(Arc::clone(&thing), place);
        self.things.push(thing);
        place
    }

    pub(super) fn get(&self, place: u32) -> &Arc<T> {
        &self.things[place as usize]
    }
}

/// A process after what it was given.
pub(super) struct Node {
    parent: Option<(u32, Input)>,
    seed: u64,
    pub(super) waiting: Vec<(u32, u32)>,
    pub(super) told: Vec<Told>,
    pub(super) turns: Vec<Turn>,
}

/// What processes do.
pub(super) struct Table {
    case: Arc<Case>,
    nodes: Vec<Node>,
    next: HashMap<(u32, Input), u32>,
    roots: HashMap<u64, u32>,
    pub(super) requests: Interner<Request>,
    alive: HashMap<u32, Process>,
    /// In the order in which they came to where they are.
    ages: std::collections::VecDeque<u32>,
    /// How often a process was given something.
    pub(super) given: u64,
}

impl Table {
    pub(super) fn new(case: &Arc<Case>) -> Self {
        Self {
            case: Arc::clone(case),
            nodes: Vec::new(),
            next: HashMap::new(),
            roots: HashMap::new(),
            requests: Interner::new(),
            alive: HashMap::new(),
            ages: std::collections::VecDeque::new(),
            given: 0,
        }
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The process of this seed, before it was given anything.
    pub(super) fn root(&mut self, seed: u64) -> u32 {
        if let Some(root) = self.roots.get(&seed) {
            return *root;
        }
        let root =
            self.add(Node { parent: None, seed, waiting: Vec::new(), told: Vec::new(), turns: Vec::new() });
        self.roots.insert(seed, root);
        root
    }

    /// The process `from`, after it was given `input` too.
    pub(super) fn after(&mut self, from: u32, input: Input) -> Result<u32, String> {
        let key = (from, input);
        if let Some(node) = self.next.get(&key) {
            return Ok(*node);
        }
        let (from, input) = key;
        let process = match self.alive.remove(&from) {
            Some(process) => process,
            None => self.again(from)?,
        };
        process.give(input.clone());
        self.given += 1;
        let Reaction { waiting, told, turns } = process.reaction();
        let waiting =
            waiting.into_iter().map(|(call, request)| (call, self.requests.intern(request))).collect();
        let seed = self.node(from).seed;
        let node = self.add(Node { parent: Some((from, input.clone())), seed, waiting, told, turns });
        self.next.insert((from, input), node);
        self.keep(node, process);
        Ok(node)
    }

    /// Whether the process has read a head with this commit.
    pub(super) fn has_read(&self, mut node: u32, commit: &CommitId) -> bool {
        while let Some((parent, input)) = &self.node(node).parent {
            if let Input::Answer(_, Answer::Got(Got::Found { body, .. })) = input
                && Head::decode(body).is_ok_and(|head| head.find(commit).is_some())
            {
                return true;
            }
            node = *parent;
        }
        false
    }

    /// Whether the process has read anything since it told what came before the newest that it tells now.
    pub(super) fn has_just_read(&self, mut node: u32) -> bool {
        let Some((parent, _)) = &self.node(node).parent else { return false };
        let before = self.node(*parent).told.len();
        while let Some((parent, input)) = &self.node(node).parent
            && self.node(*parent).told.len() == before
        {
            if matches!(input, Input::Answer(_, Answer::Got(_))) {
                return true;
            }
            node = *parent;
        }
        false
    }

    /// Starts the process anew, gives it all that it was given, and minds that it does what it did.
    fn again(&mut self, node: u32) -> Result<Process, String> {
        let mut given = Vec::new();
        let mut at = node;
        while let Some((parent, input)) = &self.node(at).parent {
            given.push((input.clone(), at));
            at = *parent;
        }
        let process = Process::start(&self.case, self.node(node).seed).map_err(|error| error.to_string())?;
        for (input, at) in given.into_iter().rev() {
            process.give(input);
            self.given += 1;
            let reaction = process.reaction();
            let node = self.node(at);
            let waiting = node.waiting.iter().map(|(call, request)| (*call, &**self.requests.get(*request)));
            let same = reaction.waiting.iter().map(|(call, request)| (*call, request)).eq(waiting);
            if !same || reaction.told != node.told || reaction.turns != node.turns {
                return Err("a process is no function of what it is given".to_owned());
            }
        }
        Ok(process)
    }

    fn add(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    fn keep(&mut self, node: u32, process: Process) {
        self.alive.insert(node, process);
        self.ages.push_back(node);
        while self.alive.len() > ALIVE {
            let Some(oldest) = self.ages.pop_front() else { return };
            self.alive.remove(&oldest);
        }
    }
}
