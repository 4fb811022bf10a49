//! The columns that every event is made of, and the order that their rows must have: whoever reads events or commits goes through it.

use headwater::port::Digits;

use super::{
    Column, Footer, Segment, SegmentError,
    pages::Budget,
    read::{Texts, short},
};

/// What a column holds in a row.
pub(super) fn at<T: Copy>(column: &[T], row: usize) -> Result<T, SegmentError> {
    column.get(row).copied().ok_or_else(short)
}

/// The columns that an event is made of.
pub(super) struct Columns {
    pub(super) sequence: Texts,
    pub(super) arrived_at: Vec<i64>,
    pub(super) kind: Texts,
    pub(super) id: Texts,
    pub(super) version: Vec<i64>,
    pub(super) index: Vec<i32>,
    pub(super) name: Texts,
    pub(super) schema: Vec<i32>,
    pub(super) data: Texts,
    pub(super) committed_at: Vec<i64>,
}

impl Columns {
    pub(super) fn read(segment: &Segment, budget: &Budget) -> Result<Self, SegmentError> {
        Ok(Self {
            sequence: segment.texts(Column::Sequence, budget)?,
            arrived_at: segment.longs(Column::ArrivedAt, budget)?,
            kind: segment.texts(Column::Kind, budget)?,
            id: segment.texts(Column::Id, budget)?,
            version: segment.longs(Column::Version, budget)?,
            index: segment.ints(Column::Index, budget)?,
            name: segment.texts(Column::Type, budget)?,
            schema: segment.ints(Column::Schema, budget)?,
            data: segment.texts(Column::Data, budget)?,
            committed_at: segment.longs(Column::CommittedAt, budget)?,
        })
    }

    /// The rows where a commit begins; all others follow the row before them. Checks that records are in order, the events of
    /// a commit too, and that there are as many commits as the footer says.
    pub(super) fn begins(&self, footer: &Footer) -> Result<Vec<usize>, SegmentError> {
        let (mut begins, mut newest) = (Vec::with_capacity(self.index.len()), footer.first.digits());
        for (row, index) in self.index.iter().copied().enumerate() {
            if index == 0 {
                let sequence = Digits::try_from(self.sequence.text(row)?).map_err(SegmentError::new)?;
                if sequence < newest || sequence > footer.last.digits() {
                    return Err(SegmentError::new(format_args!("record {sequence} is out of order")));
                }
                newest = sequence;
                begins.push(row);
                if at(&self.version, row)? == 0 {
                    return Err(SegmentError::new(format_args!("row {row} has version 0")));
                }
            } else if !self.goes_on(row, index)? {
                return Err(SegmentError::new(format_args!("row {row} is not of its commit")));
            }
        }
        if begins.len() as u64 != footer.commits {
            let reason = format!("{} commits, of which {} stand", footer.commits, begins.len());
            return Err(SegmentError::new(reason));
        }
        Ok(begins)
    }

    /// Whether `row`, the event `index` of its commit, follows the row before.
    fn goes_on(&self, row: usize, index: i32) -> Result<bool, SegmentError> {
        let Some(before) = row.checked_sub(1) else { return Ok(false) };
        for column in [&self.sequence, &self.kind, &self.id] {
            if column.text(row)? != column.text(before)? {
                return Ok(false);
            }
        }
        for column in [&self.arrived_at, &self.committed_at] {
            if at(column, row)? != at(column, before)? {
                return Ok(false);
            }
        }
        let next = at(&self.version, before)?.checked_add(1);
        Ok(at(&self.index, before)?.checked_add(1) == Some(index) && next == Some(at(&self.version, row)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{encode, tests as golden};

    /// Where the second event of a commit stands, as if it were another's: a change of one column.
    type Astray = fn(&mut Columns, usize);

    #[test]
    fn a_row_that_is_not_of_its_commit_is_refused() {
        let footer = golden::footer(5);
        let bytes = encode(&footer, &golden::golden_commits()).expect("encodes");
        let segment = Segment::open(bytes).expect("opens");
        let read = || Columns::read(&segment, &Budget::new().expect("memory")).expect("reads");
        let begins = |columns: &Columns| columns.begins(segment.footer());
        assert_eq!(begins(&read()).expect("as it was written").len(), 3);
        let row = read().index.iter().position(|index| *index == 1).expect("a commit of two events");
        let astray: [Astray; 7] = [
            |columns, row| columns.sequence.0[row] = "7".into(),
            |columns, row| columns.arrived_at[row] += 1,
            |columns, row| columns.kind.0[row] = "other".into(),
            |columns, row| columns.id.0[row] = "other".into(),
            |columns, row| columns.version[row] += 1,
            |columns, row| columns.index[row] += 1,
            |columns, row| columns.committed_at[row] += 1,
        ];
        for (number, change) in astray.into_iter().enumerate() {
            let mut columns = read();
            change(&mut columns, row);
            begins(&columns).expect_err(&number.to_string());
        }
        let mut columns = read();
        columns.index[row] = 0;
        begins(&columns).expect_err("a commit more than the footer says");
    }
}
