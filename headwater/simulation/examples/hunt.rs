//! Hunts for seeds that break a promise: `hunt SEEDS [CATCHES]`, one if not said otherwise. The first line says how many
//! seeds ran and how many of them broke one; then there is a line for each, the lowest first: the seed, the promise, and
//! what was found. It is how a mutation is caught.

use std::{env, io, ops::ControlFlow};

fn main() -> io::Result<()> {
    let number =
        |place, without| env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(without);
    let (seeds, catches) = (number(1, 100), number(2, 1));
    let (mut ran, mut caught) = (0_u64, Vec::new());
    simulation::many(0..seeds, |report| {
        ran += 1;
        if let Some(finding) = report.findings.first() {
            caught.push((report.seed, finding.clone()));
        }
        if caught.len() as u64 >= catches { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    caught.sort_by_key(|(seed, _)| *seed);
    println!("{ran} {}", caught.len());
    for (seed, finding) in caught {
        println!("{seed} {} {} {}", finding.promise, finding.place, finding.found);
    }
    Ok(())
}
