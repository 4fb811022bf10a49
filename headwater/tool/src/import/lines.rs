//! The lines of the input, read by a thread of its own and with a bound on each. They come in batches, for a word between
//! threads costs more than a line; who types them one by one gets them one by one.
//!
//! Empty lines are passed over, and so is a byte order mark at the very beginning. A line that is too long is read to its
//! end without keeping it. The thread ends with the input, with its first error, or when nobody takes lines any more; at
//! the program's end nobody waits for it, since a terminal may never give another line.

use std::io::{self, BufRead, BufReader, Read};

use tokio::sync::mpsc;

use super::line::{BadLine, LINE_BYTES, Line, parse, too_long};

/// Bytes of the input that are read at once.
const READ_BYTES: usize = 1 << 18;
/// Lines of a batch.
const BATCH_LINES: usize = 64;
/// Bytes of a batch; one line more may be in it.
const BATCH_BYTES: u64 = 1 << 18;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// One line, a bad one too; or why there are no more.
pub(super) type Next = io::Result<Result<Line, BadLine>>;

/// Starts to read lines.
pub(super) fn lines(input: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<Vec<Next>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let lines = Lines { input: BufReader::with_capacity(READ_BYTES, input), number: 0 };
    std::thread::Builder::new().name("lines".to_owned()).spawn(move || send(lines, &sender))?;
    Ok(receiver)
}

fn send(mut lines: Lines<BufReader<impl Read>>, to: &mpsc::Sender<Vec<Next>>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(next) = lines.next() {
        let last = next.is_err();
        bytes += next.as_ref().map_or(0, |line| line.as_ref().map_or(0, |line| line.bytes));
        batch.push(next);
        // The next line may be long in coming.
        let waits = !lines.input.buffer().contains(&b'\n');
        if last || waits || batch.len() == BATCH_LINES || bytes >= BATCH_BYTES {
            bytes = 0;
            if to.blocking_send(std::mem::take(&mut batch)).is_err() || last {
                return;
            }
        }
    }
    // Nobody may take them any more.
    let _ = to.blocking_send(batch);
}

struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let bytes = match read(&mut self.input, &mut text) {
                Ok(None) => return None,
                Ok(Some(bytes)) => bytes,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            if bytes > LINE_BYTES as u64 {
                return Some(Ok(Err(too_long(self.number, bytes))));
            }
            let start = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.number == 1).unwrap_or(&text);
            if !start.trim_ascii().is_empty() {
                return Some(Ok(parse(self.number, start)));
            }
        }
    }
}

/// Reads one line without its end, keeping no more than it may have, and tells how many bytes it had; `None` at the end.
fn read(input: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut bytes = 0_u64;
    let mut begun = false;
    loop {
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() {
            return Ok(begun.then_some(bytes));
        }
        begun = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        bytes += part.len() as u64;
        if bytes <= LINE_BYTES as u64 {
            text.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        input.consume(taken);
        if end.is_some() {
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_without_being_kept() {
        let input = format!("{}\n\n  \nx\n", "y".repeat(LINE_BYTES + 1));
        let mut input = BufReader::with_capacity(64, Cursor::new(input));
        let mut text = Vec::new();
        assert_eq!(read(&mut input, &mut text).expect("reads"), Some(LINE_BYTES as u64 + 1));
        assert!(text.len() <= LINE_BYTES);
        let rest: Vec<_> = Lines { input, number: 1 }.map(|next| next.expect("reads")).collect();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].as_ref().expect_err("no JSON").number, 4);
    }

    #[test]
    fn a_line_is_not_kept_back_until_the_next_one_comes() {
        let (input, mut output) = io::pipe().expect("a pipe");
        let mut lines = lines(input).expect("a thread");
        output.write_all(b"one\ntwo\nthr").expect("writes");
        let numbers = |batch: Vec<Next>| -> Vec<u64> {
            batch.into_iter().map(|next| next.expect("reads").expect_err("no JSON").number).collect()
        };
        assert_eq!(numbers(lines.blocking_recv().expect("a batch")), [1, 2]);
        output.write_all(b"ee\n").expect("writes");
        assert_eq!(numbers(lines.blocking_recv().expect("a batch")), [3]);
    }

    proptest! {
        #[test]
        fn lines_are_what_stands_between_line_ends(parts in proptest::collection::vec("[a-z ]{0,12}", 0..8), capacity in 1_usize..20) {
            let mut input = BufReader::with_capacity(capacity, Cursor::new(parts.join("\n")));
            let mut found = Vec::new();
            let mut text = Vec::new();
            while read(&mut input, &mut text).expect("reads").is_some() {
                found.push(String::from_utf8(std::mem::take(&mut text)).expect("ASCII"));
            }
            // A last line without bytes is no line.
            let expected: Vec<String> = match parts.split_last() {
                Some((last, before)) if last.is_empty() => before.to_vec(),
                _ => parts,
            };
            prop_assert_eq!(found, expected);
        }
    }
}
