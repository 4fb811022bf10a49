//! How far back a commit can come again: the horizon that the relay's watermark allows.
//!
//! Whoever publishes a commit again began before the watermark passed it, and tries for [`PUBLISHING`] at most. So once a
//! watermark has stood for that long, by the arrival times of the records archived since, nothing older than it is still
//! on its way. The newest watermark alone does not say so: after the relay stood still it may have jumped far forward a
//! moment ago. A cold archiver, which has seen only the newest, goes by what that one says of the hour before it was stored,
//! if the records at hand are no older than [`LAG`]; else it reads back as much as it can.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use headwater::{
    format::{key, watermark::Watermark},
    port::{ETag, Got, Objects},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The longest that anyone tries to publish a commit, and the longest that clocks differ on top.
const PUBLISHING: SignedDuration = SignedDuration::from_mins(11);
/// How far behind the newest watermark the records may be for what it says of the last hour: an hour less [`PUBLISHING`], and
/// less for those who use a watermark that they read a while ago.
const LAG: SignedDuration = SignedDuration::from_mins(45);
/// How long a watermark that was read is good for.
const FRESH: Duration = Duration::from_mins(1);

/// The watermarks that one archiver has seen.
pub(crate) struct Horizon {
    objects: Arc<dyn Objects>,
    /// What each says, and since when it stood.
    marks: VecDeque<(Timestamp, Timestamp)>,
    settled: Option<Timestamp>,
    /// What the newest says of the hour before it was stored, and when that was.
    hour_ago: Option<(Timestamp, Timestamp)>,
    etag: Option<ETag>,
    asked: Option<Instant>,
}

impl Horizon {
    /// Reads the watermark from the store's bucket.
    pub(crate) fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, marks: VecDeque::new(), settled: None, hour_ago: None, etag: None, asked: None }
    }

    /// Reads the watermark, unless it was read a moment ago. One that can't be read only makes archivers remember more.
    pub(crate) async fn refresh(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return;
        }
        let got = self.objects.get(key::WATERMARK, self.etag.as_ref()).await;
        self.asked = Some(Instant::now());
        match got {
            Ok(Got::Found { body, etag, modified }) => match Watermark::decode(&body) {
                Ok(mark) => {
                    self.etag = Some(etag);
                    self.hour_ago = mark.hour_ago.map(|through| (through, modified));
                    self.marks.push_back((mark.through, modified));
                }
                Err(error) => tracing::warn!(%error, "the watermark is not understood"),
            },
            Ok(Got::Missing | Got::Unchanged) => {}
            Err(error) => tracing::warn!(%error, "the watermark could not be read"),
        }
    }

    /// What arrived before this does not come again, where records through `frontier` are archived.
    pub(crate) fn warm(&mut self, frontier: Timestamp) -> Option<Timestamp> {
        while let Some((through, stood)) = self.marks.front().copied() {
            if later(stood, PUBLISHING) > frontier {
                break;
            }
            self.settled = self.settled.max(Some(later(through, -PUBLISHING)));
            self.marks.pop_front();
        }
        self.settled
    }

    /// What arrived before this does not come again, as far as an archiver can tell that has just started, with records that
    /// arrived at `first` or later.
    pub(crate) fn cold(&self, first: Timestamp) -> Option<Timestamp> {
        let recent = self.hour_ago.filter(|(_, stored)| first >= later(*stored, -LAG));
        recent.map(|(through, _)| later(through, -PUBLISHING)).max(self.settled)
    }
}

/// `at` moved by `by`, as far as there is time: a watermark is what somebody stored, and must not stop an archiver.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(by).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use headwater::memory::World;

    use super::*;

    async fn put(world: &World, mark: &Watermark) {
        world.objects.insert(key::WATERMARK, mark.encode().expect("encodes"));
        tokio::time::sleep(FRESH).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_watermark_at_either_end_of_time_stops_nothing() {
        for through in [Timestamp::MIN, Timestamp::MAX] {
            let world = World::new(1);
            let mut horizon = Horizon::new(world.objects.clone());
            let mut mark = Watermark::new(through);
            mark.hour_ago = Some(through);
            put(&world, &mark).await;
            horizon.refresh().await;
            assert!(horizon.cold(Timestamp::MAX).expect("a horizon") <= through);
            assert!(horizon.warm(Timestamp::MAX).expect("a horizon") <= through);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watermark_counts_once_it_has_stood_for_as_long_as_anyone_publishes() {
        let world = World::new(1);
        let mut horizon = Horizon::new(world.objects.clone());
        horizon.refresh().await;
        assert_eq!((horizon.cold(Timestamp::MAX), horizon.warm(Timestamp::MAX)), (None, None));
        let through: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        put(&world, &Watermark::new(through)).await;
        horizon.refresh().await;
        let (_, stood) = *horizon.marks.back().expect("read");
        assert_eq!(horizon.cold(Timestamp::MAX), None, "it may have jumped here a moment ago");
        assert_eq!(horizon.warm(stood + PUBLISHING - SignedDuration::from_millis(1)), None);
        assert_eq!(horizon.warm(stood + PUBLISHING), Some(through - PUBLISHING));
        assert_eq!(horizon.cold(Timestamp::MIN), Some(through - PUBLISHING), "that was seen");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_watermark_says_of_the_last_hour_counts_for_records_that_are_not_far_behind() {
        let world = World::new(1);
        let mut horizon = Horizon::new(world.objects.clone());
        let through: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        let hour_ago = through - SignedDuration::from_hours(30);
        let mut mark = Watermark::new(through);
        mark.hour_ago = Some(hour_ago);
        put(&world, &mark).await;
        horizon.refresh().await;
        let (_, stored) = *horizon.marks.back().expect("read");
        assert_eq!(horizon.cold(stored - LAG), Some(hour_ago - PUBLISHING));
        assert_eq!(horizon.cold(stored - LAG - SignedDuration::from_secs(1)), None);
    }
}
