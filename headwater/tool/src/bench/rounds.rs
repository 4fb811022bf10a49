//! The work and its floor in turn.

use super::{Bench, Error};

/// Does both so many times, each time the other one first, and tells what each made of each round. A first round, which finds
/// everything cold, is done and not told.
pub async fn rounds<A, B>(
    bench: &Bench,
    rounds: usize,
    mut ours: impl FnMut(usize) -> A,
    mut floor: impl FnMut(usize) -> B,
) -> Result<Vec<(f64, f64)>, Error>
where
    A: Future<Output = Result<f64, Error>>,
    B: Future<Output = Result<f64, Error>>,
{
    let rounds = bench.rounds(rounds);
    let warm = usize::from(!bench.brief);
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds + warm {
        let pair = if round % 2 == 0 {
            let ours = ours(round).await?;
            (ours, floor(round).await?)
        } else {
            let floor = floor(round).await?;
            (ours(round).await?, floor)
        };
        if round >= warm {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}
