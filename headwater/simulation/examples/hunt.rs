//! Hunts for seeds that break a promise: `hunt SEEDS [CATCHES [SEED]]`, one if not said otherwise. A seed that is named runs
//! first, and the others from 0 on only where that did not break enough. The first line says how many seeds ran and how many
//! of them broke a promise; then there is a line for each, the lowest first: the seed, the promise, and what was found. It is
//! how a mutation is caught.

use std::{env, io, iter, ops::ControlFlow};

fn main() -> io::Result<()> {
    let number = |place| env::args().nth(place).and_then(|text| text.parse::<u64>().ok());
    let (seeds, catches) = (number(1).unwrap_or(100), number(2).unwrap_or(1));
    let first = number(3).map(|seed| seed..seed.saturating_add(1));
    let (mut ran, mut caught) = (0_u64, Vec::new());
    for seeds in first.into_iter().chain(iter::once(0..seeds)) {
        if caught.len() as u64 >= catches {
            break;
        }
        simulation::many(seeds, |report| {
            ran += 1;
            if let Some(finding) = report.findings.first() {
                caught.push((report.seed, finding.clone()));
            }
            if caught.len() as u64 >= catches { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    caught.sort_by_key(|(seed, _)| *seed);
    caught.dedup_by_key(|(seed, _)| *seed);
    println!("{ran} {}", caught.len());
    for (seed, finding) in caught {
        println!("{seed} {} {} {}", finding.promise, finding.place, finding.found);
    }
    Ok(())
}
