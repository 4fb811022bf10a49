//! The identity of a store: read by a process that is told to use the stream `headwater`.

use headwater::{
    format::{identity::Identity, key},
    identity::IdentitySource,
    memory::World,
    read::Reader,
};

use crate::world::run;

pub(crate) fn holds(document: &[u8]) {
    let decoded = Identity::decode(document).ok();
    if let Some(identity) = &decoded {
        let written = identity.encode().expect("what was read can be written");
        assert_eq!(Identity::decode(&written).as_ref(), Ok(identity), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        world.objects.insert(key::IDENTITY, document.to_vec());
        let source = IdentitySource::stored("headwater");
        let read = source.now(&Reader::new(&world.ports())).await;
        match decoded {
            Some(identity) if identity.names.stream == "headwater" => assert_eq!(read, Ok(Some(&identity))),
            _ => assert!(read.is_err(), "{read:?}"),
        }
    });
}
