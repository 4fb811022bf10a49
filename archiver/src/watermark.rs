//! How far back a commit can come again: the horizon that the relay's watermark allows.
//!
//! Whoever publishes a commit again began before the watermark passed it, and tries for [`PUBLISHING`] at most. So once a
//! watermark has stood for that long, by the arrival times of the records archived since, nothing older than it is still
//! on its way. The newest watermark alone does not say so: after the relay stood still it may have jumped far forward a
//! moment ago. A cold archiver, which has seen only the newest, keeps a distance of [`COLD`] instead.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use headwater::{
    format::{key, watermark::Watermark},
    port::{ETag, Got, Objects},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The longest that anyone tries to publish a commit, and the longest that clocks differ on top.
const PUBLISHING: SignedDuration = SignedDuration::from_mins(11);
/// How far behind the newest watermark a cold archiver reads back.
const COLD: SignedDuration = SignedDuration::from_hours(1);
/// How long a watermark that was read is good for.
const FRESH: Duration = Duration::from_mins(1);

/// The watermarks that one archiver has seen.
pub(crate) struct Horizon {
    objects: Arc<dyn Objects>,
    /// What each says, and since when it stood.
    marks: VecDeque<(Timestamp, Timestamp)>,
    settled: Option<Timestamp>,
    etag: Option<ETag>,
    asked: Option<Instant>,
}

impl Horizon {
    /// Reads the watermark from the store's bucket.
    pub(crate) fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, marks: VecDeque::new(), settled: None, etag: None, asked: None }
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

    /// What arrived before this does not come again, as far as an archiver can tell that has just started.
    pub(crate) fn cold(&self) -> Option<Timestamp> {
        let newest = self.marks.back().map(|(through, _)| later(*through, -COLD));
        newest.or(self.settled)
    }
}

/// `at` moved by `by`, as far as there is time: a watermark is what somebody stored, and must not stop an archiver.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(by).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use headwater::{memory::World, port::Precondition};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watermark_at_either_end_of_time_stops_nothing() {
        for through in [Timestamp::MIN, Timestamp::MAX] {
            let world = World::new(1);
            let mut horizon = Horizon::new(world.objects.clone());
            world.objects.insert(key::WATERMARK, Watermark::new(through).encode().expect("encodes"));
            horizon.refresh().await;
            let settled = horizon.cold().expect("a horizon");
            assert!(settled <= through);
            assert!(horizon.warm(Timestamp::MAX).expect("a horizon") <= through);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watermark_counts_once_it_has_stood_for_as_long_as_anyone_publishes() {
        let world = World::new(1);
        let mut horizon = Horizon::new(world.objects.clone());
        horizon.refresh().await;
        assert_eq!((horizon.cold(), horizon.warm(Timestamp::MAX)), (None, None));
        let through: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        let body = Watermark::new(through).encode().expect("encodes");
        world.objects.put(key::WATERMARK, body, Precondition::Absent).await.expect("puts");
        tokio::time::sleep(FRESH).await;
        horizon.refresh().await;
        let (_, stood) = *horizon.marks.back().expect("read");
        assert_eq!(horizon.cold(), Some(through - COLD));
        assert_eq!(horizon.warm(stood + PUBLISHING - SignedDuration::from_millis(1)), None);
        assert_eq!(horizon.warm(stood + PUBLISHING), Some(through - PUBLISHING));
    }
}
