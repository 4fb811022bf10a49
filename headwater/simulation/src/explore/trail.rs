//! The trail: the states that were reached, how each was first reached, and how many runs lead through them.

use std::collections::HashMap;

use super::{choice::Choice, search::State};

/// States and the steps between them. No step leads back: each uses up something.
pub(super) struct Trail {
    places: HashMap<State, u32>,
    /// How each state was first reached.
    from: Vec<(u32, Option<Choice>)>,
    steps: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

impl Trail {
    pub(super) fn new(first: &State) -> Self {
        Self {
            places: HashMap::from([(first.clone(), 0)]),
            from: vec![(0, None)],
            steps: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.from.len()
    }

    pub(super) fn steps(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }

    /// Notes a step; the place of the state that it led to, if that is new.
    pub(super) fn step(&mut self, from: u32, choice: Choice, to: &State) -> Option<u32> {
        if let Some(place) = self.places.get(to) {
            self.steps.push((from, *place));
            return None;
        }
        let place = u32::try_from(self.from.len()).unwrap_or(u32::MAX);
        self.places.insert(to.clone(), place);
        self.from.push((from, Some(choice)));
        self.steps.push((from, place));
        Some(place)
    }

    /// Notes that a run may end here.
    pub(super) fn end(&mut self, place: u32) {
        self.ends.push(place);
    }

    /// The choices that first led to a state.
    pub(super) fn path(&self, mut place: u32) -> Vec<Choice> {
        let mut path = Vec::new();
        while let (from, Some(choice)) = self.from[place as usize] {
            path.push(choice);
            place = from;
        }
        path.reverse();
        path
    }

    /// How many runs there are from the beginning to an end, and how many steps the longest takes.
    pub(super) fn runs(&self) -> (u128, usize) {
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); self.len()];
        let mut before = vec![0_u32; self.len()];
        for (from, to) in &self.steps {
            after[*from as usize].push(*to);
            before[*to as usize] += 1;
        }
        let mut ways = vec![(0_u128, 0_usize); self.len()];
        ways[0] = (1, 0);
        let mut ready = vec![0_u32];
        while let Some(place) = ready.pop() {
            let (runs, steps) = ways[place as usize];
            for to in &after[place as usize] {
                let to = *to as usize;
                ways[to] = (ways[to].0.saturating_add(runs), ways[to].1.max(steps + 1));
                before[to] -= 1;
                if before[to] == 0 {
                    ready.push(u32::try_from(to).unwrap_or(u32::MAX));
                }
            }
        }
        let ends = self.ends.iter().map(|place| ways[*place as usize].0);
        let longest = ways.iter().map(|(_, steps)| *steps).max();
        (ends.fold(0, u128::saturating_add), longest.unwrap_or_default())
    }
}
