//! What was measured, as tables: for people in Markdown, for programs a JSON object a row.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name, as `speed`.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) title: &'static str,
    /// What its columns are called.
    pub(crate) columns: &'static [&'static str],
    /// A cell for every column.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A number.
    Number(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl Cell {
    /// A count, which is never so large that a digit would be lost.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn count(count: u64) -> Self {
        Self::Number(count as f64)
    }

    /// Money, likewise.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn money(money: i64) -> Self {
        Self::Number(money as f64)
    }

    fn human(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => digits(*number),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
        }
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(name: &'static str, title: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, title, columns, rows: Vec::new() }
    }

    /// For people.
    pub(crate) fn human(&self) -> String {
        let mut lines = vec![self.columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(Cell::human).collect()));
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("{}\n\n", self.title);
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                text.push_str(&"|---".repeat(widths.len()));
                text.push_str("|\n");
            }
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let row = |cells: &Vec<Cell>| {
            let cells = self.columns.iter().zip(cells).map(|(column, cell)| (*column, cell.json()));
            let row: BTreeMap<_, _> = cells.chain([("table", json!(self.name))]).collect();
            json!(row).to_string() + "\n"
        };
        self.rows.iter().map(row).collect()
    }
}

/// As many digits as say something, in groups.
fn digits(number: f64) -> String {
    let places = match number.abs() {
        whole if whole.fract() == 0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{number:.places$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// The number in the middle; of two the greater. Zero of none.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_people_and_programs() {
        let mut table = Table::new("speed", "How fast", &["who", "n"]);
        table.rows.push(vec!["Headwater".into(), 1234.5.into()]);
        assert_eq!(table.human(), "How fast\n\n| who       | n     |\n|---|---|\n| Headwater | 1,234 |\n");
        assert_eq!(table.json(), "{\"n\":1234.5,\"table\":\"speed\",\"who\":\"Headwater\"}\n");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (number, text) in [(0.0, "0"), (2.0, "2"), (0.123, "0.12"), (12.34, "12.3"), (-1e6, "-1,000,000")]
        {
            assert_eq!(digits(number), text);
        }
    }
}
