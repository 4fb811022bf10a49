//! Work on one core: a thread of its own, and a runtime that has no other.

use tokio::{runtime::Builder, task::spawn_blocking, time::Instant};

use super::Error;

/// How long it takes to do `work` to its end, in seconds. What `prepare` makes is made before the clock starts, and what `work`
/// makes is looked at by `check` after it has stopped.
pub(super) async fn timed<P, W, F, T>(
    prepare: P,
    work: W,
    check: impl FnOnce(T) -> Result<(), Error> + Send + 'static,
) -> Result<f64, Error>
where
    P: FnOnce() -> Result<F, Error> + Send + 'static,
    W: AsyncFnOnce(F) -> Result<T, Error> + Send + 'static,
{
    let run = move || {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let prepared = prepare()?;
        let began = Instant::now();
        let made = runtime.block_on(work(prepared))?;
        let took = began.elapsed().as_secs_f64();
        check(made)?;
        Ok(took)
    };
    spawn_blocking(run).await?
}
