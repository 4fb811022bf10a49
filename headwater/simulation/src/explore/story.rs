//! Stories: a path of choices, told so that a person can follow it, and taken again.

use std::fmt;

use super::{
    callers::name,
    case::Case,
    choice::{Callers, Choice, letter},
    search::{Happened, Search, Wrong},
};

/// A promise that is not kept, and how it comes to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The case.
    pub case: &'static str,
    /// What is wrong.
    pub wrong: Vec<String>,
    /// The choices that lead there: [`replay`] takes them again.
    pub path: String,
    /// What happens on the way.
    pub story: String,
    /// States that were reached before it was found.
    pub states: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, wrong, path, story, states } = self;
        writeln!(f, "{case}, after {states} states:")?;
        f.write_str(story)?;
        for wrong in wrong {
            writeln!(f, "  => {wrong}")?;
        }
        write!(f, "take it again: replay(&case, \"{path}\")")
    }
}

impl std::error::Error for Broken {}

/// Takes one path through a case again, with every check of [`explore`](super::explore) on the way, and tells its story.
/// Where the path ends before everybody is through, the rest passes as it comes.
///
/// # Errors
///
/// What is wrong on it; also a choice that is not to be had there.
pub fn replay(case: &Case, path: &str) -> Result<String, Broken> {
    let mut taken = Vec::new();
    let mut story = String::new();
    let choices: Result<Vec<Choice>, String> = path.split_whitespace().map(str::parse).collect();
    let run = choices
        .map_err(|error| vec![error])
        .and_then(|choices| take(case, &choices, true, &mut taken, &mut story));
    match run {
        Ok(()) => Ok(story),
        Err(wrong) => Err(Broken { case: case.name, wrong, path: text(&taken), story, states: taken.len() }),
    }
}

/// The story of a path that was found to be wrong.
pub(super) fn tell(case: &Case, path: &[Choice], wrong: Wrong, states: usize) -> Broken {
    let (mut taken, mut story) = (Vec::new(), String::new());
    let again = take(case, path, false, &mut taken, &mut story);
    let wrong = match again {
        Err(again) if again == wrong => wrong,
        other => [wrong, vec![format!("taken again, it ends otherwise: {other:?}")]].concat(),
    };
    Broken { case: case.name, wrong, path: text(path), story, states }
}

fn take(
    case: &Case,
    path: &[Choice],
    to_the_end: bool,
    taken: &mut Vec<Choice>,
    story: &mut String,
) -> Result<(), Wrong> {
    let mut search = Search::new(case);
    let mut state = search.first()?;
    let mut given = path.iter().copied();
    loop {
        search.check_moment(&state)?;
        if search.is_end(&state) {
            search.check_end(&state)?;
        }
        let passing =
            || search.choices(&state).into_iter().find(|choice| matches!(choice, Choice::Pass { .. }));
        let Some(choice) = given.next().or_else(|| passing().filter(|_| to_the_end)) else { return Ok(()) };
        taken.push(choice);
        let request = search.asked(&state, choice).map(|request| request.to_string()).unwrap_or_default();
        let happened = search
            .happen(&state, choice)
            .inspect_err(|_| *story += &line(taken.len(), choice, &action(choice, &request, "…")))?;
        *story += &chapter(&search, taken.len(), choice, &request, &happened);
        state = happened.state;
    }
}

fn text(path: &[Choice]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn line(number: usize, choice: Choice, what: &str) -> String {
    format!("{number:4}. {:<6} {what}\n", choice.to_string())
}

fn action(choice: Choice, request: &str, answer: &str) -> String {
    match choice {
        Choice::Pass { .. } => format!("{request} -> {answer}"),
        Choice::Lost { .. } => format!("{request} -> the answer is lost"),
        Choice::Busy { .. } => format!("{request} -> 409"),
        Choice::Throttle { entry, .. } => format!("{request} -> entry {entry} is throttled"),
        Choice::Arrive { .. } => format!("{request} arrives after all -> {answer}"),
        Choice::Time { .. } => "waits, and time passes".to_owned(),
        Choice::Crash { callers: Callers::Gone, .. } => "dies, and its callers are gone".to_owned(),
        Choice::Crash { callers: Callers::New, .. } => {
            "dies, and its callers go on at a new process".to_owned()
        }
        Choice::Crash { callers: Callers::At(other), .. } => {
            format!("dies, and its callers go on at {}", letter(other))
        }
    }
}

fn chapter(search: &Search, number: usize, choice: Choice, request: &str, happened: &Happened) -> String {
    let answer = happened.answer.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = action(choice, request, &answer);
    let mut text = line(number, choice, &what);
    for (process, told) in &happened.told {
        let (who, what) = (letter(*process), name(&search.case, told));
        text = format!("{text}             {who}'s caller hears of {what}: {}\n", told.what);
    }
    text
}
