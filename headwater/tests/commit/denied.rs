//! What S3 or Kinesis denies is told as such, at once: no retry helps.

use std::error::Error;

use headwater::{
    ExecuteError, Publication, StoreError,
    memory::{Fault, Operation, World},
    port::{LogError, ObjectError},
};
use tokio::time::Instant;

use crate::{
    counter::{Command, Counter},
    process::{Process, named, published},
};

fn no_right() -> ObjectError {
    ObjectError::Refused("AccessDenied".into())
}

/// Whether `wanted` is among the causes of an error.
fn comes_from<E: Error + PartialEq + 'static>(error: &dyn Error, wanted: &E) -> bool {
    let mut causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.any(|cause| cause.downcast_ref() == Some(wanted))
}

#[tokio::test(start_paused = true)]
async fn a_denied_read_is_told_as_such_and_not_repeated() {
    let world = World::new(90);
    Process::new(&world).run("a", Command::Add(1)).await;
    let process = Process::new(&world);
    process.objects.faults().hook(|_| Fault::Before(no_right()));
    let begin = Instant::now();
    let error = process.store.load::<Counter>("a").await.expect_err("denied");
    assert!(matches!(error, StoreError::Denied(_)), "{error}");
    assert!(comes_from(&error, &no_right()), "{error:?}");
    assert_eq!(error.to_string(), "denied: reading heads/counter/a: S3 refused: AccessDenied");
    assert_eq!((process.objects.faults().calls(Operation::Get), begin.elapsed().as_millis()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_denied_write_is_told_as_such_and_not_repeated() {
    let world = World::new(91);
    let process = Process::new(&world);
    process.objects.faults().hook(|call| match call.operation {
        Operation::Put => Fault::Before(no_right()),
        _ => Fault::None,
    });
    let answer = process.try_run("a", Command::Add(1), named("k")).await;
    assert!(
        matches!(&answer, Err(ExecuteError::Store(error @ StoreError::Denied(_))) if comes_from(error, &no_right()))
    );
    assert_eq!(process.objects.faults().calls(Operation::Put), 1);
}

#[tokio::test(start_paused = true)]
async fn a_denied_record_is_sent_once_and_tells_the_next_writer() {
    let world = World::new(92);
    let process = Process::new(&world);
    let denied = || LogError::Refused("AccessDeniedException".into());
    process.log.faults().hook(move |_| Fault::Before(denied()));
    let first = process.run("a", Command::Add(1)).await;
    assert_eq!(first.publication, Publication::Pending, "it is committed");
    assert_eq!(process.log.faults().calls(Operation::PutRecords), 1, "a repeat changes nothing");
    let second = process.try_run("a", Command::Add(1), named("k")).await;
    let Err(ExecuteError::Store(error @ StoreError::Denied(_))) = second else { panic!("{second:?}") };
    assert!(comes_from(&error, &denied()), "{error:?}");
    process.log.faults().clear();
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)], "the right was granted");
}
