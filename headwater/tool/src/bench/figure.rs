//! One figure: what was measured, its floor and its goal.

use serde::Serialize;

use super::Row;
use crate::{Line, Paint};

/// What was measured of one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The row that it belongs to.
    pub row: Row,
    /// What of it, as `32 in flight`.
    pub what: String,
    /// How much, in the median of the rounds.
    pub value: f64,
    /// Of what, as `commands/s`.
    pub unit: &'static str,
    /// The same work done bare, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// How the two compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// What it is to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
    /// What belongs to it: latencies, counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

/// The figure through its floor, round by round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// In the median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goal {
    /// Of the ratio, or of the value.
    pub of: Of,
    /// The bound.
    #[serde(flatten)]
    pub bound: Bound,
    /// Whether it was met.
    pub met: bool,
}

/// What a goal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The value.
    Value,
    /// The ratio's median.
    Ratio,
}

/// What is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

/// Something that belongs to a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// What.
    pub what: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Figure {
    /// A figure without a floor.
    pub fn new(row: Row, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let what = what.into();
        Self { row, what, value, unit, floor: None, ratio: None, goals: Vec::new(), beside: Vec::new() }
    }

    /// A figure from rounds of the work and of its floor, one pair a round.
    pub fn rounds(row: Row, what: impl Into<String>, unit: &'static str, pairs: &[(f64, f64)]) -> Self {
        let ours = median(pairs.iter().map(|(ours, _)| *ours));
        let floor = median(pairs.iter().map(|(_, floor)| *floor));
        let ratios = || pairs.iter().map(|(ours, floor)| ours / floor);
        let ratio = Ratio {
            median: median(ratios()),
            least: ratios().fold(f64::INFINITY, f64::min),
            most: ratios().fold(0.0, f64::max),
        };
        Self { floor: Some(floor), ratio: Some(ratio), ..Self::new(row, what, ours, unit) }
    }

    /// With a goal for its value.
    #[must_use]
    pub fn goal(mut self, bound: Bound) -> Self {
        self.goals.push(Goal { of: Of::Value, bound, met: bound.met(self.value) });
        self
    }

    /// With a goal for its ratio; without a floor it is missed.
    #[must_use]
    pub fn ratio_goal(mut self, bound: Bound) -> Self {
        let met = self.ratio.is_some_and(|ratio| bound.met(ratio.median));
        self.goals.push(Goal { of: Of::Ratio, bound, met });
        self
    }

    /// With something that belongs to it.
    #[must_use]
    pub fn beside(mut self, what: &'static str, value: f64, unit: &'static str) -> Self {
        self.beside.push(Beside { what, value, unit });
        self
    }
}

impl Bound {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// The value in the middle; of two the greater. Zero of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Line for Figure {
    fn human(&self, paint: Paint) -> String {
        let mut words = vec![format!("  {:<34} {:>12} {}", self.what, number(self.value), self.unit)];
        if let (Some(floor), Some(Ratio { median, least, most })) = (self.floor, self.ratio) {
            words.push(format!("floor {}", number(floor)));
            let ratio = format!("{} ({} to {})", number(median), number(least), number(most));
            words.push(paint.key(ratio));
        }
        for Goal { of, bound, met } in &self.goals {
            let (sign, bound) = match bound {
                Bound::AtLeast(least) => ("≥", least),
                Bound::AtMost(most) => ("≤", most),
            };
            let of = if *of == Of::Ratio { "ratio " } else { "" };
            let goal = format!("{of}{sign} {}", number(*bound));
            words.push(if *met { format!("{goal} met") } else { paint.bad(format!("{goal} missed")) });
        }
        for Beside { what, value, unit } in &self.beside {
            words.push(paint.dim(format!("{what} {} {unit}", number(*value)).trim_end()));
        }
        words.join("  ")
    }
}

/// As many digits as say something, in groups.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        let figure =
            Figure::rounds(Row::Append, "x", "commands/s", &[(9.0, 10.0), (40.0, 50.0), (19.0, 20.0)]);
        assert_eq!((figure.value, figure.floor), (19.0, Some(20.0)));
        assert_eq!(figure.ratio, Some(Ratio { median: 0.9, least: 0.8, most: 0.95 }));
        let goals = figure.ratio_goal(Bound::AtLeast(0.9)).goal(Bound::AtMost(18.0)).goals;
        assert_eq!(goals.iter().map(|goal| goal.met).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, text) in [
            (0.0, "0"),
            (0.0123, "0.012"),
            (1.5, "1.50"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
