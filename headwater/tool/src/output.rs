//! All output: lines for people or JSON lines on stdout, complaints and progress on stderr.
//!
//! What comes out of the store was written by others, and a terminal obeys what it is sent, or shows what is not there: control
//! characters, those that change the direction and those that cannot be seen are shown as escapes, everywhere. For people as
//! `\u{202e}` ([`plain`]; whatever a line forgot, [`sweep`] finds), for programs as JSON has it, `\u202e` ([`Escaping`]), on
//! stderr as for people. Colours are for terminals only, and not where `NO_COLOR` is set.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
    io::{self, BufWriter, IsTerminal, Write},
    process::ExitCode,
};

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::ser::Formatter;
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
        let paint = Paint(is_coloured(&io::stdout()));
        Self { json, paint, writer: Box::new(BufWriter::new(io::stdout())) }
    }

    /// To any writer, without colours.
    pub fn to(writer: impl Write + Send + 'static, json: bool) -> Self {
        Self { json, paint: Paint(false), writer: Box::new(writer) }
    }

    /// Shows one line; it may wait in a buffer until [`Self::flush`].
    pub fn line(&mut self, line: &impl Line) -> Result<(), Failure> {
        if self.json {
            line.serialize(&mut serde_json::Serializer::with_formatter(&mut self.writer, Escaping))?;
        } else {
            self.writer.write_all(sweep(&line.human(self.paint), self.paint).as_bytes())?;
        }
        Ok(self.writer.write_all(b"\n")?)
    }

    /// A line for people only, as a heading.
    pub fn heading(&mut self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(writeln!(self.writer, "{}", sweep(&self.paint.dim(text), self.paint))?)
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

/// Whether colours are wanted there.
fn is_coloured(place: &impl IsTerminal) -> bool {
    place.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Whether a terminal obeys this character, or does not show it: control characters, what Unicode lets a reader ignore (zero
/// width, direction, tags, variations, soft hyphens: `Default_Ignorable_Code_Point`), line separators and annotations.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text as it may be sent to a terminal, on one line: what [is hidden](is_hidden) as escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a string does not fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Lines as they may be sent to a terminal: as [`plain`], but for their ends and the colours of `paint`.
fn sweep(text: &str, paint: Paint) -> Cow<'_, str> {
    if !text.contains(|c: char| is_hidden(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(is_hidden) {
        let (before, hidden) = rest.split_at(place);
        let length = match colour(hidden) {
            Some(length) if paint.0 => length,
            _ => hidden.chars().next().map_or(0, char::len_utf8),
        };
        let (hidden, behind) = hidden.split_at(length);
        safe.push_str(before);
        if hidden == "\n" || hidden.starts_with("\u{1b}[") {
            safe.push_str(hidden);
        } else {
            safe.push_str(&plain(hidden));
        }
        rest = behind;
    }
    safe.push_str(rest);
    Cow::Owned(safe)
}

/// The bytes of the colour that text begins with, if it does.
fn colour(text: &str) -> Option<usize> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    codes[end..].starts_with('m').then_some(end + 3)
}

/// JSON whose text [hides nothing](is_hidden): as escapes of JSON it means the same.
struct Escaping;

impl Escaping {
    fn write(writer: &mut (impl Write + ?Sized), text: &str) -> io::Result<()> {
        let mut rest = text;
        // Below a space is only what stands between the parts of raw JSON.
        while let Some(place) = rest.find(|c: char| c > ' ' && is_hidden(c)) {
            let (before, hidden) = rest.split_at(place);
            writer.write_all(before.as_bytes())?;
            let mut characters = hidden.chars();
            for unit in characters.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

impl Formatter for Escaping {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        Self::write(writer, fragment)
    }

    fn write_raw_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        Self::write(writer, fragment)
    }
}

/// Stderr for lines that others made, as those of the log, each handed over whole.
struct Swept(Paint);

impl Write for Swept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(sweep(&String::from_utf8_lossy(bytes), self.0).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Lets warnings go to stderr; `HEADWATER_LOG` may ask for more, as `headwater=debug`.
pub fn log() {
    let filter = std::env::var("HEADWATER_LOG").ok().and_then(|filter| EnvFilter::try_new(filter).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn"));
    // Whoever has set a subscriber before keeps it.
    let paint = Paint(is_coloured(&io::stderr()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(paint.0);
    let _ = log.with_writer(move || Swept(paint)).try_init();
}

/// Says what is wrong with a command's line, or shows the help that was asked for, and gives the exit code.
pub fn usage(error: &clap::Error) -> ExitCode {
    // Where not even that can be written, nobody is left to tell.
    if error.use_stderr() {
        let paint = Paint(is_coloured(&io::stderr()));
        let words = error.render();
        let words = if paint.0 { words.ansi().to_string() } else { words.to_string() };
        let _ = Swept(paint).write_all(words.as_bytes());
    } else {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
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

    /// One of each kind: control, direction, zero width, separator, tag, filler, variation, annotation.
    const HIDDEN: &str = "\u{1b}\u{7f}\u{9b}\u{61c}\u{200e}\u{202e}\u{2066}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{2028}\u{2029}\u{e0041}\u{3164}\u{fe0f}\u{fff9}";

    #[test]
    fn a_terminal_gets_no_orders_from_data() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\u{202e}ü"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}ü");
        assert!(plain(HIDDEN).is_ascii() && sweep(HIDDEN, Paint(false)).is_ascii());
        assert_eq!(plain("Zoë → 日本 😀 e\u{301}"), "Zoë → 日本 😀 e\u{301}", "what can be seen stays");
    }

    #[test]
    fn what_a_line_forgot_to_escape_is_escaped_all_the_same() {
        let text = "a\n\u{1b}[31mred\u{1b}[0m \u{1b}[2J\u{202e}\r";
        assert_eq!(sweep(text, Paint(false)), "a\n\\u{1b}[31mred\\u{1b}[0m \\u{1b}[2J\\u{202e}\\u{d}");
        assert_eq!(sweep(text, Paint(true)), "a\n\u{1b}[31mred\u{1b}[0m \\u{1b}[2J\\u{202e}\\u{d}");
    }

    #[test]
    fn json_hides_nothing_and_means_the_same() {
        #[derive(Serialize)]
        struct Told<'a> {
            text: &'a str,
            data: &'a serde_json::value::RawValue,
        }
        impl Line for Told<'_> {
            fn human(&self, _: Paint) -> String {
                self.text.to_owned()
            }
        }
        let data = format!("{{\t\"{}\": [\"x\", \"\\\\é\"]}}", HIDDEN.replace('\u{1b}', "\\u001b"));
        let data = serde_json::value::RawValue::from_string(data).expect("JSON");
        let told = Told { text: HIDDEN, data: &data };
        let mut shown = Vec::new();
        told.serialize(&mut serde_json::Serializer::with_formatter(&mut shown, Escaping)).expect("JSON");
        let shown = String::from_utf8(shown).expect("UTF-8");
        assert!(!shown.contains(|c: char| c > ' ' && is_hidden(c)), "{shown}");
        assert!(
            shown.contains("\\u202e") && shown.contains("\\udb40\\udc41") && shown.contains("é"),
            "{shown}"
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(&shown), serde_json::to_value(&told).expect("JSON"));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
