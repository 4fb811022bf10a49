//! The search: from state to state, breadth first, so that the first violation has a shortest story.

use std::{collections::HashSet, sync::Arc};

use headwater::{invariants, port::ObjectError};

use super::{
    callers::{self, Circumstances},
    case::{Again, Budget, Caller, Case},
    choice::{Callers, Choice},
    desk::{Told, Turn},
    process::Input,
    request::{Answer, Request},
    standing::{EMPTY, Moments},
    table::{Interner, Table},
};

/// The process that stands in for the next writer, whoever has died.
const NEXT_WRITER: u64 = 1_001;
/// The process of the callers that were served before.
const BEFORE: u64 = 1_000;

/// Where everybody is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    moment: u32,
    lives: Vec<Life>,
    /// What nobody waits for any more, and may happen yet.
    air: Vec<Flight>,
    left: Budget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
    /// Where it is in the table.
    Alive(u32),
    /// It is dead, or will never do anything again. What its callers were told, as far as that matters.
    Over(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Flight {
    process: usize,
    call: u32,
    request: u32,
}

/// What a choice led to.
pub(super) struct Happened {
    pub(super) state: State,
    pub(super) answer: Option<Answer>,
    pub(super) told: Vec<(usize, Told)>,
}

/// What is wrong.
pub(super) type Wrong = Vec<String>;

/// A case with all that was found out about it.
pub(super) struct Search {
    pub(super) case: Arc<Case>,
    pub(super) table: Table,
    pub(super) moments: Moments,
    words: Interner<Vec<Told>>,
    /// One caller for each stream.
    next_writers: Vec<Turn>,
    rescued: HashSet<u32>,
}

impl Search {
    pub(super) fn new(case: &Case) -> Self {
        let mut case = case.clone();
        let mut ids: Vec<&'static str> = case.callers.iter().map(|caller| caller.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let first = case.callers.len();
        case.callers.extend(ids.into_iter().map(|id| Caller::on(id).commits("next")));
        let next_writers = turns(first..case.callers.len());
        let case = Arc::new(case);
        Self {
            table: Table::new(&case),
            moments: Moments::new(case.lawless),
            case,
            words: Interner::new(),
            next_writers,
            rescued: HashSet::new(),
        }
    }

    /// Where the case begins.
    pub(super) fn first(&mut self) -> Result<State, Wrong> {
        let mut moment = EMPTY;
        if !self.case.before.is_empty() {
            moment = self.alone(BEFORE, turns(self.case.before.iter().copied()), moment)?;
        }
        let mut lives = Vec::new();
        for (place, callers) in self.case.processes.clone().into_iter().enumerate() {
            let root = self.table.root(place as u64);
            lives.push(Life::Alive(self.table.after(root, Input::Callers(turns(callers))).map_err(one)?));
        }
        Ok(State { moment, lives, air: Vec::new(), left: self.case.budget })
    }

    /// Everything that may happen next.
    pub(super) fn choices(&self, state: &State) -> Vec<Choice> {
        let (mut choices, left) = (Vec::new(), state.left);
        for (process, node) in state.alive() {
            let waiting = &self.table.node(node).waiting;
            for &(call, request) in waiting {
                choices.push(Choice::Pass { process, call });
                match &**self.table.requests.get(request) {
                    Request::Get { .. } if left.unread > 0 => choices.push(Choice::Lost { process, call }),
                    Request::Put { .. } | Request::PutRecords(_) if left.lost > 0 => {
                        choices.push(Choice::Lost { process, call });
                    }
                    _ => {}
                }
                match &**self.table.requests.get(request) {
                    Request::Put { .. } if left.busy > 0 => choices.push(Choice::Busy { process, call }),
                    Request::PutRecords(entries) if left.throttled > 0 => {
                        choices.extend((0..entries.len()).map(|entry| Choice::Throttle {
                            process,
                            call,
                            entry,
                        }));
                    }
                    _ => {}
                }
            }
            if !waiting.is_empty() && left.slow > 0 {
                choices.push(Choice::Time { process });
            }
            if !waiting.is_empty() && left.crashes > 0 {
                let crash = |callers| Choice::Crash { process, callers };
                for again in &self.case.after_crash {
                    match again {
                        Again::Never => choices.push(crash(Callers::Gone)),
                        Again::New => choices.push(crash(Callers::New)),
                        Again::Other => {
                            let others = state.alive().filter(|(other, _)| *other != process);
                            choices.extend(others.map(|(other, _)| crash(Callers::At(other))));
                        }
                    }
                }
            }
        }
        choices.extend(
            state.air.iter().map(|flight| Choice::Arrive { process: flight.process, call: flight.call }),
        );
        choices
    }

    /// Whether nobody waits for anything any more.
    pub(super) fn is_end(&self, state: &State) -> bool {
        state.alive().all(|(_, node)| self.table.node(node).waiting.is_empty())
    }

    /// Lets one thing happen; tells what it breaks.
    pub(super) fn happen(&mut self, state: &State, choice: Choice) -> Result<Happened, Wrong> {
        let mut next = state.clone();
        let mut answer = None;
        match choice {
            Choice::Pass { process, call } => {
                let name = self.waiting(state, process, call)?;
                let asked = Arc::clone(self.table.requests.get(name));
                let effect = self.moments.effect(state.moment, name, &asked)?;
                next.moment = effect.after;
                self.give(&mut next, process, Input::Answer(call, effect.answer.clone()))?;
                answer = Some(effect.answer);
            }
            Choice::Lost { process, call } => {
                let name = self.waiting(state, process, call)?;
                let left = match &**self.table.requests.get(name) {
                    Request::Get { .. } => &mut next.left.unread,
                    Request::Put { .. } | Request::PutRecords(_) => &mut next.left.lost,
                };
                *left = spend(*left)?;
                next.air.push(Flight { process, call, request: name });
                self.give(&mut next, process, Input::Answer(call, Answer::Lost))?;
            }
            Choice::Busy { process, call } => {
                next.left.busy = spend(next.left.busy)?;
                self.waiting(state, process, call)?;
                self.give(&mut next, process, Input::Answer(call, Answer::Put(Err(ObjectError::InFlight))))?;
            }
            Choice::Throttle { process, call, entry } => {
                next.left.throttled = spend(next.left.throttled)?;
                let name = self.waiting(state, process, call)?;
                let asked = Arc::clone(self.table.requests.get(name));
                let Request::PutRecords(entries) = &*asked else { return Err(one("it puts no records")) };
                let others: Vec<_> =
                    entries.iter().enumerate().filter(|(place, _)| *place != entry).collect();
                if !others.is_empty() {
                    let taken =
                        Request::PutRecords(others.into_iter().map(|(_, entry)| entry.clone()).collect());
                    let name = self.table.requests.intern(taken.clone());
                    next.moment = self.moments.effect(state.moment, name, &taken)?.after;
                }
                let taken = (0..entries.len()).map(|place| place != entry).collect();
                self.give(&mut next, process, Input::Answer(call, Answer::Records(taken)))?;
            }
            Choice::Arrive { process, call } => {
                let place =
                    state.air.iter().position(|flight| flight.process == process && flight.call == call);
                let flight = next.air.remove(place.ok_or_else(|| one("nothing of it is in the air"))?);
                let asked = Arc::clone(self.table.requests.get(flight.request));
                let effect = self.moments.effect(state.moment, flight.request, &asked)?;
                next.moment = effect.after;
                answer = Some(effect.answer);
            }
            Choice::Time { process } => {
                next.left.slow = spend(next.left.slow)?;
                self.give(&mut next, process, Input::Time)?;
            }
            Choice::Crash { process, callers } => {
                next.left.crashes = spend(next.left.crashes)?;
                self.crash(&mut next, process, callers)?;
            }
        }
        next.air
            .retain(|flight| self.moments.may_matter(next.moment, self.table.requests.get(flight.request)));
        next.air.sort_unstable();
        let told = self.check(state, &next)?;
        self.forget(&mut next);
        Ok(Happened { state: next, answer, told })
    }

    /// What a choice is about.
    pub(super) fn asked(&self, state: &State, choice: Choice) -> Option<Arc<Request>> {
        let name = match choice {
            Choice::Pass { process, call }
            | Choice::Lost { process, call }
            | Choice::Busy { process, call }
            | Choice::Throttle { process, call, .. } => self.waiting(state, process, call).ok(),
            Choice::Arrive { process, call } => {
                let flight = state.air.iter().find(|flight| flight.process == process && flight.call == call);
                flight.map(|flight| flight.request)
            }
            Choice::Time { .. } | Choice::Crash { .. } => None,
        };
        name.map(|name| Arc::clone(self.table.requests.get(name)))
    }

    /// What is wrong where everybody is through.
    pub(super) fn check_end(&self, state: &State) -> Result<(), Wrong> {
        for (process, node) in state.alive() {
            if let Some(turn) = self.table.node(node).turns.first() {
                let what = format!("caller {} of process {process} was never answered", turn.caller);
                return Err(vec![what]);
            }
        }
        let told: Vec<&Told> = (0..state.lives.len()).flat_map(|process| self.told(state, process)).collect();
        let harmed = state.left != self.case.budget;
        clean(&callers::wrong_in_the_end(&self.case, self.moments.get(state.moment), &told, harmed))
    }

    /// H6: whoever has died, the next writer publishes everything.
    pub(super) fn check_moment(&mut self, state: &State) -> Result<(), Wrong> {
        if !self.rescued.insert(state.moment) {
            return Ok(());
        }
        let after = self.alone(NEXT_WRITER, self.next_writers.clone(), state.moment).map_err(|wrong| {
            let of = |what: String| format!("the next writer, after everybody else has died: {what}");
            wrong.into_iter().map(of).collect::<Vec<_>>()
        })?;
        let standing = self.moments.get(after);
        let none = Vec::new();
        let undelivered = |(stream, history)| {
            invariants::delivered(history, standing.published.get(stream).unwrap_or(&none))
        };
        clean(&standing.histories.iter().flat_map(undelivered).collect::<Vec<_>>())
    }

    /// Lets a process serve its callers alone, without a fault.
    fn alone(&mut self, seed: u64, turns: Vec<Turn>, mut moment: u32) -> Result<u32, Wrong> {
        let root = self.table.root(seed);
        let mut node = self.table.after(root, Input::Callers(turns)).map_err(one)?;
        let mut told = 0;
        while let Some(&(call, name)) = self.table.node(node).waiting.first() {
            let request = Arc::clone(self.table.requests.get(name));
            let effect = self.moments.effect(moment, name, &request)?;
            moment = effect.after;
            node = self.table.after(node, Input::Answer(call, effect.answer)).map_err(one)?;
            for word in &self.table.node(node).told[told..] {
                let circumstances =
                    Circumstances { earlier: &[], harmed: false, seen: false, unproved: false };
                clean(&callers::wrong(&self.case, self.moments.get(moment), word, &circumstances))?;
            }
            told = self.table.node(node).told.len();
        }
        match self.table.node(node).turns.first() {
            Some(turn) => Err(vec![format!("caller {} was never answered", turn.caller)]),
            None => Ok(moment),
        }
    }

    fn crash(&mut self, next: &mut State, process: usize, callers: Callers) -> Result<(), Wrong> {
        let Some(Life::Alive(node)) = next.lives.get(process).copied() else { return Err(one("it is dead")) };
        let node = self.table.node(node);
        next.air.extend(node.waiting.iter().map(|&(call, request)| Flight { process, call, request }));
        let again = |turn: &Turn| Turn { attempt: turn.attempt.saturating_add(1), ..*turn };
        let turns: Vec<Turn> = node.turns.iter().map(again).collect();
        next.lives[process] = Life::Over(self.words.intern(gist(&node.told)));
        match callers {
            Callers::Gone => {}
            Callers::At(other) => self.give(next, other, Input::Callers(turns))?,
            Callers::New => {
                let root = self.table.root(next.lives.len() as u64);
                next.lives.push(Life::Alive(self.table.after(root, Input::Callers(turns)).map_err(one)?));
            }
        }
        Ok(())
    }

    /// Forgets how processes came to where they are that will never do anything again, so that more states are equal.
    fn forget(&mut self, next: &mut State) {
        if next.left.crashes > 0 && self.case.after_crash.contains(&Again::Other) {
            // They may be given the callers of others.
            return;
        }
        for life in &mut next.lives {
            let Life::Alive(node) = *life else { continue };
            let node = self.table.node(node);
            if node.waiting.is_empty() && node.turns.is_empty() {
                *life = Life::Over(self.words.intern(gist(&node.told)));
            }
        }
    }

    /// Gives a process something; what it asked for and waits for no more is in the air then.
    fn give(&mut self, next: &mut State, process: usize, input: Input) -> Result<(), Wrong> {
        let Some(Life::Alive(before)) = next.lives.get(process).copied() else {
            return Err(one("it is dead"));
        };
        let answered = if let Input::Answer(call, _) = &input { Some(*call) } else { None };
        let after = self.table.after(before, input).map_err(one)?;
        let waits = |call: u32| self.table.node(after).waiting.iter().any(|(waiting, _)| *waiting == call);
        let left = self
            .table
            .node(before)
            .waiting
            .iter()
            .filter(|(call, _)| Some(*call) != answered && !waits(*call));
        next.air.extend(left.map(|&(call, request)| Flight { process, call, request }));
        next.lives[process] = Life::Alive(after);
        Ok(())
    }

    /// Checks what is told in a step.
    fn check(&self, before: &State, after: &State) -> Result<Vec<(usize, Told)>, Wrong> {
        let mut new = Vec::new();
        for process in 0..after.lives.len() {
            let known = if process < before.lives.len() { self.told(before, process).len() } else { 0 };
            new.extend(self.told(after, process)[known..].iter().map(|told| (process, told.clone())));
        }
        if new.is_empty() {
            return Ok(new);
        }
        let earlier: Vec<&Told> =
            (0..before.lives.len()).flat_map(|process| self.told(before, process)).collect();
        for (place, (process, told)) in new.iter().enumerate() {
            // What is told right after another word was asked for since, and nothing was read since.
            let at_once = new[..place].iter().any(|(other, _)| other == process);
            let circumstances = Circumstances {
                earlier: &earlier,
                harmed: after.left != self.case.budget,
                seen: told.turn.attempt > 1
                    && self.seen(after.lives[*process], &callers::name(&self.case, told)),
                unproved: self.is_alone(before, *process) && (at_once || !self.reads(after.lives[*process])),
            };
            let standing = self.moments.get(after.moment);
            clean(&callers::wrong(&self.case, standing, told, &circumstances))?;
        }
        Ok(new)
    }

    /// Whether no two callers of one stream share the process.
    fn is_alone(&self, state: &State, process: usize) -> bool {
        let Some(Life::Alive(node)) = state.lives.get(process) else { return false };
        let mut streams: Vec<_> =
            self.table.node(*node).turns.iter().map(|turn| self.case.callers[turn.caller].id).collect();
        let callers = streams.len();
        streams.sort_unstable();
        streams.dedup();
        streams.len() == callers
    }

    /// Whether the process read anything for what it told last.
    fn reads(&self, life: Life) -> bool {
        matches!(life, Life::Alive(node) if self.table.has_just_read(node))
    }

    fn seen(&self, life: Life, commit: &str) -> bool {
        matches!((life, commit.parse()), (Life::Alive(node), Ok(commit)) if self.table.has_read(node, &commit))
    }

    fn told(&self, state: &State, process: usize) -> &[Told] {
        match state.lives[process] {
            Life::Alive(node) => &self.table.node(node).told,
            Life::Over(words) => self.words.get(words),
        }
    }

    fn waiting(&self, state: &State, process: usize, call: u32) -> Result<u32, Wrong> {
        let Some(Life::Alive(node)) = state.lives.get(process) else { return Err(one("it is dead")) };
        let waiting = self.table.node(*node).waiting.iter().find(|(waiting, _)| *waiting == call);
        waiting
            .map(|(_, request)| *request)
            .ok_or_else(|| one(format!("call {call} of process {process} does not wait")))
    }
}

impl State {
    fn alive(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let alive = |(process, life): (usize, &Life)| {
            if let Life::Alive(node) = life { Some((process, *node)) } else { None }
        };
        self.lives.iter().enumerate().filter_map(alive)
    }
}

/// What was told, without what is not asked for again.
fn gist(told: &[Told]) -> Vec<Told> {
    told.iter().map(Told::gist).collect()
}

fn turns(callers: impl IntoIterator<Item = usize>) -> Vec<Turn> {
    callers.into_iter().map(|caller| Turn { caller, step: 0, attempt: 1 }).collect()
}

fn spend(left: u8) -> Result<u8, Wrong> {
    left.checked_sub(1).ok_or_else(|| one("the budget is spent"))
}

fn one(what: impl Into<String>) -> Wrong {
    vec![what.into()]
}

fn clean(violations: &[invariants::Violation]) -> Result<(), Wrong> {
    if violations.is_empty() { Ok(()) } else { Err(violations.iter().map(ToString::to_string).collect()) }
}
