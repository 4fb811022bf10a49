//! The end of a process whose parent has ended: what `headwater up` starts does not outlive it.
//!
//! With `HEADWATER_PARENT=stdin` standard input is a pipe that the parent keeps open and writes nothing to. Its end is the parent's end,
//! however that came about, a SIGKILL included. The process exits at once then, as on a machine that fails: every promise holds over that.
//! An orderly stop comes by SIGTERM instead, while the parent waits.

use std::{
    io::{self, Write as _},
    process, thread,
};

/// Exits when standard input ends.
pub(crate) fn watch() -> io::Result<()> {
    thread::Builder::new().name("parent".to_owned()).spawn(|| {
        // What is written there means nothing, and an input that can't be read has no parent behind it.
        drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
        // The standard error may have been the parent's too: nobody need be left to read it.
        drop(writeln!(io::stderr(), "error: the process that started this one has ended"));
        process::exit(1)
    })?;
    Ok(())
}
