//! Makes a document from the bytes that an engine draws.
//!
//! An input whose first byte is printable ASCII is a document as it is: so a corpus is a directory of documents that a
//! person can read, and libFuzzer changes them as it likes. Any other input is a program: which seed to begin with, and
//! which steps to take. Random bytes are then documents that get past a parser, and an engine that sees coverage learns
//! which bytes lead where.

use std::borrow::Cow;

use arbitrary::{Result, Unstructured};

use crate::{json, words};

/// Longest document, in bytes: long enough for every limit of a name, short enough to be fast.
pub const LONGEST: usize = 256 << 10;
/// How many steps a program takes, by its first byte: few, since a document that has much wrong with it is soon refused.
const STEPS: [u8; 8] = [1, 1, 1, 2, 2, 3, 4, 8];

/// The document that `input` stands for.
pub fn document<'a>(input: &'a [u8], seeds: &[Vec<u8>]) -> Cow<'a, [u8]> {
    match input.split_first() {
        Some((&first, program)) if is_program(first) && !seeds.is_empty() => {
            let mut program = Unstructured::new(program);
            let steps = STEPS[usize::from(first) % STEPS.len()];
            Cow::Owned(run(&mut program, steps, seeds).unwrap_or_default())
        }
        _ => Cow::Borrowed(input),
    }
}

/// Whether an input that begins like this is a program. No text and no stored format begins so.
pub fn is_program(first: u8) -> bool {
    first != b' ' && !first.is_ascii_graphic()
}

fn run(program: &mut Unstructured<'_>, steps: u8, seeds: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut document = program.choose(seeds)?.clone();
    for _ in 0..steps {
        if program.is_empty() {
            break;
        }
        // A change of JSON is what gets furthest: three of four steps, where there is any.
        let places = json::places(&document);
        let changed = if places.values.is_empty() || program.ratio(1_u8, 4)? {
            change_bytes(program, &mut document, seeds)
        } else {
            change_json(program, &mut document, &places, seeds)
        };
        changed?;
        document.truncate(LONGEST);
    }
    Ok(document)
}

fn change_json(
    program: &mut Unstructured<'_>,
    document: &mut Vec<u8>,
    places: &json::Places,
    seeds: &[Vec<u8>],
) -> Result<()> {
    let value = program.choose(&places.values)?.clone();
    let member =
        if places.members.is_empty() { None } else { Some(program.choose(&places.members)?.clone()) };
    match (program.int_in_range(0..=11_u8)?, member) {
        (0, Some(member)) => {
            // A repeated member, right after the first or at another place, perhaps with another value.
            let mut again = document[member.clone()].to_vec();
            again.push(b',');
            document.splice(member.start..member.start, again);
        }
        (1, Some(member)) => {
            let comma = usize::from(document.get(member.end) == Some(&b','));
            document.drain(member.start..member.end + comma);
        }
        (2, _) => {
            let other = document[program.choose(&places.values)?.clone()].to_vec();
            document.splice(value, other);
        }
        (3, _) => {
            let seed = program.choose(seeds)?;
            let theirs = json::places(seed).values;
            if !theirs.is_empty() {
                let other = seed[program.choose(&theirs)?.clone()].to_vec();
                document.splice(value, other);
            }
        }
        (4, _) => {
            // As often as a list can be long.
            let mut again = document[value.clone()].to_vec();
            again.push(b',');
            let times = *program.choose(&[1, 2, 12, 130, 1_100])?;
            document.splice(value.start..value.start, again.repeat(times.min(LONGEST / again.len())));
        }
        (5, _) => {
            document.splice(value, long(program)?);
        }
        (6, _) => {
            document.splice(value, deep(program)?);
        }
        _ => {
            document.splice(value, program.choose(words::VALUES)?.bytes());
        }
    }
    Ok(())
}

/// A text as long as a limit, or longer.
fn long(program: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let letter = *program.choose(&["x", "0", "/", "ü", "\\u0001", " "])?;
    let length = *program.choose(&[40, 41, 64, 128, 129, 140, 200, 1_001, 65_536, 200_000])?;
    Ok(format!("\"{}\"", letter.repeat(length / letter.len())).into_bytes())
}

/// A value within many others.
fn deep(program: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let (open, close) = *program.choose(&[("[", "]"), ("{\"a\":", "}")])?;
    let depth = *program.choose(&[10, 120, 127, 128, 20_000])?;
    Ok(format!("{}0{}", open.repeat(depth), close.repeat(depth)).into_bytes())
}

fn change_bytes(program: &mut Unstructured<'_>, document: &mut Vec<u8>, seeds: &[Vec<u8>]) -> Result<()> {
    let length = document.len();
    let from = program.int_in_range(0..=length)?;
    let to = program.int_in_range(from..=length.min(from + 64))?;
    match program.int_in_range(0..=9_u8)? {
        0 => {
            let bit = program.int_in_range(0..=7_u8)?;
            if let Some(byte) = document.get_mut(from) {
                *byte ^= 1 << bit;
            }
        }
        1 => {
            let drawn = program.arbitrary()?;
            if let Some(byte) = document.get_mut(from) {
                *byte = drawn;
            }
        }
        2 => {
            document.splice(from..from, program.choose(words::BYTES)?.iter().copied());
        }
        3 => {
            // In place: lengths and offsets elsewhere in a binary file stay right.
            let word = program.choose(words::BYTES)?;
            for (byte, new) in document.iter_mut().skip(from).zip(*word) {
                *byte = *new;
            }
        }
        4 => {
            document.drain(from..to);
        }
        5 => {
            let times = *program.choose(&[1, 2, 7, 64, 1_000])?;
            let again = document[from..to].repeat(times);
            document.splice(from..from, again);
        }
        6 => document.truncate(from),
        7 => {
            let seed = program.choose(seeds)?;
            let cut = program.int_in_range(0..=seed.len())?;
            document.truncate(from);
            document.extend_from_slice(&seed[cut..]);
        }
        8 => change_number(program, document, from, false)?,
        _ => change_number(program, document, from, true)?,
    }
    Ok(())
}

/// Makes the digits at or after `from` another number, where asked of the same length.
fn change_number(
    program: &mut Unstructured<'_>,
    document: &mut Vec<u8>,
    from: usize,
    same_length: bool,
) -> Result<()> {
    let Some(begin) = document.iter().skip(from).position(u8::is_ascii_digit).map(|at| from + at) else {
        return Ok(());
    };
    let digits = document[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if same_length {
        for byte in &mut document[begin..begin + digits] {
            *byte = b'0' + program.int_in_range(0..=9_u8)?;
        }
    } else {
        document.splice(begin..begin + digits, program.choose(words::NUMBERS)?.bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = br#"{"format":1,"stream":"account/42","commits":[{"first":16}]}"#;

    #[test]
    fn text_is_the_document_itself() {
        assert_eq!(document(SEED, &[b"other".to_vec()]).as_ref(), SEED);
        assert_eq!(document(&[], &[SEED.to_vec()]).as_ref(), b"");
    }

    #[test]
    fn a_program_changes_a_seed_the_same_way_each_time() {
        let seeds = [SEED.to_vec(), b"PAR1\0\x01\x02 1234".to_vec()];
        let (mut drawn, mut parsed, mut changed) = (fastrand::Rng::with_seed(1), 0, 0);
        for _ in 0..2_000 {
            let program: Vec<u8> = std::iter::once(drawn.u8(0x80..))
                .chain(std::iter::repeat_with(|| drawn.u8(..)).take(200))
                .collect();
            let made = document(&program, &seeds);
            assert_eq!(made, document(&program, &seeds));
            assert!(made.len() <= LONGEST);
            changed += usize::from(!seeds.iter().any(|seed| *seed == *made));
            // Structure survives: brackets still match in many.
            let open = made.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
            let close = made.iter().filter(|byte| matches!(byte, b'}' | b']')).count();
            parsed += usize::from(open > 0 && open == close);
        }
        assert!(changed > 1_800 && parsed > 500, "{changed} changed, {parsed} whole");
    }
}
