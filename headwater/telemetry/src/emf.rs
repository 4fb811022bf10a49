//! Metrics in `CloudWatch`'s embedded metric format: lines on stdout that `CloudWatch` Logs makes metrics of.
//!
//! 1. [`Emf`] is the recorder behind the `metrics` facade: a counter adds up, a histogram keeps its values.
//! 2. [`Emf::flush`] takes what came since the last time, and [`document`] writes it. Where nothing came, nothing is written.
//!
//! The namespace is `Headwater`, and the one dimension `Function`. Labels are not told apart.

mod document;

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use headwater::port::{Clock, SystemClock};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, GaugeValue, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use serde_json::Value;

use self::document::{Measured, documents};

/// Most values that a histogram keeps until it is flushed; more are dropped.
const VALUES: usize = 100_000;

/// A recorder that writes the embedded metric format.
#[derive(Debug)]
pub(crate) struct Emf {
    function: String,
    units: Mutex<BTreeMap<String, Unit>>,
    instruments: Mutex<BTreeMap<String, Instrument>>,
}

/// What is kept of one metric.
#[derive(Debug, Clone)]
enum Instrument {
    Counter(Arc<Count>),
    Gauge(Arc<Level>),
    Histogram(Arc<Values>),
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

#[derive(Debug, Default)]
struct Level(Mutex<(f64, bool)>);

#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl Emf {
    /// A recorder of what this function does.
    pub(crate) fn new(function: String) -> Self {
        Self { function, units: Mutex::default(), instruments: Mutex::default() }
    }

    /// Writes what came since the last time to stdout. There may be nobody who reads it, which is no failure.
    pub(crate) fn flush(&self) {
        let documents = self.take(SystemClock.now().as_millisecond());
        if documents.is_empty() {
            return;
        }
        let mut stdout = stdout().lock();
        for document in documents {
            let _ = writeln!(stdout, "{document}");
        }
        let _ = stdout.flush();
    }

    /// The documents of what came since the last time, at this time in milliseconds since 1970.
    pub(crate) fn take(&self, at: i64) -> Vec<Value> {
        let instruments = lock(&self.instruments);
        let units = lock(&self.units);
        let measured = instruments.iter().filter_map(|(name, instrument)| {
            let values = instrument.take();
            let unit = units.get(name).copied();
            (!values.is_empty()).then(|| Measured { name: name.clone(), unit, values })
        });
        documents(&self.function, at, measured.collect())
    }

    fn describe(&self, key: &KeyName, unit: Option<Unit>) {
        if let Some(unit) = unit {
            lock(&self.units).insert(key.as_str().to_owned(), unit);
        }
    }

    /// The instrument of that name, which `new` makes where there is none.
    fn instrument(&self, key: &Key, new: impl FnOnce() -> Instrument) -> Instrument {
        let mut instruments = lock(&self.instruments);
        if let Some(known) = instruments.get(key.name()) {
            return known.clone();
        }
        let new = new();
        instruments.insert(key.name().to_owned(), new.clone());
        new
    }
}

impl Instrument {
    fn take(&self) -> Vec<Value> {
        match self {
            Self::Counter(count) => match count.0.swap(0, Ordering::Relaxed) {
                0 => Vec::new(),
                count => vec![count.into()],
            },
            Self::Gauge(level) => {
                let mut level = lock(&level.0);
                if std::mem::take(&mut level.1) { vec![level.0.into()] } else { Vec::new() }
            }
            Self::Histogram(values) => {
                std::mem::take(&mut *lock(&values.0)).into_iter().map(Value::from).collect()
            }
        }
    }
}

/// A name that stands for a metric of another kind already records nothing.
impl Recorder for Emf {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.instrument(key, || Instrument::Counter(Arc::default())) {
            Instrument::Counter(count) => Counter::from_arc(count),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.instrument(key, || Instrument::Gauge(Arc::default())) {
            Instrument::Gauge(level) => Gauge::from_arc(level),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.instrument(key, || Instrument::Histogram(Arc::default())) {
            Instrument::Histogram(values) => Histogram::from_arc(values),
            _ => Histogram::noop(),
        }
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl Level {
    fn change(&self, change: &GaugeValue) {
        let mut level = lock(&self.0);
        let value = change.update_value(level.0);
        if value.is_finite() {
            *level = (value, true);
        }
    }
}

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        self.change(&GaugeValue::Increment(value));
    }

    fn decrement(&self, value: f64) {
        self.change(&GaugeValue::Decrement(value));
    }

    fn set(&self, value: f64) {
        self.change(&GaugeValue::Absolute(value));
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        let mut values = lock(&self.0);
        // JSON has no other numbers.
        if value.is_finite() && values.len() < VALUES {
            values.push(value);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
