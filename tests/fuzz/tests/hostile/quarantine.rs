//! A record in quarantine: decoded, and its bytes taken out.

use archiver::quarantine::Quarantined;

pub(crate) fn holds(document: &[u8]) {
    let Ok(stray) = Quarantined::decode(document) else { return };
    let written = stray.encode().expect("what was read can be written");
    assert_eq!(Quarantined::decode(&written).expect("and read again"), stray, "it comes back as it was");
    if let Ok(data) = stray.data() {
        assert!(data.len() <= document.len());
    }
}
