//! What is a context, and what is none.

use super::*;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_context_is_read_as_the_standard_says() {
    let context = parse(CALLER).expect("a context");
    assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
    assert!(context.is_sampled() && context.is_remote());
    assert!(!parse(&CALLER.replace("-01", "-00")).expect("a context").is_sampled());
    assert!(is_traceparent(&CALLER.replacen("00", "cc", 1)), "a later version that reads the same");
    for wrong in [
        "",
        "00",
        &CALLER.to_uppercase(),
        &CALLER.replacen("00", "ff", 1),
        &CALLER.replace("00f067aa0ba902b7", "0000000000000000"),
        &CALLER.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
        &CALLER.replace("4b", "+b"),
        &CALLER.replace("-01", "-1"),
        &CALLER.replace("-01", "-0é"),
        &format!("{CALLER}-"),
        &format!(" {CALLER}"),
    ] {
        assert!(!is_traceparent(wrong), "{wrong}");
    }
}

#[test]
fn where_nobody_traces_nothing_is_done() {
    let span = debug_span!("nobody looks");
    assert_eq!(traceparent(&span), None);
    let mut meta = Meta::new();
    let stream = "account/42".parse().expect("a stream");
    commit(&stream, &"c-1".parse().expect("an id"), &mut meta);
    assert!(meta.is_empty());
}
