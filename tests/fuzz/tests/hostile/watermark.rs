//! The watermark: read by writers and by archivers, cold and warm. It allows to do less. One that is not understood makes
//! nothing fail but the help for what another process wrote last, which is none here.

use std::time::Duration;

use bank::{Account, AccountCommand};
use headwater::{
    Options,
    format::{key, watermark::Watermark},
    memory::World,
};

use crate::{
    seeds::bank,
    world::{SHARD, archiver, arrival, replay, run},
};

pub(crate) fn holds(document: &[u8]) {
    if let Ok(mark) = Watermark::decode(document) {
        let written = mark.encode().expect("what was read can be written");
        assert_eq!(Watermark::decode(&written), Ok(mark), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        world.objects.insert(key::WATERMARK, document.to_vec());
        let store = bank(&world).await;
        let (bucket, archiver) = archiver(&world);
        // One of them cold, one warm.
        let records: Vec<_> = world.log.records().into_iter().take(2).collect();
        for (number, record) in records.iter().enumerate() {
            let record = arrival(number as u64 + 1, &record.data);
            archiver.archive(SHARD, &[record]).await.expect("archives");
            // Long enough for the watermark to be read again, by the store as well.
            tokio::time::sleep(Duration::from_secs(90)).await;
        }
        let found = replay(&world, &bucket).await.expect("replays");
        assert_eq!(found.len(), records.len());
        let close = AccountCommand::Withdraw {
            amount: 1.try_into().expect("an amount"),
            reference: None,
            transfer: None,
        };
        store.execute::<Account>("42", close, Options::default()).await.expect("executes");
    });
}
