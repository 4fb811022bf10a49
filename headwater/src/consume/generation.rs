//! Generations: which views of a projection are written, and which are asked.
//!
//! A projection's views stand in generations, `views/balance/…` for the first and `views/balance@1/…` and so on for those that
//! were rebuilt. The [`Pointer`] names the one that serves, and the one that is being built.
//!
//! - **Who writes** looks at the pointer after the batch came in, [`Generations::now`], and writes every generation that it
//!   names. So a batch that does not know of a new generation holds commits that stood before it was begun, and whoever
//!   rebuilds finds them in the heads.
//! - **Who asks** may go by a pointer that is some moments old, [`Generations::lately`]. What it names is deleted only later.
//! - **Who rebuilds** replaces the pointer by compare-and-swap, [`Generations::change`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    error::StoreError,
    format::{key, pointer::Pointer},
    port::{ETag, Entropy, Got, ObjectError, Objects, Ports, Precondition, backoff},
    read::Reader,
};

/// How old the pointer may be that a query goes by.
pub(super) const FRESH: Duration = Duration::from_secs(2);
/// How long a write may stay unanswered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a pointer is replaced before somebody else's changes are a failure of the world.
const ROUNDS: usize = 10;

/// A projection's pointer, as this process knows it.
pub(super) struct Generations {
    object: String,
    reader: Reader,
    objects: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    known: Mutex<Option<Known>>,
}

/// A pointer that was read.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) pointer: Pointer,
    /// `None` where none stands.
    etag: Option<ETag>,
    /// It stood at this moment, or after.
    asked: Instant,
}

impl Known {
    /// Whether a query may still go by it.
    pub(super) fn is_fresh(&self) -> bool {
        self.asked.elapsed() < FRESH
    }
}

impl Generations {
    pub(super) fn new(projection: &str, ports: &Ports) -> Self {
        Self {
            object: key::pointer(projection),
            reader: Reader::new(ports),
            objects: Arc::clone(&ports.objects),
            entropy: Arc::clone(&ports.entropy),
            known: Mutex::default(),
        }
    }

    /// The pointer as it stands now: a GET, without a body where nothing has changed.
    pub(super) async fn now(&self) -> Result<Known, StoreError> {
        let (known, asked) = (self.known(), Instant::now());
        let etag = known.as_ref().and_then(|known| known.etag.as_ref());
        let (pointer, etag) = match (self.reader.object(&self.object, etag).await?, known) {
            (Got::Found { body, etag, .. }, _) => {
                let pointer = Pointer::decode(&body);
                (pointer.map_err(|error| StoreError::corrupt(&self.object, &error))?, Some(etag))
            }
            (Got::Unchanged, Some(Known { pointer, etag, .. })) => (pointer, etag),
            (Got::Missing, Some(Known { etag: Some(_), .. })) => {
                let reason = "it stood, and was deleted: which views serve is unknown".to_owned();
                return Err(StoreError::Corrupt { key: self.object.clone(), reason });
            }
            (Got::Missing | Got::Unchanged, _) => (Pointer::default(), None),
        };
        let read = Known { pointer, etag, asked };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| known.asked <= asked) {
            *known = Some(read.clone());
        }
        Ok(read)
    }

    /// The pointer as it stands now, or stood some moments ago.
    pub(super) async fn lately(&self) -> Result<Known, StoreError> {
        match self.known().filter(Known::is_fresh) {
            Some(known) => Ok(known),
            None => self.now().await,
        }
    }

    /// Replaces the pointer by what `next` makes of the one that stands, if it makes another, until that stands. After a lost
    /// answer `next` is asked again: what it wanted may stand.
    pub(super) async fn change<E: From<StoreError>>(
        &self,
        next: impl Fn(Pointer) -> Result<Option<Pointer>, E>,
    ) -> Result<Pointer, E> {
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(20), Duration::from_secs(1));
        let mut reason = String::new();
        for _ in 0..ROUNDS {
            let Known { pointer, etag, .. } = self.now().await?;
            let Some(next) = next(pointer)? else { return Ok(pointer) };
            let body = next.encode().map_err(|error| StoreError::corrupt(&self.object, &error))?;
            let only = etag.map_or(Precondition::Absent, Precondition::Matches);
            reason = match timeout(PATIENCE, self.objects.put(&self.object, body, only)).await {
                Ok(Ok(_)) => return Ok(next),
                Ok(Err(error @ ObjectError::Refused(_))) => return Err(StoreError::from(error).into()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            sleep(pauses.next().unwrap_or_default()).await;
        }
        let reason = format!("{} was not written in {ROUNDS} rounds: {reason}", self.object);
        Err(StoreError::Unavailable(reason.into()).into())
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The generations of a projection as they stand now.
pub async fn generations(reader: &Reader, projection: &str) -> Result<Pointer, StoreError> {
    let object = key::pointer(projection);
    match reader.object(&object, None).await? {
        Got::Found { body, .. } => {
            Pointer::decode(&body).map_err(|error| StoreError::corrupt(&object, &error))
        }
        Got::Missing | Got::Unchanged => Ok(Pointer::default()),
    }
}
