//! A history to be imported: an event log, or one of the same shape.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Permit cases.
pub const CASES: usize = 1_434;
/// Events of all cases, one per line.
pub const EVENTS: usize = 8_577;
/// Most events of one case.
pub const MOST: usize = 25;

/// A log of the shape of a real one, the permits of a town: cases that overlap, each with 1 to [`MOST`] tasks in the order of
/// time, one event a line. The same each time.
pub fn stand_in() -> String {
    const TASKS: [&str; 7] = [
        "Confirmation of receipt",
        "T02 Check confirmation of receipt",
        "T04 Determine confirmation of receipt",
        "T05 Print and send confirmation of receipt",
        "T06 Determine necessity of stop advice",
        "T10 Determine necessity to stop indication",
        "T15 Print document \"X\" – für Träger öffentlicher Belange",
    ];
    let mut chance = Rng::with_seed(8_577);
    // Every case has its first event; the others fall where they may.
    let mut left: Vec<usize> = vec![1; CASES];
    let mut more = EVENTS - CASES;
    while more > 0 {
        let case = chance.usize(..CASES);
        if left[case] < MOST {
            left[case] += 1;
            more -= 1;
        }
    }
    // 2010-10-02T07:20:39.266Z
    let mut at = Timestamp::constant(1_286_004_039, 266_000_000);
    let (mut begun, mut running, mut lines) = (0, Vec::new(), String::new());
    for task in 0..EVENTS {
        // About forty cases are under way at a time.
        if begun < CASES && (running.len() < 40 || chance.u8(..8) == 0) {
            running.push(begun);
            begun += 1;
        }
        let place = chance.usize(..running.len());
        let case = running[place];
        left[case] -= 1;
        if left[case] == 0 {
            running.swap_remove(place);
        }
        at += SignedDuration::from_millis(chance.i64(0..3_600_000));
        let data = json!({
            "channel": if chance.bool() { "Internet" } else { "Desk" },
            "department": null,
            "hours": f64::from(chance.u16(..400)) / 4.0,
            "group": {"name": format!("Group {}", chance.u8(1..9)), "members": [task, -1, true]},
        });
        let event = json!({"type": TASKS[chance.usize(..TASKS.len())], "data": data});
        let stream = format!("permit/case-{case}");
        let line = json!({"stream": stream, "id": format!("task-{task}"), "at": at, "events": [event]});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}
