//! The programs themselves, with an empty environment: what is missing is named, and nothing panics.

use std::process::Command;

#[test]
fn what_is_not_configured_is_named() {
    for program in [
        env!("CARGO_BIN_EXE_accounts"),
        env!("CARGO_BIN_EXE_credit"),
        env!("CARGO_BIN_EXE_transfers"),
        env!("CARGO_BIN_EXE_users"),
        env!("CARGO_BIN_EXE_withdraw"),
    ] {
        let ended = Command::new(program).env_clear().output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{program}: {said}");
        assert!(said.contains("HEADWATER_ST"), "{program}: {said}");
        assert!(!said.contains("panicked"), "{program}: {said}");
    }
}
