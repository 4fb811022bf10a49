//! An event as a line: what `read` and `replay` show. A commit as one: what `import` takes in.

use headwater::{CommitId, StoredEvent, StreamId, Version, format::commit::Commit, format::commit::Meta};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::{Line, Paint, plain};

/// One event with its place.
#[derive(Debug, Serialize)]
pub(crate) struct EventLine<'a> {
    stream: &'a StreamId,
    version: Version,
    r#type: &'a str,
    schema: u32,
    data: std::borrow::Cow<'a, RawValue>,
    commit: &'a CommitId,
    at: Timestamp,
    meta: &'a Meta,
    /// People who asked for one stream know its name.
    #[serde(skip)]
    named: bool,
}

/// The events of a commit from version `from` on, a line each; `named` shows people the stream on each.
pub(crate) fn lines<'a>(
    stream: &'a StreamId,
    commit: &'a Commit,
    from: Version,
    named: bool,
) -> impl Iterator<Item = EventLine<'a>> {
    let line = move |(version, event): (Version, &'a StoredEvent)| EventLine {
        stream,
        version,
        r#type: &event.name,
        schema: event.schema,
        data: one_line(&event.data),
        commit: &commit.id,
        at: commit.at,
        meta: &commit.meta,
        named,
    };
    commit.versioned().filter(move |(version, _)| *version >= from).map(line)
}

/// A commit, as [`import`](crate::import) reads it.
#[derive(Debug, Serialize)]
pub(crate) struct CommitLine<'a> {
    stream: &'a StreamId,
    first: Version,
    last: Version,
    id: &'a CommitId,
    at: Timestamp,
    events: Vec<CommittedEvent<'a>>,
    meta: &'a Meta,
}

#[derive(Debug, Serialize)]
struct CommittedEvent<'a> {
    r#type: &'a str,
    schema: u32,
    data: std::borrow::Cow<'a, RawValue>,
}

impl<'a> CommitLine<'a> {
    pub(crate) fn new(stream: &'a StreamId, commit: &'a Commit) -> Self {
        let event = |event: &'a StoredEvent| CommittedEvent {
            r#type: &event.name,
            schema: event.schema,
            data: one_line(&event.data),
        };
        let events = commit.events.iter().map(event).collect();
        let Commit { id, first, last, at, meta, .. } = commit;
        Self { stream, first: *first, last: *last, id, at: *at, events, meta }
    }
}

impl Line for CommitLine<'_> {
    fn human(&self, _: Paint) -> String {
        format!("{} {}", plain(self.stream.as_str()), plain(self.id.as_str()))
    }
}

/// JSON text on one line: a line break in it can only stand between its parts, where a space means the same.
pub(crate) fn one_line(data: &RawValue) -> std::borrow::Cow<'_, RawValue> {
    if !data.get().contains(['\n', '\r']) {
        return std::borrow::Cow::Borrowed(data);
    }
    let text = data.get().replace(['\n', '\r'], " ");
    RawValue::from_string(text).map_or(std::borrow::Cow::Borrowed(data), std::borrow::Cow::Owned)
}

/// A time for people: in UTC, to the second where that is exact.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at}").replace('T', " ")
}

impl Line for EventLine<'_> {
    fn human(&self, paint: Paint) -> String {
        let Self { stream, version, at, .. } = self;
        let stream = if self.named { format!("{}  ", plain(stream.as_str())) } else { String::new() };
        let (at, name) = (format!("{:<24}", time(*at)), format!("{:<24}", plain(self.r#type)));
        let (at, name, data) = (paint.dim(at), paint.key(name), plain(self.data.get()));
        format!("{stream}{:>7}  {at}  {name}  {data}", version.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_written_over_several_lines_is_shown_on_one() {
        let raw = RawValue::from_string("{\n  \"a\": \"x\\ny\"\r\n}".to_owned()).expect("JSON");
        assert_eq!(one_line(&raw).get(), "{   \"a\": \"x\\ny\"  }");
    }
}
