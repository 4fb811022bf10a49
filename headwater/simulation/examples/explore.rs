//! Explores cases: those whose names contain the words given, or the deeper ones.

use std::process::ExitCode;

use simulation::explore::{Case, cases, explore};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named = |case: &Case| words.iter().all(|word| case.name.contains(word));
    let all = cases::all().into_iter().filter(|_| !words.is_empty());
    for case in all.chain(cases::deeper()).filter(named) {
        match explore(&case) {
            Ok(counts) => println!("{}: {counts:?}", case.name),
            Err(broken) => {
                println!("{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
