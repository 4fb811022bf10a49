//! Many runs, side by side.

use std::{
    io,
    ops::{ControlFlow, Range},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{report::Report, run::run, world::lock};

/// Runs all `seeds`, on as many threads as the machine runs at a time, and tells `each` of every end, in no certain order.
/// A break ends it, once the runs that are under way have ended.
///
/// # Errors
///
/// As [`run()`].
pub fn many(seeds: Range<u64>, each: impl FnMut(Report) -> ControlFlow<()> + Send) -> io::Result<()> {
    let next = AtomicU64::new(seeds.start);
    let stopped = AtomicBool::new(false);
    let each = Mutex::new(each);
    let work = || -> io::Result<()> {
        while !stopped.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let report = run(seed)?;
            if lock(&each)(report).is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a simulation panicked")))
        })
    })
}
