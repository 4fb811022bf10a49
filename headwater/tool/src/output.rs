//! All output: lines for people or JSON lines on stdout, complaints and progress on stderr.
//!
//! What comes out of the store was written by others, and a terminal obeys what it is sent: for people, control
//! characters are shown as escapes ([`plain`]). Colours are for terminals only, and not where `NO_COLOR` is set.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, BufWriter, IsTerminal, Write},
    process::ExitCode,
};

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Something that can be shown: to programs as its serialization, to people as it says.
pub trait Line: Serialize {
    /// One line for people, without its end.
    fn human(&self, paint: Paint) -> String;
}

/// Where lines go, and in which form.
pub struct Output {
    json: bool,
    paint: Paint,
    writer: Box<dyn Write + Send>,
}

impl Output {
    /// To stdout.
    pub fn stdout(json: bool) -> Self {
        let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, paint: Paint(coloured), writer: Box::new(BufWriter::new(io::stdout())) }
    }

    /// To any writer, without colours.
    pub fn to(writer: impl Write + Send + 'static, json: bool) -> Self {
        Self { json, paint: Paint(false), writer: Box::new(writer) }
    }

    /// Shows one line; it may wait in a buffer until [`Self::flush`].
    pub fn line(&mut self, line: &impl Line) -> Result<(), Failure> {
        if self.json {
            serde_json::to_writer(&mut self.writer, line)?;
        } else {
            self.writer.write_all(line.human(self.paint).as_bytes())?;
        }
        Ok(self.writer.write_all(b"\n")?)
    }

    /// A line for people only, as a heading.
    pub fn heading(&mut self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(writeln!(self.writer, "{}", self.paint.dim(text))?)
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.writer.flush()?)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("json", &self.json).finish_non_exhaustive()
    }
}

/// Colours, where there are any.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// Less important.
    pub fn dim(self, text: impl Display) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// The word to look at.
    pub fn key(self, text: impl Display) -> String {
        self.styled(AnsiColor::Cyan.on_default(), text)
    }

    /// What went wrong.
    pub fn bad(self, text: impl Display) -> String {
        self.styled(AnsiColor::Red.on_default(), text)
    }

    fn styled(self, style: Style, text: impl Display) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

/// Text as it may be sent to a terminal: control characters, and those that change the direction, as escapes.
pub(crate) fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            // Writing to a string does not fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Lets warnings go to stderr; `HEADWATER_LOG` may ask for more, as `headwater=debug`.
pub fn log() {
    let filter = std::env::var("HEADWATER_LOG").ok().and_then(|filter| EnvFilter::try_new(filter).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn"));
    // Whoever has set a subscriber before keeps it.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
}

/// Says on stderr what went wrong, if anything did, and gives the exit code.
pub fn exit(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&format!("error: {failure}"));
            failure.code()
        }
    }
}

/// A line on stderr. Where even that is closed, nobody is left to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(text));
}

/// A bar on stderr, if that is a terminal: of `total` bytes, or of no known length.
pub(crate) fn progress(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes} {msg} {elapsed}, {eta} to go")
        }
        None => (ProgressBar::no_length(), "{spinner} {bytes} {msg} {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A count on stderr that goes up, if that is a terminal.
pub(crate) fn counter() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_orders_from_data() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\u{202e}ü"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}ü");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
